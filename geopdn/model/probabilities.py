"""Scores as probabilities: a curve for each level that windows are read at, fitted on held-out places. No torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geopdn.model.decoded import Decoded

SCORE_KNOTS = tuple(float(logit) for logit in range(-5, 6))
"""Logits of the head's scores."""
GRID = 20  # places looked at between two knots
EPSILON = 1e-6

Floats = NDArray[np.floating]


class Probabilities:
    """From the head's scores to probabilities of being right, by level; the identity until curves are fitted.

    What a score means depends on the level: where an object has a quarter of the pixels, the same score is right less
    often. A curve that bends keeps the low end, which a slope and an offset (Platt 1999) press to zero.

    Args:
        calibration: `[levels, len(SCORE_KNOTS)]` what is added to logits at the knots; in between it is interpolated.
    """

    def __init__(self, calibration: Floats) -> None:
        self._curves = np.asarray(calibration, np.float64)

    def __call__(self, score: Floats, level: NDArray[np.integer]) -> Floats:
        """Scores of the head `[N]` at levels `[N]` -> probabilities `[N]`."""
        clipped = np.asarray(score, np.float64).clip(EPSILON, 1 - EPSILON)
        logits = np.log(clipped / (1 - clipped))
        out = logits.copy()
        for n, curve in enumerate(self._curves):
            at = level == n
            out[at] += np.interp(logits[at], SCORE_KNOTS, curve)
        return np.asarray(1 / (1 + np.exp(-out)), np.asarray(score).dtype)

    def rescored(self, found: Decoded, levels: NDArray[np.integer], *, min_score: float) -> Decoded:
        """Detections of a batch of windows with probabilities as scores, those below `min_score` left out.

        Args:
            found: with the head's scores, from `least_raw(min_score)` up.
            levels: `[n]` level that each window of the batch was read at.
            min_score: lowest probability that is kept.
        """
        score = self(found.score, levels[found.window])
        return replace(found, score=score).take(score >= min_score)

    def least_raw(self, probability: float) -> float:
        """A score of the head under which no level's probability reaches the given one."""
        first, last, step = SCORE_KNOTS[0] - 5, SCORE_KNOTS[-1] + 5, SCORE_KNOTS[1] - SCORE_KNOTS[0]
        logits = np.linspace(first, last, int((last - first) / step * GRID) + 1)
        bent = np.stack([logits + np.interp(logits, SCORE_KNOTS, curve) for curve in self._curves])
        reached = (1 / (1 + np.exp(-bent)) >= probability).any(0)
        start = int(reached.argmax()) if reached.any() else len(logits) - 1
        return float(1 / (1 + np.exp(-logits[max(0, start - 1)]))) if start > 0 else 0.0
