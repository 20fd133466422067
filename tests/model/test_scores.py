"""Curves of scores: the identity until fitted, one a level, and what must be decoded for a probability."""

from __future__ import annotations

import pytest
import torch

from geopdn.model.head import Decoded
from geopdn.model.scores import SCORE_KNOTS, ScoreCurves


@pytest.fixture
def curves() -> ScoreCurves:
    """Level 0 as it is; level 2 is right less often than it says."""
    curves = ScoreCurves(3)
    curves.calibration[2] = -1.5
    return curves


def test_unfitted_curves_change_nothing():
    score = torch.tensor([0.01, 0.3, 0.99])
    torch.testing.assert_close(ScoreCurves(1)(score, torch.zeros(3)), score)


def test_each_level_has_its_own_curve(curves):
    score = torch.tensor([0.5, 0.5])
    out = curves(score, torch.tensor([0, 2]))
    assert out.tolist() == pytest.approx([0.5, torch.sigmoid(torch.tensor(-1.5)).item()])


def test_a_batch_is_rescored_by_the_level_of_each_window_and_cut_by_probability(curves):
    found = Decoded(
        window=torch.tensor([0, 1]), boxes=torch.zeros(2, 5), score=torch.tensor([0.4, 0.4]), label=torch.tensor([0, 1])
    )
    kept = curves.rescored(found, torch.tensor([2, 0]), min_score=0.3)
    assert (kept.window.tolist(), kept.label.tolist()) == ([1], [1])
    assert kept.score.tolist() == pytest.approx([0.4])


@pytest.mark.parametrize("probability", [1e-4, 0.02, 0.3, 0.9, 0.999])
def test_nothing_that_reaches_a_probability_lies_below_the_least_raw_score(probability):
    generator = torch.Generator().manual_seed(1)
    curves = ScoreCurves(2)
    curves.calibration += torch.rand(2, len(SCORE_KNOTS), generator=generator, dtype=torch.float32) * 0.8
    least = curves.least_raw(probability)
    score = torch.rand(5000, generator=generator, dtype=torch.float64)
    for level in range(2):
        reached = curves(score, torch.full_like(score, level)) >= probability
        assert (score[reached] >= least).all()
    assert curves(torch.tensor([least * 0.8]), torch.zeros(1))[0] < probability


def test_every_score_is_decoded_for_a_probability_of_zero():
    assert ScoreCurves(1).least_raw(0.0) == 0.0
