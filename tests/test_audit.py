"""The audit: what was missed where nothing was looked at."""

from __future__ import annotations

import numpy as np
import pytest

from geopdn.audit import draw_units, estimate_missed

N_UNITS = 250


def poisson(rng, expected):
    return rng.poisson(expected)


def elsewhere(rng, expected):
    """The saliency knows nothing."""
    return rng.poisson(12 / len(expected), len(expected))


def in_groups(rng, expected):
    return np.array([rng.poisson(3, k).sum() for k in rng.poisson(expected / 3)])


def groups_elsewhere(rng, expected):
    return np.array([rng.poisson(3, k).sum() for k in rng.poisson(4 / len(expected), len(expected))])


def many_more(rng, expected):
    return rng.poisson(6 * expected)


def audited(world, *, n: int, seed: int) -> tuple[float, float, float, float]:
    """Estimate, interval and truth of one simulated audit."""
    rng = np.random.default_rng(seed)
    expected = rng.gamma(0.3, 1, N_UNITS)
    expected *= 8 / expected.sum()
    objects = world(rng, expected).astype(float)
    strata = draw_units(expected, n, rng=rng)
    result = estimate_missed(strata, [objects[s.drawn] for s in strata])
    truth = objects.sum() - sum(objects[s.drawn].sum() for s in strata)
    return result.missed, result.low, result.high, truth


@pytest.mark.parametrize("world", [poisson, elsewhere, in_groups, groups_elsewhere, many_more])
@pytest.mark.parametrize("n", [12, 60])
def test_the_interval_covers_the_truth(world, n):
    runs = np.array([audited(world, n=n, seed=seed) for seed in range(200)])
    covered = (runs[:, 1] <= runs[:, 3]) & (runs[:, 3] <= runs[:, 2])
    assert covered.mean() >= 0.93
    error = runs[:, 0] - runs[:, 3]
    assert abs(error.mean()) < 3 * error.std() / len(error) ** 0.5


@pytest.mark.parametrize("n", [1, 5, 12, 60, 249])
def test_as_many_units_are_drawn_as_asked_for_and_none_twice(n):
    expected = np.random.default_rng(3).gamma(0.3, 1, N_UNITS)
    strata = draw_units(expected, n, rng=np.random.default_rng(0))
    drawn = np.concatenate([s.drawn for s in strata])
    assert len(drawn) == len(set(drawn.tolist())) == n
    assert sum(s.size for s in strata) == N_UNITS


def test_who_looks_everywhere_has_missed_nothing():
    strata = draw_units(np.ones(5), 9, rng=np.random.default_rng(0))
    assert [s.drawn.tolist() for s in strata] == [[0, 1, 2, 3, 4]]
    result = estimate_missed(strata, [np.array([1.0, 0, 2, 0, 0])])
    assert (result.missed, result.low, result.high) == (0, 0, 0)
    assert draw_units(np.zeros(0), 3, rng=np.random.default_rng(0)) == []


def test_nothing_found_in_few_units_leaves_room_for_much():
    few, many = (draw_units(np.ones(200), n, rng=np.random.default_rng(0)) for n in (10, 150))
    few, many = (estimate_missed(strata, [np.zeros(len(s.drawn)) for s in strata]) for strata in (few, many))
    assert few.missed == many.missed == 0
    assert few.high > 20 > 3 > many.high
