"""Oriented boxes against shapely and torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geopdn.geometry import boxes as box

positions = st.floats(-1e5, 1e5, allow_nan=False)
sides = st.floats(0.5, 500)
angles = st.floats(-10, 10)


@st.composite
def box_arrays(draw: st.DrawFn, n: int | None = None) -> np.ndarray:
    n = draw(st.integers(1, 6)) if n is None else n
    parts = [
        draw(hnp.arrays(float, (n, 2), elements=positions)),
        draw(hnp.arrays(float, (n, 2), elements=sides)),
        draw(hnp.arrays(float, (n, 1), elements=angles)),
    ]
    return np.concatenate(parts, 1)


def reference(row: np.ndarray) -> shapely.Polygon:
    """A box drawn by shapely alone."""
    x, y, length, width, angle = row
    upright = shapely.box(x - length / 2, y - width / 2, x + length / 2, y + width / 2)
    return shapely.affinity.rotate(upright, angle, origin=(x, y), use_radians=True)


def same_ground(a: shapely.Geometry, b: shapely.Geometry) -> bool:
    """Equal outlines; by distance, since GEOS's overlays fail on rectangles that differ in the last digits only."""
    return shapely.hausdorff_distance(a, b) < 1e-6 * (1 + a.length)


@settings(deadline=None)
@given(box_arrays())
def test_polygons_are_shapelys(boxes: np.ndarray) -> None:
    for row, polygon in zip(boxes, box.to_polygons(boxes), strict=True):
        assert same_ground(reference(row), polygon)
        assert polygon.area == pytest.approx(row[2] * row[3], rel=1e-6)


@settings(deadline=None)
@given(box_arrays())
def test_normalise_keeps_the_ground_and_sets_the_ranges(boxes: np.ndarray) -> None:
    out = box.normalise(boxes)
    assert (out[:, 2] >= out[:, 3]).all()
    assert (out[:, 4] >= -np.pi / 2).all()
    assert (out[:, 4] < np.pi / 2).all()
    for a, b in zip(box.to_polygons(boxes), box.to_polygons(out), strict=True):
        assert same_ground(a, b)
    np.testing.assert_allclose(box.normalise(out), out, atol=1e-12)


@settings(deadline=None)
@given(box_arrays())
def test_bounds_are_those_of_the_polygons(boxes: np.ndarray) -> None:
    np.testing.assert_allclose(box.bounds(boxes), shapely.bounds(box.to_polygons(boxes)))
    upright = box.axis_aligned(boxes)
    np.testing.assert_allclose(box.bounds(upright), box.bounds(boxes), atol=1e-6)


@settings(deadline=None)
@given(box_arrays())
def test_corners_and_polygons_round_trip(boxes: np.ndarray) -> None:
    wanted = box.normalise(boxes)
    for back in (box.from_corners(box.corners(boxes)), box.from_polygons(box.to_polygons(boxes))):
        np.testing.assert_allclose(back[:, :2], wanted[:, :2], atol=1e-5)
        np.testing.assert_allclose(back[:, 2:4], wanted[:, 2:4], rtol=1e-4, atol=1e-4)
        for a, b in zip(box.to_polygons(back), box.to_polygons(wanted), strict=True):
            assert same_ground(a, b)


def test_angle_runs_from_x_to_y() -> None:
    np.testing.assert_allclose(
        box.from_corners(np.array([[[0, 0], [3, 3], [2, 4], [-1, 1]]], float)),
        [[1, 2, np.sqrt(18), np.sqrt(2), np.pi / 4]],
    )


def test_lines_and_points_become_boxes_of_the_least_side() -> None:
    shapes = [shapely.Point(3, 4), shapely.LineString([(0, 0), (6, 8)])]
    np.testing.assert_allclose(box.from_polygons(shapes, min_side=2)[0, :4], [3, 4, 2, 2])
    np.testing.assert_allclose(box.from_polygons(shapes, min_side=2)[1], [3, 4, 10, 2, np.arctan2(8, 6)])


@pytest.mark.parametrize("shape", [(0, 5), (0,)])
def test_no_boxes(shape: tuple[int, ...]) -> None:
    none = np.zeros(shape)
    assert box.corners(none).shape == (0, 4, 2)
    assert box.bounds(none).shape == (0, 4)
    assert box.normalise(none).shape == (0, 5)
    assert box.axis_aligned(none).shape == (0, 5)
    assert box.from_polygons([]).shape == (0, 5)
