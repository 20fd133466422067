"""Score maps as boxes: local maxima, each with what it and its neighbours say of the box. Arrays, no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopdn.model.targets import POSITIVE

NEIGHBOURS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]

Floats = NDArray[np.floating]
Indices = NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Detections of a batch of windows as flat columns.

    Attributes:
        window: `[N]` index in the batch.
        boxes: `[N, 5]` x, y, length, width, angle in the window's own tensor pixels (edge convention).
        score: `[N]` in [0, 1].
        label: `[N]` class index.
        n_invalid: boxes that were dropped because they were not finite or had no area.
    """

    window: Indices
    boxes: Floats
    score: Floats
    label: NDArray[np.int64]
    n_invalid: int = 0

    def take(self, keep: NDArray[np.bool_] | Indices) -> Decoded:
        """Some of them."""
        return Decoded(self.window[keep], self.boxes[keep], self.score[keep], self.label[keep], self.n_invalid)


def decode(
    logits: NDArray[np.float32],
    regression: NDArray[np.float32],
    *,
    stride: float,
    has_heading: bool,
    min_score: float,
    limit: int = 512,
) -> Decoded:
    """Local maxima of the score maps as boxes (Zhou et al. 2019, "Objects as Points").

    A box is the mean of what its position and the eight around say, weighted by how far their scores exceed a share of
    its own: positions around a centre, down to that share of its heat, all learn its box (`window_targets`), and each
    errs by itself.

    Args:
        logits: `[n, classes, h, w]`, see `geopdn.model.head.HeadMaps`.
        regression: `[n, 6, h, w]`, likewise.
        stride: tensor pixels per position.
        has_heading: without, the two sizes are width along x and height along y, and the angle is 0.
        min_score: lowest score that is kept.
        limit: at most this many a window.

    Returns:
        Detections sorted by window, then by descending score, ties by class, row, column.
    """
    window, label, y, x = _peaks(logits, min_score=min_score)
    score = _sigmoid(logits[window, label, y, x])
    order = np.lexsort((x, y, label, -score, window))
    rank = np.arange(len(order)) - np.searchsorted(window[order], window[order])
    kept = order[rank < limit]
    window, label, y, x, score = window[kept], label[kept], y[kept], x[kept], score[kept]
    said = _agreed(logits, regression, window, y, x)
    boxes = _boxes(said, x, y, stride=stride, has_heading=has_heading)
    return Decoded(window=window, boxes=boxes, score=score, label=label.astype(np.int64))


def _peaks(logits: NDArray[np.float32], *, min_score: float) -> tuple[Indices, Indices, Indices, Indices]:
    """Window, class, row and column of local maxima with at least a score."""
    lowest = -math.inf if min_score <= 0 else math.inf
    if 0 < min_score < 1:
        lowest = math.log(min_score / (1 - min_score)) - 1e-3  # rounding is seen to below
    n, label, y, x = np.nonzero(logits >= lowest)
    own = logits[n, label, y, x]
    padded = np.pad(logits, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    top = np.maximum.reduce([padded[n, label, y + 1 + down, x + 1 + right] for down, right in NEIGHBOURS])
    score = _sigmoid(own)
    peak = (own == top) & (score >= min_score) & (score > 0)
    return n[peak], label[peak], y[peak], x[peak]


def _agreed(
    logits: NDArray[np.float32], regression: NDArray[np.float32], window: Indices, y: Indices, x: Indices
) -> NDArray[np.float32]:
    """What positions say of a box `[N, 6]` together with their neighbours."""
    h, w = logits.shape[-2:]
    total, weights = np.zeros((len(x), regression.shape[1]), np.float32), np.zeros((len(x), 1), np.float32)
    own = _sigmoid(logits[window, :, y, x].max(1, initial=-np.inf))
    for down, right in NEIGHBOURS:
        row, col = y + down, x + right
        inside = (row >= 0) & (row < h) & (col >= 0) & (col < w)
        row, col = row.clip(0, h - 1), col.clip(0, w - 1)
        theirs = _sigmoid(logits[window, :, row, col].max(1, initial=-np.inf))
        weight = (np.maximum(theirs - np.float32(POSITIVE) * own, 0) * inside)[:, None]
        said = regression[window, :, row, col]
        said[:, 0] += right
        said[:, 1] += down
        total += weight * said
        weights += weight
    return np.asarray(total / np.maximum(weights, np.float32(1e-12)), np.float32)


def _boxes(said: NDArray[np.float32], x: Indices, y: Indices, *, stride: float, has_heading: bool) -> Floats:
    """Boxes `[N, 5]` from regression `[N, 6]` at positions, as `geopdn.model.head.box_values`."""
    boxes = np.zeros((len(x), 5), np.float32)
    boxes[:, 0] = (x + np.float32(0.5) + said[:, 0]) * np.float32(stride)
    boxes[:, 1] = (y + np.float32(0.5) + said[:, 1]) * np.float32(stride)
    boxes[:, 2:4] = np.exp(said[:, 2:4].clip(-4, 6)) * np.float32(stride)
    if has_heading:
        boxes[:, 4] = np.arctan2(said[:, 5], said[:, 4]) / 2
    return boxes


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
