"""Working in strips of rows changes what a block costs, not what it says."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual

from geopdn.model.patchdrivenet import PatchDriveNet, rgb_config
from geopdn.model.strips import InStrips, in_strips


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["", "same"])
@pytest.mark.parametrize("height", [64, 62, 61])
def test_a_block_says_the_same_in_strips(kernel, stride, padding, height):
    torch.manual_seed(0)
    block = InvertedResidual(8, 8, dw_kernel_size=kernel, stride=stride, pad_type=padding, exp_ratio=6.0).eval()
    rows_seen = []
    block.conv_pw.register_forward_hook(lambda _, inputs, __: rows_seen.append(inputs[0].shape[2]))
    strips = InStrips(block, widest=4 * 48 * 40 * 12)
    x = torch.rand(1, 8, height, 40).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        whole = block(x)
        rows_seen.clear()
        torch.testing.assert_close(strips(x), whole, atol=1e-5, rtol=1e-5)
    in_parts = height % stride == 0
    assert max(rows_seen) == (12 + 2 * strips.halo if in_parts else height)


def test_one_and_two_convolutions_reach_as_far_as_their_kernels():
    assert InStrips(DepthwiseSeparableConv(8, 8, dw_kernel_size=5)).halo == 2
    assert InStrips(InvertedResidual(8, 8, dw_kernel_size=3, stride=2)).halo == 2
    assert InStrips(InvertedResidual(8, 8, dw_kernel_size=3)).halo == 1


def test_batches_are_worked_out_whole():
    block = InvertedResidual(8, 8).eval()
    x = torch.rand(2, 8, 64, 40)
    with torch.inference_mode():
        torch.testing.assert_close(InStrips(block, widest=4 * 48 * 40 * 12)(x), block(x))


def test_a_network_in_strips_says_the_same_and_shares_its_weights():
    torch.manual_seed(0)
    config = rgb_config()
    net = PatchDriveNet("timm:tf_efficientnet_lite0", "timm:tf_efficientnet_lite0", config=config).eval()
    ready, plain = net.for_inference(), net.for_inference(strips=False)
    n_strips = sum(isinstance(part, InStrips) for part in ready.modules())
    assert n_strips == 2 * 16  # both streams
    assert not any(isinstance(part, InStrips) for part in plain.modules())
    overview = torch.rand(1, 11, 320, 512)
    with torch.inference_mode():
        for part in ready.modules():
            if isinstance(part, InStrips):
                part.widest = 1  # the least strips there are
        torch.testing.assert_close(ready.look(overview)[1].rate, plain.look(overview)[1].rate, atol=1e-6, rtol=1e-4)


def test_blocks_that_squeeze_stay_whole():
    network = timm.create_model("efficientnet_b0", features_only=True, pretrained=False)
    assert in_strips(network) is network
