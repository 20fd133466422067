"""Scores as probabilities: a curve for each level that windows are read at, fitted on held-out places."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from geopdn.model.curves import bent
from geopdn.model.head import Decoded

SCORE_KNOTS = tuple(float(logit) for logit in range(-5, 6))
"""Logits of the head's scores."""
GRID = 20  # places looked at between two knots
EPSILON = 1e-6


class ScoreCurves(nn.Module):
    """From the head's scores to probabilities of being right, by level; the identity until it is fitted.

    What a score means depends on the level: where an object has a quarter of the pixels, the same score is right less
    often. A curve that bends keeps the low end, which a slope and an offset (Platt 1999) press to zero.

    Args:
        n_levels: levels that windows are read at, from 0.
    """

    calibration: Tensor

    def __init__(self, n_levels: int) -> None:
        super().__init__()
        self.register_buffer("calibration", torch.zeros(n_levels, len(SCORE_KNOTS)))

    def forward(self, score: Tensor, level: Tensor) -> Tensor:
        """Scores of the head `[N]` at levels `[N]` -> probabilities `[N]`."""
        logits = torch.logit(score.double(), EPSILON)
        out = logits
        for n in range(len(self.calibration)):
            values = self.calibration[n : n + 1].to(score.device)
            out = torch.where(level == n, bent(logits[None], values, SCORE_KNOTS)[0], out)
        return torch.sigmoid(out).to(score.dtype)

    def of_logits(self, logits: Tensor, *, level: int) -> Tensor:
        """Logits of the head in windows of one level, of any shape -> probabilities, in their own precision."""
        limit = math.log((1 - EPSILON) / EPSILON)  # where `forward` ends too
        curve = self.calibration[level : level + 1]
        return torch.sigmoid(bent(logits.clamp(-limit, limit).reshape(1, -1), curve, SCORE_KNOTS)).reshape(logits.shape)

    def rescored(self, found: Decoded, levels: Tensor, *, min_score: float) -> Decoded:
        """Detections of a batch of windows with probabilities as scores, those below `min_score` left out.

        Args:
            found: with the head's scores, from `least_raw(min_score)` up.
            levels: `[n]` level that each window of the batch was read at.
            min_score: lowest probability that is kept.
        """
        score = self(found.score, levels[found.window])
        keep = score >= min_score
        return Decoded(found.window[keep], found.boxes[keep], score[keep], found.label[keep])

    def least_raw(self, probability: float) -> float:
        """A score of the head under which no level's probability reaches the given one."""
        first, last, step = SCORE_KNOTS[0] - 5, SCORE_KNOTS[-1] + 5, SCORE_KNOTS[1] - SCORE_KNOTS[0]
        logits = torch.linspace(first, last, int((last - first) / step * GRID) + 1, dtype=torch.float64)
        curves = self.calibration.double().cpu()
        reached = (torch.sigmoid(bent(logits.expand(len(curves), -1), curves, SCORE_KNOTS)) >= probability).any(0)
        start = int(torch.nonzero(reached)[0]) if bool(reached.any()) else len(logits) - 1
        return float(torch.sigmoid(logits[max(0, start - 1)])) if start > 0 else 0.0
