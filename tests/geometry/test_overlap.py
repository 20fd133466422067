"""Overlap of boxes against shapely and against interval arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st

from geopdn.geometry import boxes as box
from geopdn.geometry import overlap

boxes = st.tuples(
    st.floats(-30, 30), st.floats(-30, 30), st.floats(0.01, 50), st.floats(0.01, 50), st.floats(-7, 7)
).map(lambda values: np.array([values]))


def random_boxes(n: int, seed: int, *, angle: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(0, 60, (n, 2)), rng.uniform(3, 40, (n, 2)), rng.uniform(-angle, angle, n)])


def test_shared_area_is_shapelys() -> None:
    first, second = random_boxes(3000, 0), random_boxes(3000, 1)
    wanted = shapely.area(shapely.intersection(box.to_polygons(first), box.to_polygons(second)))
    assert (wanted > 0).sum() > 500
    np.testing.assert_allclose(overlap.shared_area(first, second), wanted, atol=1e-9)


def test_upright_boxes_overlap_by_their_intervals() -> None:
    first, second = random_boxes(500, 2, angle=0), random_boxes(500, 3, angle=0)
    a, b = box.bounds(first), box.bounds(second)
    wanted = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None).prod(1)
    np.testing.assert_allclose(overlap.shared_area(first, second), wanted, atol=1e-9)


@settings(deadline=None)
@given(boxes, boxes)
def test_laws(a: np.ndarray, b: np.ndarray) -> None:
    shared = overlap.shared_area(a, b)[0]
    assert 0 <= shared <= min(overlap.area(a)[0], overlap.area(b)[0])
    assert overlap.shared_area(b, a)[0] == pytest.approx(shared, abs=1e-8)
    assert 0 <= overlap.oriented_iou(a, b)[0] <= 1
    assert overlap.covered(a, b)[0] == pytest.approx(shared / overlap.area(b)[0], abs=1e-9)


@settings(deadline=None)
@given(boxes, st.floats(-1e6, 1e6), st.integers(-3, 3))
def test_a_box_overlaps_itself_wherever_it_lies(a: np.ndarray, shift: float, half_turns: int) -> None:
    a[:, :2] += shift
    turned = a + np.array([0, 0, 0, 0, half_turns * np.pi])
    assert overlap.oriented_iou(a, turned)[0] == pytest.approx(1, abs=1e-9)
    assert overlap.oriented_iou(box.normalise(a), a)[0] == pytest.approx(1, abs=1e-9)


def test_boxes_equal_up_to_the_last_digits_overlap_wholly() -> None:
    rng = np.random.default_rng(0)
    first = np.column_stack([np.full((2000, 2), 5.0), rng.uniform(0.5, 50, (2000, 2)), np.ones(2000)])
    upright = shapely.box(*box.bounds(first * [1, 1, 1, 1, 0]).T)
    rings = np.array(
        [shapely.affinity.rotate(ring, 1, origin=(5, 5), use_radians=True).exterior.coords[:4] for ring in upright]
    )
    np.testing.assert_allclose(overlap.oriented_iou(first, box.from_corners(rings)), 1, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.2])
def test_touching_and_nested_boxes(angle: float) -> None:
    across = 10 * np.array([-np.sin(angle), np.cos(angle)])
    first = np.array([[0, 0, 40, 10, angle]])
    beside = np.array([[*across, 40, 10, angle]])
    inside = np.array([[*(across / 8), 10, 5, angle]])
    assert overlap.shared_area(first, beside)[0] == pytest.approx(0, abs=1e-9)
    assert overlap.shared_area(first, inside)[0] == pytest.approx(50)
    assert overlap.covered(first, inside)[0] == pytest.approx(1)
    assert overlap.covered(inside, first)[0] == pytest.approx(50 / 400)


def test_no_area_no_overlap_and_no_boxes() -> None:
    flat = np.array([[5.0, 5, 0, 0, 0]])
    assert overlap.oriented_iou(flat, flat)[0] == 0
    assert overlap.covered(flat, flat)[0] == 0
    assert overlap.oriented_iou(np.zeros((0, 5)), np.zeros((0, 5))).shape == (0,)


def test_boxes_are_compared_in_pairs() -> None:
    with pytest.raises(ValueError, match="got 2 and 3"):
        overlap.shared_area(random_boxes(2, 0), random_boxes(3, 0))
