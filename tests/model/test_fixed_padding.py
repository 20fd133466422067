"""SAME padding made fixed: the same network, for sides that divide by its strides."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from geopdn.model.backbones import make_backbone
from geopdn.model.padding import with_fixed_padding
from geopdn.model.scores import ScoreCurves
from geopdn.model.streams import _four_by_four


def same(network):
    return [type(part).__name__ for part in network.modules()].count("Conv2dSame")


def test_a_network_with_fixed_padding_says_the_same():
    torch.manual_seed(0)
    network = make_backbone("timm:tf_efficientnet_lite0", n_in=3).eval()
    fixed = with_fixed_padding(network)
    assert same(network) > 0 == same(fixed)
    with torch.inference_mode():
        for sides in ((64, 96), (32, 160)):
            x = torch.rand(1, 3, *sides)
            for a, b in zip(network(x), fixed(x), strict=True):
                assert torch.equal(a, b)


def test_what_has_nothing_to_fix_stays_itself():
    network = make_backbone("dense-nano", n_in=3)
    assert with_fixed_padding(network) is network


@pytest.mark.parametrize("sides", [(4, 4), (16, 8), (3, 5), (2, 4)])
def test_sixteen_means_of_a_map(sides):
    x = torch.rand(2, 3, *sides)
    torch.testing.assert_close(_four_by_four(x), F.adaptive_avg_pool2d(x, 4))


def test_probabilities_of_logits_are_those_of_scores():
    curves = ScoreCurves(2)
    curves.calibration.normal_(0, 1, generator=torch.Generator().manual_seed(0))
    logits = torch.linspace(-20, 12, 200).reshape(2, 5, 20)
    levels = torch.ones(200, dtype=torch.long)
    scores = torch.sigmoid(logits.double()).flatten().numpy()
    expected = torch.from_numpy(curves.probabilities(scores, levels.numpy())).float().reshape(logits.shape)
    torch.testing.assert_close(curves.of_logits(logits, level=1), expected, atol=1e-5, rtol=1e-4)
