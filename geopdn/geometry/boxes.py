"""Oriented boxes as float64 arrays `[N, 5]`: x, y, length, width, angle.

Positions are pixels of level 0 in the edge convention: (0, 0) is the outer corner of the first pixel, the
first pixel's centre is (0.5, 0.5); x runs along columns, y along rows (down). The angle is the direction of
the length axis in radians, from +x towards +y, modulo pi, in [-pi/2, pi/2). An oriented box looks the same
turned by half a circle, so an angle never says which end is the bow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

Boxes = NDArray[np.float64]

BOX_FIELDS = ("x", "y", "length", "width", "angle")


def normalise(boxes: Boxes) -> Boxes:
    """The same boxes `[N, 5]` with length >= width and angle in [-pi/2, pi/2)."""
    out = np.array(boxes, dtype=np.float64).reshape(-1, 5)
    swap = out[:, 3] > out[:, 2]
    out[swap, 2], out[swap, 3] = out[swap, 3].copy(), out[swap, 2].copy()
    out[swap, 4] += np.pi / 2
    out[:, 4] = (out[:, 4] + np.pi / 2) % np.pi - np.pi / 2
    return out


def corners(boxes: Boxes) -> NDArray[np.float64]:
    """Corner points `[N, 4, 2]` (x, y) of boxes `[N, 5]`, in the order of increasing angle in pixel axes."""
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 5)
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along = np.stack([cos, sin], -1) * boxes[:, 2:3] / 2  # [N, 2]
    across = np.stack([-sin, cos], -1) * boxes[:, 3:4] / 2  # [N, 2]
    offsets = np.stack([along + across, -along + across, -along - across, along - across], 1)  # [N, 4, 2]
    points: NDArray[np.float64] = boxes[:, None, :2] + offsets
    return points


def bounds(boxes: Boxes) -> NDArray[np.float64]:
    """Axis-aligned bounds `[N, 4]` (x0, y0, x1, y1) of boxes `[N, 5]`."""
    points = corners(boxes)
    return np.concatenate([points.min(1), points.max(1)], 1)


def axis_aligned(boxes: Boxes) -> Boxes:
    """The enclosing axis-aligned boxes, again as `[N, 5]`: angle 0 or -pi/2, length >= width."""
    x0, y0, x1, y1 = bounds(boxes).T
    return normalise(np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, np.zeros_like(x0)], 1))


def to_polygons(boxes: Boxes) -> NDArray[np.object_]:
    """Shapely polygons `[N]` of boxes `[N, 5]`, in pixel coordinates."""
    return np.asarray(shapely.polygons(corners(boxes)), dtype=object)


def from_corners(points: NDArray[np.float64]) -> Boxes:
    """Boxes `[N, 5]` from the four corners `[N, 4, 2]` of rectangles, in ring order."""
    points = np.asarray(points, dtype=np.float64).reshape(-1, 4, 2)
    centre = points.mean(1)
    first, second = points[:, 1] - points[:, 0], points[:, 2] - points[:, 1]
    first_length, second_length = np.hypot(*first.T), np.hypot(*second.T)
    angle = np.arctan2(first[:, 1], first[:, 0])
    return normalise(np.column_stack([centre, first_length, second_length, angle]))


def from_polygons(polygons: Sequence[shapely.Geometry] | NDArray[np.object_], *, min_side: float = 0.0) -> Boxes:
    """Minimum rotated rectangles `[N, 5]` of geometries in pixel coordinates.

    Args:
        polygons: geometries, `[N]`; points and lines give boxes without area.
        min_side: length and width are raised to at least this many pixels.

    Returns:
        Boxes, in the order of the geometries.
    """
    rectangles = np.asarray(shapely.oriented_envelope(np.asarray(polygons, dtype=object)), dtype=object)
    boxes = np.zeros((len(rectangles), 5))
    solid = shapely.get_type_id(rectangles) == shapely.GeometryType.POLYGON
    boxes[solid] = from_corners(shapely.get_coordinates(rectangles[solid]).reshape(-1, 5, 2)[:, :4])
    for index in np.flatnonzero(~solid):
        points = np.asarray(rectangles[index].coords)
        step = points[-1] - points[0]
        angle = np.arctan2(step[1], step[0])
        boxes[index] = normalise(np.array([[*points.mean(0), np.hypot(*step), 0.0, angle]]))[0]
    boxes[:, 2:4] = np.maximum(boxes[:, 2:4], min_side)
    return boxes
