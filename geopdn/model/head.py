"""The detection head: anchor-free, oriented boxes from the finest map of a window."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopdn.model.backbones import conv_block
from geopdn.model.targets import POSITIVE

N_REGRESSION = 6  # dx, dy (cells), log length, log width (cells), cos 2t, sin 2t


@dataclass(frozen=True, slots=True)
class HeadMaps:
    """Raw outputs of the head, one value a position of the window's finest map.

    Attributes:
        logits: `[n, classes, h, w]` score logits of an object's centre lying there.
        regression: `[n, 6, h, w]`: centre offset from the position's centre in cells (x, y), log length and log
            width in cells, and the direction of the length axis as (cos 2t, sin 2t), so that half a turn is no turn.
    """

    logits: Tensor
    regression: Tensor


class DetectionHead(nn.Module):
    """Centre points (Zhou et al. 2019, "Objects as Points") with oriented boxes, conditioned on the global grid.

    The fused grid modulates the head's features by a gain and an offset per channel (FiLM, Perez et al. 2018),
    without a bias: no context, or a zero one, changes nothing.

    Args:
        width: channels of the head's input.
        n_classes: classes.
        context: channels of the grid's vector.
    """

    def __init__(self, width: int, *, n_classes: int, context: int) -> None:
        super().__init__()
        self.film = nn.Linear(context, 2 * width, bias=False)
        nn.init.zeros_(self.film.weight)
        self.score = nn.Sequential(conv_block(width, width), nn.Conv2d(width, n_classes, 1))
        self.box = nn.Sequential(conv_block(width, width), nn.Conv2d(width, N_REGRESSION, 1))
        last: nn.Conv2d = self.score[-1]  # type: ignore[assignment]
        nn.init.normal_(last.weight, std=0.01)
        nn.init.constant_(last.bias, -math.log(0.99 / 0.01))  # type: ignore[arg-type]

    def forward(self, features: Tensor, context: Tensor | None = None) -> HeadMaps:
        """Features `[n, width, h, w]` and grid vectors `[n, context]` (None: no context) -> raw maps."""
        if context is not None:
            gain, offset = self.film(context)[:, :, None, None].chunk(2, 1)
            features = features * (1 + gain) + offset
        return HeadMaps(logits=self.score(features).float(), regression=self.box(features).float())


def box_values(regression: Tensor, x: Tensor, y: Tensor, *, stride: float, has_heading: bool) -> Tensor:
    """Boxes `[..., 5]` from regression `[..., 6]` at positions of index x, y `[...]`.

    Without a heading the two sizes are width along x and height along y and the angle is 0.
    """
    cx = (x + 0.5 + regression[..., 0]) * stride
    cy = (y + 0.5 + regression[..., 1]) * stride
    sides = regression[..., 2:4].clamp(-4, 6).exp() * stride
    angle = torch.atan2(regression[..., 5], regression[..., 4]) / 2 if has_heading else torch.zeros_like(cx)
    return torch.stack([cx, cy, sides[..., 0], sides[..., 1], angle], -1)


def agreed(maps: HeadMaps) -> Tensor:
    """The regression `[n, 6, h, w]` in which each position says what it and its eight neighbours say of a box.

    Their mean, weighted by how far their scores exceed a share of its own: positions around a centre, down to that
    share of its heat, all learn its box (`window_targets`), and each errs by itself. `geopdn.model.decoded` does so
    where boxes are; this is for programs that are told the whole map.
    """
    h, w = maps.logits.shape[-2:]
    score = torch.sigmoid(maps.logits.amax(1, keepdim=True))
    padded, said = F.pad(score, (1, 1, 1, 1)), F.pad(maps.regression, (1, 1, 1, 1))
    total, weights = torch.zeros_like(maps.regression), torch.zeros_like(score)
    for down in range(3):
        for right in range(3):
            here = (..., slice(down, down + h), slice(right, right + w))
            weight = (padded[here] - POSITIVE * score).clamp_min(0)
            x, y = said[here][:, :1] + (right - 1), said[here][:, 1:2] + (down - 1)
            total = total + weight * torch.cat([x, y, said[here][:, 2:]], 1)
            weights = weights + weight
    return total / weights.clamp_min(1e-12)
