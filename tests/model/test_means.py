"""Overviews of means alone: the same answer without the channels that are zero."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from geopdn.config import ModelConfig, RadiometryConfig
from geopdn.model.means import MeansStream
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.streams import pack_means, pack_overview


def made(backbone, n_bands=3):
    torch.manual_seed(0)
    config = ModelConfig(
        classes=("target",),
        bands=tuple("abcdefgh"[:n_bands]),
        pixel_size_m=1.0,
        radiometry=RadiometryConfig(kind="fixed", low=(0.0,), high=(1.0,)),
        global_backbone=backbone,
        neck=16,
        grid=16,
        dim=32,
    )
    return PatchDriveNet(config=config).eval()


@pytest.mark.parametrize("n_bands", [1, 3, 5])
@pytest.mark.parametrize("backbone", ["dense-global", "timm:tf_efficientnet_lite0", "timm:resnet18"])
@torch.inference_mode()
def test_the_answer_is_that_of_the_whole_stream(backbone, n_bands):
    net = made(backbone, n_bands).for_inference()
    mean, valid = torch.rand(1, n_bands, 128, 160), (torch.rand(1, 1, 128, 160) > 0.2).float()
    features, saliency = net.look(pack_overview(mean, None, None, valid))
    again, counts = net.look(pack_means(mean, valid).contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(again.cells, features.cells, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(again.grid, features.grid, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(counts.rate, saliency.rate, atol=1e-7, rtol=1e-4)


def test_everything_but_the_first_filters_is_shared():
    net = made("dense-global").for_inference()
    first = {id(value) for value in net.global_stream.parameters()}
    second = {id(value) for value in net.means_stream.module.parameters()}
    assert len(second - first) == 1


def test_a_stream_that_begins_otherwise_is_left_alone():
    net = made("dense-global")
    stream = net.global_stream
    conv = next(part for part in stream.modules() if isinstance(part, nn.Conv2d))
    conv.groups = 11
    with pytest.raises(ValueError, match="11 channels in 11 groups"):
        MeansStream(stream, n_bands=3)
