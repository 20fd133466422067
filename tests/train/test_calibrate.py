"""Calibration of scores: what is fitted is the chance to be right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopdn.model.head import HeadMaps, decode
from geopdn.train.calibrate import platt


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (2.5, 1.0), (0.4, -2.0)])
def test_a_known_distortion_is_found(slope, offset):
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, 20_000)
    right = rng.random(len(z)) < sigmoid(slope * z + offset)
    assert platt(sigmoid(z), right) == pytest.approx((slope, offset), abs=0.08)


def test_little_evidence_changes_little():
    assert platt(np.zeros(0), np.zeros(0, bool)) == (1.0, 0.0)
    slope, offset = platt(np.array([0.9, 0.8]), np.array([True, True]))
    assert 0.9 < slope < 1.3
    assert 0 < offset < 0.6


def test_the_head_applies_what_was_fitted():
    logits = torch.full((1, 2, 4, 4), -9.0)
    logits[0, 0, 1, 1] = 0.5
    logits[0, 1, 3, 2] = 1.0
    maps = HeadMaps(logits=logits, regression=torch.zeros(1, 6, 4, 4))
    found = decode(maps, torch.tensor([[2.0, 0.3], [0.5, -1.0]]), stride=4, has_heading=True, min_score=0.2)
    assert found.label.tolist() == [0, 1]
    assert found.score.tolist() == pytest.approx([sigmoid(1.3), sigmoid(-0.5)])
