"""Boxes at peaks: what torch says of whole maps, where boxes are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from geopdn.model.decoded import decode
from geopdn.model.head import HeadMaps, agreed, box_values


def by_torch(logits, regression, *, has_heading, min_score):
    """Every position in turn, as exported detectors do it: window, boxes, scores, labels, the best first."""
    maps = HeadMaps(torch.from_numpy(logits), torch.from_numpy(regression))
    score = torch.sigmoid(maps.logits)
    peak = (maps.logits == F.max_pool2d(maps.logits, 3, 1, 1)) & (score >= min_score)
    window, label, y, x = torch.nonzero(peak, as_tuple=True)
    boxes = box_values(agreed(maps)[window, :, y, x], x, y, stride=4, has_heading=has_heading)
    score = score[window, label, y, x]
    order = np.lexsort((-score.numpy(), window.numpy()))
    return tuple(values.numpy()[order] for values in (window, boxes, score, label))


@pytest.mark.parametrize("has_heading", [False, True])
@pytest.mark.parametrize("min_score", [0.0, 0.3, 0.8])
def test_boxes_are_those_of_whole_maps(has_heading, min_score):
    random = np.random.default_rng(2)
    logits = random.standard_normal((3, 2, 17, 23)).astype(np.float32) * 2
    regression = random.standard_normal((3, 6, 17, 23)).astype(np.float32) * 3
    found = decode(logits, regression, stride=4, has_heading=has_heading, min_score=min_score)
    window, boxes, score, label = by_torch(logits, regression, has_heading=has_heading, min_score=min_score)
    assert len(score) > 20
    assert np.array_equal(found.window, window)
    assert np.array_equal(found.label, label)
    np.testing.assert_allclose(found.score, score, rtol=1e-5)
    np.testing.assert_allclose(found.boxes, boxes, rtol=1e-4, atol=1e-4)


def test_the_best_of_each_window_are_kept_and_ties_follow_the_place():
    logits = np.full((2, 1, 9, 9), -9, np.float32)
    logits[1, 0, ::4, ::4] = 1
    logits[0, 0, 4, 4] = 2
    found = decode(logits, np.zeros((2, 6, 9, 9), np.float32), stride=2, has_heading=False, min_score=0.5, limit=4)
    assert found.window.tolist() == [0, 1, 1, 1, 1]
    assert found.boxes[1:, :2].tolist() == [[1, 1], [9, 1], [17, 1], [1, 9]]


def test_nothing_is_found_above_every_score_and_nothing_of_nothing():
    logits, regression = np.full((1, 1, 4, 4), 80, np.float32), np.zeros((1, 6, 4, 4), np.float32)
    assert len(decode(logits, regression, stride=4, has_heading=True, min_score=1.0).score) == 0
    assert len(decode(logits[:0], regression[:0], stride=4, has_heading=True, min_score=0.1).score) == 0
    assert len(decode(logits * np.nan, regression, stride=4, has_heading=True, min_score=0.1).score) == 0
