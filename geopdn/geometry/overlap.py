"""Overlap of oriented boxes paired row by row, exact and in plain numpy.

The outline of the first box is taken into the frame of the second and clamped to it; what the clamped outline
encloses is the common area. That is continuous in both boxes. General polygon clipping (GEOS 3.14 through shapely
2.2) is not: it gives an empty intersection for about one in two hundred pairs of rectangles that are equal up to
the last digits, which are just the duplicates that merging has to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geopdn.geometry.boxes import corners

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geopdn.geometry.boxes import Boxes

# Pairs worked on at once: about 3 kB each.
CHUNK = 1 << 11


def shared_area(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Area of intersection `[N]` in square pixels of boxes `[N, 5]` paired row by row; the sides must be >= 0."""
    first = np.asarray(first, np.float64).reshape(-1, 5)
    second = np.asarray(second, np.float64).reshape(-1, 5)
    if len(first) != len(second):
        msg = f"boxes are compared in pairs, got {len(first)} and {len(second)}"
        raise ValueError(msg)
    parts = [
        _shared(first[start : start + CHUNK], second[start : start + CHUNK]) for start in range(0, len(first), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def oriented_iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union `[N]` in [0, 1]; 0 where neither box has an area."""
    shared = shared_area(first, second)
    union = area(first) + area(second) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def covered(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Share `[N]` in [0, 1] of the second box that the first one covers; 0 where the second has no area."""
    shared, whole = shared_area(first, second), area(second)
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def area(boxes: Boxes) -> NDArray[np.float64]:
    """Areas `[N]` in square pixels."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 5)
    product: NDArray[np.float64] = boxes[:, 2] * boxes[:, 3]
    return product


def _shared(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """`shared_area` of one chunk."""
    moved = np.array(first)
    dx, dy = (first[:, :2] - second[:, :2]).T  # differences first: positions may be large
    cos, sin = np.cos(second[:, 4]), np.sin(second[:, 4])
    moved[:, 0], moved[:, 1] = cos * dx + sin * dy, cos * dy - sin * dx
    moved[:, 4] -= second[:, 4]
    start = corners(moved)  # [N, 4, 2]
    step = np.roll(start, -1, 1) - start
    half = second[:, None, 2:4] / 2  # [N, 1, 2]
    flat = step == 0
    divisor = np.where(flat, 1.0, step)
    crossings = [np.where(flat, 0.0, (side * half - start) / divisor) for side in (-1, 1)]
    bends = np.concatenate([*crossings, np.zeros_like(step[..., :1])], -1)  # [N, 4, 5], share of each side
    bends = np.sort(np.clip(bends, 0.0, 1.0), -1)[..., None]
    points = np.clip(start[:, :, None] + bends * step[:, :, None], -half[:, None], half[:, None])  # [N, 4, 5, 2]
    points = points.reshape(-1, 20, 2)
    following = np.roll(points, -1, 1)
    twice = (points[..., 0] * following[..., 1] - points[..., 1] * following[..., 0]).sum(1)
    most = np.minimum(area(first), area(second))
    shared: NDArray[np.float64] = np.clip(twice / 2, 0.0, most)
    return shared
