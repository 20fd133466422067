"""What the windows so far say about the rest."""

from __future__ import annotations

import numpy as np
import pytest

from geopdn.evidence import (
    N_STRATA,
    REACH,
    Evidence,
    by_strength,
    gamma_poisson,
    log_evidence,
    neighbourhoods,
    strata_of,
)


def logs_of(found, expected, rate, seen, *, tall=None):
    """`log_evidence` of whole arrays, in strips of some rows."""
    tall = tall or len(rate)
    strips = [slice(row, min(row + tall, len(rate))) for row in range(0, len(rate), tall)]
    return log_evidence(lambda rows: Evidence(found[rows], expected[rows], strata_of(rate[rows]), seen[rows]), strips)


def test_evidence_raises_rates_where_more_was_found_than_expected():
    found, expected = np.zeros((60, 60)), np.zeros((60, 60))
    found[10:14, 10:14], expected[10:14, 10:14] = 1.0, 0.25
    found[48:52, 48:52], expected[48:52, 48:52] = 0.0, 0.5
    ratio = gamma_poisson(found, expected, sigma_cells=5)
    assert ratio[12, 12] > 0.5
    assert ratio[50, 50] < -0.5
    assert abs(ratio[12, 50]) < 0.01


def test_strata_are_half_decades():
    assert strata_of(np.array([0.0, 1e-7, 2e-7, 4e-7, 1e-6])).tolist() == [0, 0, 0, 1, 2]


def test_a_tail_in_which_nothing_is_found_shrinks_and_the_peaks_stay():
    rate = np.full((100, 100), 1e-3)
    rate[:5, :5] = 2.0
    seen = np.zeros((100, 100), bool)
    seen[:, :40] = True
    expected = rate * seen
    found = np.zeros((100, 100))
    found[:5, :5] = 2.0
    strata = strata_of(rate)
    had, hoped = (np.bincount(strata[seen], values[seen], N_STRATA) for values in (found, expected))
    factor = by_strength(had, hoped)[strata]
    assert factor[0, 0] == pytest.approx(1.0, abs=0.05)  # 50 found of 50
    assert 0.2 < factor[50, 90] < 0.4  # none of 4
    assert np.isfinite(logs_of(found, expected, rate, seen)).all()


def test_fainter_strata_follow_those_above_them():
    had, hoped = np.zeros(N_STRATA), np.zeros(N_STRATA)
    hoped[8:10] = 10.0  # where nothing was found
    factor = by_strength(had, hoped)
    assert factor[8] < factor[9] + 0.05
    assert factor[8] < factor[6] < factor[4] < factor[0] < 1  # the nearer the surer
    assert factor[0] > 0.6
    had[8:10] = 30.0
    more = by_strength(had, hoped)
    assert more[8] == pytest.approx(3.0, abs=0.3)
    assert 1.0 < more[6] < more[8]


def test_strata_without_evidence_of_their_kin_stay():
    had, hoped = np.zeros(N_STRATA), np.zeros(N_STRATA)
    had[20], hoped[20] = 100.0, 100.0
    assert by_strength(had, hoped)[20] == pytest.approx(1.0, abs=0.02)
    assert by_strength(had, hoped)[4] == pytest.approx(1.0, abs=0.1)


def test_strips_say_what_the_whole_says():
    rng = np.random.default_rng(0)
    rate = rng.gamma(0.05, 1.0, (150, 70))
    seen = rng.random((150, 70)) < 0.3
    found, expected = rng.poisson(rate) * seen * 1.0, rate * seen * 0.8
    whole = logs_of(found, expected, rate, seen)
    for tall in (1, REACH - 1, 64):
        np.testing.assert_allclose(logs_of(found, expected, rate, seen, tall=tall), whole, rtol=1e-5, atol=1e-6)


def test_no_evidence_changes_nothing():
    rate, nothing = np.full((20, 20), 0.01), np.zeros((20, 20))
    assert (logs_of(nothing, nothing, rate, nothing > 0) == 0).all()


def test_only_what_evidence_reaches_is_worked_out_and_comes_out_the_same():
    rng = np.random.default_rng(1)
    rate = rng.gamma(0.05, 1.0, (300, 410))
    seen = np.zeros(rate.shape, bool)
    for row, col in ((5, 8), (130, 20), (140, 300), (262, 383)):  # two of them near each other's rectangle
        seen[row : row + 9, col : col + 21] = True
    found, expected = rng.poisson(rate) * seen * 1.0, rate * seen * 0.8
    found[200, 200] = 1.0  # an object whose centre no window's core holds
    near = np.zeros(rate.shape, int)
    for box, mine in neighbourhoods(seen | (found > 0)):
        near[box] += mine
    assert near.max() == 1
    assert 0.1 < near.mean() < 0.7
    strata = strata_of(rate)
    had, hoped = (np.bincount(strata[seen], values[seen], N_STRATA) for values in (found, expected))
    factor = by_strength(had, hoped)[strata]
    whole = np.log(factor) + gamma_poisson(found, expected * factor)
    np.testing.assert_array_equal(logs_of(found, expected, rate, seen), whole.astype(np.float32))
