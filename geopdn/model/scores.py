"""What the network holds of the curves that make probabilities of scores."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from geopdn.model.curves import bent
from geopdn.model.probabilities import EPSILON, SCORE_KNOTS, Probabilities


class ScoreCurves(nn.Module):
    """The curves as a buffer of the network, see `geopdn.model.probabilities`.

    Args:
        n_levels: levels that windows are read at, from 0.
    """

    calibration: Tensor

    def __init__(self, n_levels: int) -> None:
        super().__init__()
        self.register_buffer("calibration", torch.zeros(n_levels, len(SCORE_KNOTS)))

    @property
    def probabilities(self) -> Probabilities:
        """The curves as they are now."""
        return Probabilities(self.calibration.cpu().numpy())

    def of_logits(self, logits: Tensor, *, level: int) -> Tensor:
        """Logits of the head in windows of one level, of any shape -> probabilities, in their own precision."""
        limit = math.log((1 - EPSILON) / EPSILON)  # where `Probabilities` ends too
        curve = self.calibration[level : level + 1]
        return torch.sigmoid(bent(logits.clamp(-limit, limit).reshape(1, -1), curve, SCORE_KNOTS)).reshape(logits.shape)
