"""Non-maximum suppression inside one window: of boxes of one class that overlap, the best stands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry.boxes import Boxes, bounds
from geopdn.geometry.overlap import oriented_iou


def suppress(
    boxes: Boxes, score: NDArray[np.float64], label: NDArray[np.int64], *, iou: float, limit: int
) -> NDArray[np.int64]:
    """Positions of the boxes that stand, best first; ties go to the earlier box.

    Args:
        boxes: `[N, 5]`.
        score: `[N]`.
        label: `[N]`; boxes of different classes never suppress each other.
        iou: oriented overlap above which the weaker of two boxes falls.
        limit: at most so many stand.
    """
    order = np.argsort(-score, kind="stable")
    boxes, label = boxes[order], label[order]
    x0, y0, x1, y1 = bounds(boxes).T
    standing = np.ones(len(order), np.bool_)
    kept: list[int] = []
    for i in range(len(order)):
        if not standing[i]:
            continue
        kept.append(i)
        if len(kept) == limit:
            break
        near = standing & (label == label[i]) & (x0 < x1[i]) & (x1 > x0[i]) & (y0 < y1[i]) & (y1 > y0[i])
        near[: i + 1] = False
        others = np.flatnonzero(near)
        if len(others):
            standing[others] = oriented_iou(np.repeat(boxes[i : i + 1], len(others), 0), boxes[others]) <= iou
    return order[kept]
