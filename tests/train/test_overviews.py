"""Coarse windows as other files' overviews hold them: in place, of the same brightness, sharper or compressed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from geopdn.train.overviews import _reduced, draw_reduction


def blob(x, y, side=64):
    rows, cols = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    return torch.exp(-((rows - y) ** 2 + (cols - x) ** 2) / 32).expand(1, 3, side, side).contiguous()


def centre(image):
    weight = image[0, 0].clamp_min(0)
    cells = torch.arange(len(weight)) + 0.5
    return float((weight.sum(0) * cells).sum() / weight.sum()), float((weight.sum(1) * cells).sum() / weight.sum())


@pytest.mark.parametrize("step", [2, 4])
@pytest.mark.parametrize("quality", [None, 90])
@pytest.mark.parametrize("method", ["mean", "linear", "cubic", "nearest"])
def test_objects_stay_in_place(method, quality, step):
    values = blob(29.0, 37.0)
    coarse = _reduced(values, step, method=method, quality=quality)
    assert coarse.shape == (1, 3, 64 // step, 64 // step)
    # the nearest pixel of an even step lies half a pixel beyond the middle, in GDAL too
    slack = 0.5 / step if method == "nearest" else 0.0
    assert centre(coarse) == pytest.approx((29 / step - slack, 37 / step - slack), abs=0.12)
    assert float(coarse.mean()) == pytest.approx(float(values.mean()), abs=0.003)


def test_compression_changes_values_a_little_and_other_numbers_of_bands_not_at_all():
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain, lossy = (_reduced(noise, 2, method="mean", quality=quality) for quality in (None, 60))
    assert 0.001 < float((plain - lossy).abs().mean()) < 0.2
    five = torch.rand(1, 5, 64, 64)
    assert torch.equal(_reduced(five, 2, method="mean", quality=60), F.avg_pool2d(five, 2))


def test_the_share_of_other_overviews_is_kept():
    drawn = [draw_reduction(np.random.default_rng(k), share=0.4) for k in range(500)]
    assert 0.33 < np.mean([one is not F.avg_pool2d for one in drawn]) < 0.47
    assert draw_reduction(np.random.default_rng(0), share=0.0) is F.avg_pool2d
