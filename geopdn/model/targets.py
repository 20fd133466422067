"""What the network should say: score maps, box targets and cell counts from true boxes. Pure NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIGMA_SHARE = 1 / 7  # standard deviation of a centre's Gaussian as a share of the side (TTFNet uses 0.54 / 6 = 1/11)
MIN_SIGMA = 0.7  # cells
POSITIVE = 0.55  # positions with a Gaussian above this learn the box


@dataclass(frozen=True, slots=True, eq=False)
class WindowTargets:
    """Targets of one window at head positions.

    Attributes:
        heat: `[classes, h, w]` float32, 1 at centres, falling off as a Gaussian of the box's shape.
        weight: `[h, w]` float32, weight of the box loss, 0 where no object is near.
        box: `[5, h, w]` float32: x, y (cells), log of both sides (cells), angle.
    """

    heat: NDArray[np.float32]
    weight: NDArray[np.float32]
    box: NDArray[np.float32]


def window_targets(
    boxes: NDArray[np.float64], labels: NDArray[np.int64], *, side: int, stride: float, n_classes: int
) -> WindowTargets:
    """Targets of objects whose centre lies in the window.

    Args:
        boxes: `[N, 5]` in tensor pixels: x, y, side along the angle, side across it, angle. Sides need not be
            sorted: without headings the angle is 0 and the sides are width and height.
        labels: `[N]` class indices.
        side: tensor pixels of the window.
        stride: tensor pixels per position.
        n_classes: number of classes.
    """
    n = round(side / stride)
    heat = np.zeros((n_classes, n, n), np.float32)
    weight = np.zeros((n, n), np.float32)
    box = np.zeros((5, n, n), np.float32)
    for (x, y, length, width, angle), label in _rows(boxes, labels, stride):
        col, row = int(np.floor(x)), int(np.floor(y))
        if not (0 <= col < n and 0 <= row < n):
            continue
        s_l, s_w = max(length * SIGMA_SHARE, MIN_SIGMA), max(width * SIGMA_SHARE, MIN_SIGMA)
        reach = int(np.ceil(3 * max(s_l, s_w)))
        r0, r1, c0, c1 = max(row - reach, 0), min(row + reach + 1, n), max(col - reach, 0), min(col + reach + 1, n)
        dy, dx = np.mgrid[r0:r1, c0:c1].astype(np.float32)
        dy, dx = dy - row, dx - col
        along, across = dx * np.cos(angle) + dy * np.sin(angle), -dx * np.sin(angle) + dy * np.cos(angle)
        gauss = np.exp(-0.5 * ((along / s_l) ** 2 + (across / s_w) ** 2)).astype(np.float32)
        np.maximum(heat[label, r0:r1, c0:c1], gauss, out=heat[label, r0:r1, c0:c1])
        near = (gauss >= POSITIVE) & (gauss > weight[r0:r1, c0:c1])
        weight[r0:r1, c0:c1][near] = gauss[near]
        values = np.array([x, y, np.log(max(length, 0.05)), np.log(max(width, 0.05)), angle], np.float32)
        box[:, r0:r1, c0:c1][:, near] = values[:, None]
    return WindowTargets(heat, weight, box)


def _rows(boxes: NDArray[np.float64], labels: NDArray[np.int64], stride: float) -> list[tuple[tuple[float, ...], int]]:
    scaled = boxes / np.array([stride, stride, stride, stride, 1.0])
    return [(tuple(map(float, row)), int(label)) for row, label in zip(scaled, labels, strict=True)]


def size_classes(boxes: NDArray[np.float64], edges_px: Sequence[float]) -> NDArray[np.int64]:
    """Size class `[N]` of boxes `[N, 5]` by the longer side, in level-0 pixels."""
    longer = boxes[:, 2:4].max(1, initial=0.0)
    return np.asarray(np.searchsorted(np.asarray(edges_px), longer, side="right"), np.int64)


def cell_counts(
    boxes: NDArray[np.float64], *, shape: tuple[int, int], cell_px: int, edges_px: Sequence[float]
) -> NDArray[np.float32]:
    """Objects `[K, h, w]` whose centre lies in each cell, by size class. Boxes in level-0 pixels from the corner."""
    counts = np.zeros((len(edges_px) + 1, *shape), np.float32)
    col, row = np.floor(boxes[:, 0] / cell_px).astype(int), np.floor(boxes[:, 1] / cell_px).astype(int)
    inside = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
    np.add.at(counts, (size_classes(boxes, edges_px)[inside], row[inside], col[inside]), 1)
    return counts
