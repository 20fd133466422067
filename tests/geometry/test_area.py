"""Areas of interest as positions and as cells."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geopdn.geometry.area import InsidePolygon
from geopdn.geometry.ground import pixel_to_map

TURNED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(20) @ Affine.scale(0.5, -0.5)
CELL = 32


def on_map(shape, transform):
    return shapely.transform(shape, lambda xy: pixel_to_map(xy, transform))


@pytest.mark.parametrize("transform", [Affine.identity(), TURNED])
def test_positions_lie_inside_by_the_scenes_own_transform(transform):
    inside = InsidePolygon(on_map(shapely.box(10, 20, 30, 40), transform), transform)
    assert inside(np.array([[11, 21], [29, 39], [9, 30], [31, 30], [20, 41.0]])).tolist() == [True, True, *[False] * 3]


@given(
    col=st.floats(0, 300), row=st.floats(0, 220), width=st.floats(1, 300), height=st.floats(1, 300),
    angle=st.floats(0, 90),
)  # fmt: skip
def test_the_edge_runs_through_these_cells(col, row, width, height, angle):
    shape = shapely.affinity.rotate(shapely.box(col, row, col + width, row + height), angle)
    cells = InsidePolygon(on_map(shape, TURNED), TURNED).edge_cells((8, 10), CELL)
    for at in np.ndindex(8, 10):
        square = shapely.box(at[1] * CELL, at[0] * CELL, (at[1] + 1) * CELL, (at[0] + 1) * CELL)
        interior = shapely.buffer(square, -1e-3, join_style="mitre")
        within = shapely.line_merge(shapely.intersection(shape.exterior, interior))
        if max([part.length for part in shapely.get_parts(within)], default=0) > CELL / 4 + 0.01:
            assert cells[at]
        if cells[at]:
            assert shapely.distance(shape.exterior, square) < 1e-6


def test_an_area_within_one_cell_has_that_cell():
    inside = InsidePolygon(shapely.box(70, 40, 75, 45), Affine.identity())
    assert np.argwhere(inside.edge_cells((4, 4), CELL)).tolist() == [[1, 2]]
    assert not InsidePolygon(shapely.box(900, 900, 950, 950), Affine.identity()).edge_cells((4, 4), CELL).any()
