"""Whether two boxes show one object, and how alike they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry import overlap

if TYPE_CHECKING:
    from geopdn.detections import Detections
    from geopdn.geometry.boxes import Boxes

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

# A cut box that an uncut one covers by more than this share of its own area is a piece of the same object.
COVERED = 0.6
# Boxes shorter than this many level-0 pixels are also compared by the distance of their centres: between boxes of
# a few pixels the IoU jumps with every fraction of a pixel.
TINY_PX = 8.0
TINY_DISTANCE = 0.5
PAIR_CHUNK = 1 << 16


def likeness(found: Detections, limits: Floats, upper: Index, lower: Index, *, iou: float) -> Floats:
    """How alike pairs of boxes are.

    Args:
        found: detections.
        limits: `[N, 4]` bounds of their boxes, or wider.
        upper: `[P]` the better box of each pair.
        lower: `[P]` the other one.
        iou: boxes that overlap by more show one object.

    Returns:
        `[P]` 0 where the two show two objects; else the oriented IoU, for tiny boxes 1 - the distance of their centres
        if that is more, and 1 for the piece of an uncut box.
    """
    alike = np.zeros(len(upper))
    for start in range(0, len(upper), PAIR_CHUNK):
        part = slice(start, start + PAIR_CHUNK)
        first, second = found.boxes[upper[part]], found.boxes[lower[part]]
        area_first, area_second = overlap.area(first), overlap.area(second)
        a, b = limits[upper[part]], limits[lower[part]]
        sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)  # [P, 2]
        most = np.minimum(sides.prod(1), np.minimum(area_first, area_second))  # upper bound of the overlap
        piece = found.cut[lower[part]] & ~found.cut[upper[part]]
        may = (most > iou * (area_first + area_second - most)) | (piece & (most > COVERED * area_second))
        shared = np.zeros(len(first))
        shared[may] = overlap.shared_area(first[may], second[may])
        union = area_first + area_second - shared
        one = shared > iou * union
        values = np.divide(shared, union, out=np.zeros(len(first)), where=one & (union > 0))
        values[piece & (shared > COVERED * area_second)] = 1.0
        tiny = (first[:, 2:4].max(1, initial=0) < TINY_PX) & (second[:, 2:4].max(1, initial=0) < TINY_PX)
        distance = centre_distance(first[tiny], second[tiny])
        values[tiny] = np.maximum(values[tiny], np.where(distance < TINY_DISTANCE, 1 - distance, 0.0))
        alike[part] = values
    return alike


def centre_distance(first: Boxes, second: Boxes) -> Floats:
    """Distance of centres `[P]` in units of the boxes' mean extent in that direction.

    The Mahalanobis distance under the mean of the two boxes' covariances (sides of at least a pixel): for equal
    squares the distance over the side; boxes that touch side by side or end to end are 1 apart.
    """
    total = np.zeros((len(first), 3))  # xx, xy, yy
    for boxes in (first, second):
        along, across = np.maximum(boxes[:, 2:4], 1.0).T ** 2
        cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
        total[:, 0] += along * cos**2 + across * sin**2
        total[:, 1] += (along - across) * cos * sin
        total[:, 2] += along * sin**2 + across * cos**2
    xx, xy, yy = total.T / 2
    dx, dy = (first[:, :2] - second[:, :2]).T
    squared = (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / (xx * yy - xy**2)
    distance: Floats = np.sqrt(np.maximum(squared, 0.0))
    return distance
