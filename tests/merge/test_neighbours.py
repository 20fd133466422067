"""The grid of neighbours against every pair, and its limit."""

from __future__ import annotations

import numpy as np
import pytest

from geopdn.geometry import boxes as box
from geopdn.merge.neighbours import Neighbours, bounds_of


def rectangles(n, seed, *, spread=500.0, largest=3.0):
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(0, spread, (n, 2)), 10 ** rng.uniform(-1, largest, (n, 2))
    return np.concatenate([corner, corner + side], 1)


def all_pairs(neighbours, asked, limit):
    """All answers, however many calls it takes."""
    pairs, start = set(), 0
    while start < len(asked):
        n, position, index = neighbours.of(asked[start:], limit=limit)
        assert n >= 1
        assert position.max(initial=0) < n
        pairs |= set(zip((start + position).tolist(), index.tolist(), strict=True))
        start += n
    return pairs


@pytest.mark.parametrize("limit", [1, 100, 10**9])
def test_pairs_are_those_that_meet(limit) -> None:
    limits, asked = rectangles(300, 0), rectangles(120, 1)
    a, b = asked[:, None], limits[None]
    meet = (a[..., :2] <= b[..., 2:]).all(-1) & (b[..., :2] <= a[..., 2:]).all(-1)
    assert all_pairs(Neighbours(limits), asked, limit) == set(
        zip(*(axis.tolist() for axis in np.nonzero(meet)), strict=True)
    )


def test_candidates_stay_within_the_limit() -> None:
    limits = rectangles(5000, 2, spread=50.0, largest=0.5)
    n, position, _ = Neighbours(limits).of(limits, limit=20_000)
    assert 1 <= n < 5000
    assert len(position) <= 20_000


@pytest.mark.parametrize("far", [1e15, 1e300])
def test_rectangles_far_away_and_huge_ones(far) -> None:
    limits = np.array([[0, 0, 5, 5], [far, far, far + 9, far + 9], [-far, -far, far, far], [4, 4, 6, 6]], float)
    pairs = all_pairs(Neighbours(limits), limits, 10)
    assert {(0, 3), (0, 2), (2, 1), (1, 1)} <= pairs
    assert (0, 1) not in pairs


@pytest.mark.parametrize("n", [0, 1])
def test_few(n) -> None:
    limits = rectangles(n, 0)
    assert all_pairs(Neighbours(limits), limits, 10) == {(k, k) for k in range(n)}
    assert all_pairs(Neighbours(np.zeros((0, 4))), rectangles(2, 0), 10) == set()


def test_bounds_are_widened() -> None:
    boxes = np.array([[10.0, 20, 8, 0.2, 0], [0, 0, 4, 2, 0]])
    assert bounds_of(boxes, least_side=1.0).tolist() == [[6, 19.5, 14, 20.5], [-2, -1, 2, 1]]
    assert bounds_of(boxes[1:], around=np.array([3.0])).tolist() == [[-5, -4, 5, 4]]
    np.testing.assert_array_equal(bounds_of(boxes), box.bounds(boxes))
