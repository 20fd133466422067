"""Stage 2, first half: expected objects by size class for every cell, and the priorities of window kinds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geopdn.model.curves import bent
from geopdn.model.surroundings import AROUND_KNOTS


@dataclass(frozen=True, slots=True)
class Saliency:
    """Expected counts.

    Attributes:
        rate: `[B, K, h, w]` expected number of objects of each size class whose centre lies in the cell, >= 0.
        dispersion: `[B, 1, h, w]` how far the rate can be trusted: the count's variance is
            `rate + dispersion * rate**2` (negative binomial); 0 would be a perfect Poisson rate.
    """

    rate: Tensor
    dispersion: Tensor


RAW_LIMITS = (-16.0, 4.0)
"""Of the logarithms of rates before they are calibrated."""
KNOTS = tuple(math.log(10.0) * decade for decade in range(-7, 2))  # natural logarithms of rates


class SaliencyHead(nn.Module):
    """A 1x1 convolution from cell features to rates, with a calibration curve for each size class.

    Args:
        width: channels of the cells.
        n_sizes: size classes K.

    Attributes:
        calibration: `[K, len(KNOTS)]` of the curves.
        surroundings: `[len(AROUND_KNOTS)]` what rates are worth by what is expected around them; applied to the map of
            a whole scene, see `geopdn.model.surroundings`.
    """

    calibration: Tensor
    surroundings: Tensor

    def __init__(self, width: int, *, n_sizes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, n_sizes + 1, 1)
        nn.init.normal_(self.conv.weight, std=0.01)
        nn.init.constant_(self.conv.bias[:n_sizes], -5.0)  # type: ignore[index]
        nn.init.constant_(self.conv.bias[n_sizes:], 0.0)  # type: ignore[index]
        self.register_buffer("calibration", torch.zeros(n_sizes, len(KNOTS)))  # fitted after training
        self.register_buffer("surroundings", torch.zeros(len(AROUND_KNOTS)))  # likewise

    def forward(self, cells: Tensor) -> Saliency:
        """Features `[B, D, h, w]` -> `Saliency` (float32)."""
        raw = self.conv(cells).float()
        raw_logs = raw[:, :-1].clamp(*RAW_LIMITS)
        logs = bent(raw_logs.flatten(2), self.calibration, KNOTS).view_as(raw_logs)
        return Saliency(rate=logs.exp(), dispersion=raw[:, -1:].clamp(-6.0, 6.0).exp())


class PatchPriorities(nn.Module):
    """Learnable priorities: the probability that a window of each kind finds an object of each size class.

    Trained by binary cross-entropy on what windows of each kind found, then refitted on calibration scenes.
    """

    def __init__(self, *, n_kinds: int, n_sizes: int, initial: float = 0.9) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.full((n_kinds, n_sizes), math.log(initial / (1 - initial))))

    def forward(self) -> Tensor:
        """Probabilities `[n_kinds, n_sizes]`."""
        return torch.sigmoid(self.theta)
