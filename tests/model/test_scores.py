"""Curves of scores: the identity until fitted, one a level, and what must be decoded for a probability."""

from __future__ import annotations

import numpy as np
import pytest

from geopdn.model.decoded import Decoded
from geopdn.model.probabilities import SCORE_KNOTS, Probabilities


def curves(n_levels: int, **values: float) -> Probabilities:
    """Curves that are the identity but at the levels that are named."""
    calibration = np.zeros((n_levels, len(SCORE_KNOTS)))
    for level, value in values.items():
        calibration[int(level[-1])] = value
    return Probabilities(calibration)


def test_unfitted_curves_change_nothing():
    score = np.array([0.01, 0.3, 0.99], np.float32)
    np.testing.assert_allclose(curves(1)(score, np.zeros(3, int)), score, rtol=1e-6)
    assert curves(1)(score, np.zeros(3, int)).dtype == np.float32


def test_each_level_has_its_own_curve():
    """Level 2 is right less often than it says."""
    out = curves(3, level2=-1.5)(np.array([0.5, 0.5]), np.array([0, 2]))
    assert out.tolist() == pytest.approx([0.5, 1 / (1 + np.exp(1.5))])


def test_a_batch_is_rescored_by_the_level_of_each_window_and_cut_by_probability():
    found = Decoded(np.array([0, 1]), np.zeros((2, 5)), np.array([0.4, 0.4]), np.array([0, 1]), n_invalid=3)
    kept = curves(3, level2=-1.5).rescored(found, np.array([2, 0]), min_score=0.3)
    assert (kept.window.tolist(), kept.label.tolist(), kept.n_invalid) == ([1], [1], 3)
    assert kept.score.tolist() == pytest.approx([0.4])


@pytest.mark.parametrize("probability", [1e-4, 0.02, 0.3, 0.9, 0.999])
def test_nothing_that_reaches_a_probability_lies_below_the_least_raw_score(probability):
    random = np.random.default_rng(1)
    bent = Probabilities(random.random((2, len(SCORE_KNOTS))) * 0.8)
    least, score = bent.least_raw(probability), random.random(5000)
    for level in range(2):
        reached = bent(score, np.full(5000, level)) >= probability
        assert (score[reached] >= least).all()
    assert bent(np.array([least * 0.8]), np.zeros(1, int))[0] < probability


def test_every_score_is_decoded_for_a_probability_of_zero():
    assert curves(1).least_raw(0.0) == 0.0
