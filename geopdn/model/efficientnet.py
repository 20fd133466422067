"""EfficientNet-Lite0 (Liu 2020; Tan and Le 2019) as feature maps: what the shipped weights are made of.

The same layers, names and values as timm's `tf_efficientnet_lite0`, so that weights of one load into the other; but
importing timm, with all its networks, took a fifth of the start-up, and its classes are no promise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-3  # of TensorFlow's batch norms


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


STEM = 32
STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
LAST_OF_STRIDE = (0, 1, 2, 4, 6)
"""Stages whose maps are returned: the last of strides 2, 4, 8, 16 and 32."""
EIGHT = 8  # channels that processors work on at once


def kept(n: int, share: float) -> int:
    """Channels that are left of `n`, a multiple of eight."""
    return max(EIGHT, round(n * share / EIGHT) * EIGHT)


class Conv2dSame(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, which follows the size of every map."""

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` -> `[B, n_out, ceil(H / stride), ceil(W / stride)]`."""
        pads: list[int] = []
        for side, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            whole = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [whole // 2, whole - whole // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def _conv(n_in: int, n_out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:  # SAME padding of an odd kernel is alike on both sides
        return nn.Conv2d(n_in, n_out, kernel, 1, kernel // 2, groups=groups, bias=False)
    return Conv2dSame(n_in, n_out, kernel, stride, groups=groups, bias=False)


class DepthwiseSeparableConv(nn.Module):
    """A depthwise and a pointwise convolution; without a shortcut, as the only one here narrows its map."""

    def __init__(self, n_in: int, n_out: int, kernel: int, *, stride: int) -> None:
        super().__init__()
        self.conv_dw = _conv(n_in, n_in, kernel, stride=stride, groups=n_in)
        self.bn1 = nn.BatchNorm2d(n_in, eps=EPS)
        self.conv_pw = _conv(n_in, n_out, 1)
        self.bn2 = nn.BatchNorm2d(n_out, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, n_in, H, W]` -> `[B, n_out, H / stride, W / stride]`."""
        y: Tensor = F.relu6(self.bn1(self.conv_dw(x)), inplace=True)
        out: Tensor = self.bn2(self.conv_pw(y))
        return out


class InvertedResidual(nn.Module):
    """A block that widens its map, looks around in every channel, and narrows it again (Sandler et al. 2018)."""

    def __init__(self, n_in: int, n_out: int, kernel: int, *, stride: int, wide: int) -> None:
        super().__init__()
        self.conv_pw = _conv(n_in, wide, 1)
        self.bn1 = nn.BatchNorm2d(wide, eps=EPS)
        self.conv_dw = _conv(wide, wide, kernel, stride=stride, groups=wide)
        self.bn2 = nn.BatchNorm2d(wide, eps=EPS)
        self.conv_pwl = _conv(wide, n_out, 1)
        self.bn3 = nn.BatchNorm2d(n_out, eps=EPS)
        self.skips = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        """`[B, n_in, H, W]` -> `[B, n_out, H / stride, W / stride]`."""
        y: Tensor = F.relu6(self.bn1(self.conv_pw(x)), inplace=True)
        y = F.relu6(self.bn2(self.conv_dw(y)), inplace=True)
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.skips else y


class EfficientNetLite0(nn.Module):
    """Maps of strides 2, 4, 8, 16 and 32 with 16, 24, 40, 112 and 320 channels.

    Args:
        n_in: input channels.
        stem: channels of the first convolution.
        share: of the channels that each block widens its map to, which Lite0 has sixfold.
    """

    reductions = (2, 4, 8, 16, 32)
    widths = tuple(STAGES[i].width for i in LAST_OF_STRIDE)

    def __init__(self, n_in: int, *, stem: int = STEM, share: float = 1.0) -> None:
        super().__init__()
        self.conv_stem = _conv(n_in, stem, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(stem, eps=EPS)
        stages, width = [], stem
        for stage in STAGES:
            blocks: list[nn.Module] = []
            for i in range(stage.repeats):
                stride = stage.stride if i == 0 else 1
                if stage.expansion == 1:
                    blocks.append(DepthwiseSeparableConv(width, stage.width, stage.kernel, stride=stride))
                else:
                    wide = kept(width * stage.expansion, share)
                    blocks.append(InvertedResidual(width, stage.width, stage.kernel, stride=stride, wide=wide))
                width = stage.width
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                fan_out = part.kernel_size[0] * part.kernel_size[1] * part.out_channels // part.groups
                nn.init.normal_(part.weight, std=math.sqrt(2 / fan_out))

    def forward(self, x: Tensor) -> list[Tensor]:
        """`[B, n_in, H, W]` -> five maps, finest first."""
        x = F.relu6(self.bn1(self.conv_stem(x)), inplace=True)
        maps = []
        for i, stage in enumerate(self.blocks):
            x = stage(x)
            if i in LAST_OF_STRIDE:
                maps.append(x)
        return maps
