"""Stage 1 and the trunk of stage 3: the global stream over the overview, the high-resolution stream over windows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopdn.model.backbones import Backbone, Neck, conv_block, initialise

CELL_STRIDE = 4
GRID_STRIDE = 16


def overview_channels(n_bands: int) -> int:
    """Channels of the global input: mean, brightest and darkest excess of each band, validity, statistics known."""
    return 3 * n_bands + 2


def pack_overview(mean: Tensor, low: Tensor | None, high: Tensor | None, valid: Tensor) -> Tensor:
    """The global stream's input from the statistics of each overview pixel.

    Args:
        mean: `[B, C, H, W]` mean of the scene pixels under each overview pixel, stretched to about [0, 1].
        low: their minimum, or None where only the mean is known.
        high: their maximum, or None.
        valid: `[B, 1, H, W]` share of valid pixels in [0, 1].

    Returns:
        `[B, 3C + 2, H, W]`; unknown statistics are zero and flagged as unknown by the last channel.
    """
    if low is None or high is None:
        excess = torch.zeros_like(mean).repeat(1, 2, 1, 1)
        known = torch.zeros_like(valid)
    else:
        excess = torch.cat([high - mean, mean - low], 1)
        known = torch.ones_like(valid)
    return torch.cat([mean, 2 * excess, valid, known], 1) * torch.cat(
        [valid.expand(-1, 3 * mean.shape[1], -1, -1), torch.ones_like(valid), torch.ones_like(valid)], 1
    )


def pack_means(mean: Tensor, valid: Tensor) -> Tensor:
    """The input of `geopdn.model.means.MeansStream`, where minima and maxima are not known; arguments as above.

    Returns:
        `[B, C + 1, H, W]`, channels last.
    """
    b, n, h, w = mean.shape
    packed = torch.empty(b, n + 1, h, w, dtype=mean.dtype, device=mean.device, memory_format=torch.channels_last)
    torch.mul(mean, valid, out=packed[:, :n])
    packed[:, n:] = valid
    return packed


def overview_of(pixels: Tensor, valid: Tensor, *, step: int) -> Tensor:
    """`pack_overview` computed from full-resolution pixels.

    Args:
        pixels: `[B, C, H, W]` stretched to about [0, 1], zero where not valid; H and W multiples of `step`.
        valid: `[B, 1, H, W]` 0 or 1.
        step: scene pixels per overview pixel.

    Returns:
        `[B, 3C + 2, H/step, W/step]`.
    """
    return pack_overview(*statistics_of(pixels, valid, step=step))


def statistics_of(pixels: Tensor, valid: Tensor, *, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, minimum, maximum and valid share under each overview pixel; arguments as of `overview_of`."""
    share = F.avg_pool2d(valid, step)
    some = share.clamp_min(1e-6)
    mean = F.avg_pool2d(pixels * valid, step) / some
    low = -F.max_pool2d(torch.where(valid > 0, -pixels, -9.0), step)
    high = F.max_pool2d(torch.where(valid > 0, pixels, -9.0), step)
    empty = share == 0
    low, high = torch.where(empty, mean, low), torch.where(empty, mean, high)
    return mean, low, high, share


@dataclass(frozen=True, slots=True)
class GlobalFeatures:
    """What the global stream sees.

    Attributes:
        cells: `[B, D, h, w]` features of saliency cells, stride 4 of the overview.
        grid: `[B, G, h/4, w/4]` the global grid, stride 16 of the overview.
    """

    cells: Tensor
    grid: Tensor


class GlobalStream(nn.Module):
    """The whole scene at low resolution through the global backbone.

    Args:
        backbone: takes `overview_channels(C)` channels, finest map of stride 4, with a map of stride 16.
        width: channels of the cells.
        grid: channels of the global grid.
        separable: of the neck.
    """

    def __init__(self, backbone: nn.Module, *, width: int, grid: int, separable: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        maps: Backbone = backbone  # type: ignore[assignment]
        self.neck = Neck(maps.channels, width, separable=separable)
        self.grid_index = maps.strides.index(GRID_STRIDE)
        self.grid_out = nn.Conv2d(maps.channels[self.grid_index], grid, 1)
        initialise(self)

    def forward(self, overview: Tensor) -> GlobalFeatures:
        """`[B, 3C + 2, H, W]`, H and W multiples of 16 -> features."""
        maps = self.backbone(overview)
        return GlobalFeatures(cells=self.neck(maps), grid=self.grid_out(maps[self.grid_index]))


@dataclass(frozen=True, slots=True)
class PatchFeatures:
    """What the high-resolution stream sees in a batch of windows.

    Attributes:
        head: `[n, neck, s/stride, s/stride]` map that the detection head reads.
        tokens: `[n, 16, dim]` a 4x4 summary for fusion.
        pooled: `[n, dim]` its mean, for the controller.
    """

    head: Tensor
    tokens: Tensor
    pooled: Tensor


class HighResStream(nn.Module):
    """Windows through the high-resolution backbone, batched.

    Args:
        backbone: takes C bands; its finest map is the head's.
        neck: channels of the head's map.
        dim: embedding size of tokens.
    """

    def __init__(self, backbone: nn.Module, *, neck: int, dim: int) -> None:
        super().__init__()
        self.backbone = backbone
        maps: Backbone = backbone  # type: ignore[assignment]
        self.neck = Neck(maps.channels, neck)
        self.deep = conv_block(neck, neck)
        self.to_tokens = nn.Linear(maps.channels[-1], dim)
        initialise(self)

    def forward(self, windows: Tensor) -> PatchFeatures:
        """`[n, C, s, s]`, s a multiple of 32 -> features."""
        maps = self.backbone(windows)
        summary = _four_by_four(maps[-1]).flatten(2).transpose(1, 2)  # [n, 16, channels]
        tokens = self.to_tokens(summary)
        return PatchFeatures(head=self.deep(self.neck(maps)), tokens=tokens, pooled=tokens.mean(1))


def _four_by_four(x: Tensor) -> Tensor:
    """Means of `[n, C, h, w]` over a grid of 4 x 4; where sides divide by 4, in operations that ONNX has."""
    n, c, h, w = x.shape
    if h % 4 or w % 4:
        return F.adaptive_avg_pool2d(x, 4)
    return x.reshape(n, c, 4, h // 4, 4, w // 4).mean((3, 5))
