"""What the windows so far say about the rest."""

from __future__ import annotations

import numpy as np

from geopdn.evidence import by_strength, gamma_poisson, log_evidence, strata_of


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
    factor = by_strength(found, expected, rate, seen)
    assert factor[0, 0] == 1.0
    assert 0.3 < factor[50, 90] < 0.4  # (2 + 0) / (2 + 4)
    assert np.isfinite(log_evidence(found, expected, rate, seen)).all()


def test_no_evidence_changes_nothing():
    rate, nothing = np.full((20, 20), 0.01), np.zeros((20, 20))
    assert (log_evidence(nothing, nothing, rate, nothing > 0) == 0).all()
