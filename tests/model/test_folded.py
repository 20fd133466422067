"""Folding batch norms changes what the network costs, not what it says."""

from __future__ import annotations

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from geopdn.model.folded import FOLDABLE, folded
from geopdn.model.padding import SameConv, without_copies
from geopdn.model.patchdrivenet import PatchDriveNet, rgb_config


def trained(net: nn.Module) -> nn.Module:
    """Batch norms as after training: their statistics and factors are not those of the start."""
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_mean, part.running_var, part.weight.data, part.bias.data):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return net.eval()


@pytest.mark.parametrize("backbone", FOLDABLE)
def test_a_folded_network_says_the_same(backbone):
    torch.manual_seed(0)
    net = trained(PatchDriveNet(backbone, backbone, config=rgb_config()))
    ready = net.for_inference()
    windows, overview = torch.rand(2, 3, 128, 128), torch.rand(1, 11, 64, 64)
    with torch.inference_mode():
        before, after = net.inspect(windows, None)[1], ready.inspect(windows, None)[1]
        torch.testing.assert_close(after.logits, before.logits, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(after.regression, before.regression, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(ready.look(overview)[1].rate, net.look(overview)[1].rate, atol=1e-5, rtol=1e-3)
    assert any(isinstance(part, nn.BatchNorm2d) for part in net.modules())
    assert not any(isinstance(part, nn.BatchNorm2d) for part in ready.modules())
    assert any(isinstance(part, SameConv) for part in ready.modules()) == ("lite0" in backbone)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(32, 48), (31, 48), (32, 47), (7, 9)])
@pytest.mark.parametrize("groups", [1, 4])
def test_same_padding_without_a_copy(kernel, size, groups):
    torch.manual_seed(0)
    conv = Conv2dSame(4, 8, kernel, stride=2, groups=groups)
    same = without_copies(conv)
    assert isinstance(same, SameConv)
    x = torch.rand(2, 4, *size)
    torch.testing.assert_close(same(x), conv(x), atol=1e-6, rtol=1e-5)


def test_other_convolutions_stay_as_they_are():
    for conv in (
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        Conv2dSame(3, 4, 3, stride=1),
        Conv2dSame(3, 4, 3, stride=2, dilation=2),
        Conv2dSame(3, 4, 4, stride=2),
    ):
        assert without_copies(conv) is conv


class Reversed(nn.Module):
    """A norm that is registered after the convolution and applied before it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(self.norm(x))
        return out


def test_what_would_answer_differently_keeps_its_norms():
    torch.manual_seed(0)
    net = trained(nn.Sequential(Reversed(), nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))))
    ready = folded(net, images={"0": 3})
    assert isinstance(ready[0].norm, nn.BatchNorm2d)
    assert isinstance(ready[1][1], nn.Identity)
    x = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(ready(x), net(x), atol=1e-5, rtol=1e-4)
