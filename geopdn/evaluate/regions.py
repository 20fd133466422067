"""Ignore regions: areas of a scene whose objects nobody labelled, so that labels are silent there.

The term is that of VisDrone and UAVDT. Labelled objects inside a region stand; everything else in it is neither
background to learn nor a false alarm to count.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from geopdn.geometry import boxes as box

Geometries = NDArray[np.object_]
Mask = NDArray[np.bool_]


def pixels_in(regions: Geometries, *, height: int, width: int) -> Mask:
    """`[height, width]` True where a pixel's centre lies in a region (polygons in those pixels)."""
    mask = np.zeros((height, width), np.bool_)
    for region in regions:
        x0, y0, x1, y1 = shapely.bounds(region)
        c0, c1 = max(int(np.floor(x0)), 0), min(int(np.ceil(x1)), width)
        r0, r1 = max(int(np.floor(y0)), 0), min(int(np.ceil(y1)), height)
        if c1 > c0 and r1 > r0:
            y, x = np.mgrid[r0:r1, c0:c1] + 0.5
            mask[r0:r1, c0:c1] |= shapely.contains_xy(region, x, y)
    return mask


def boxes_in(boxes: box.Boxes, regions: Geometries, *, share: float = 0.5) -> Mask:
    """`[N]` True for boxes of whose area at least `share` lies in regions.

    Args:
        boxes: `[N, 5]` in the regions' pixels.
        regions: `[A]` polygons.
        share: in (0, 1].
    """
    inside = np.zeros(len(boxes), np.bool_)
    if not len(regions) or not len(boxes):
        return inside
    outlines = box.to_polygons(boxes)
    row, col = shapely.STRtree(regions).query(outlines)[:2]
    if len(row):
        near = np.unique(row)
        covered = shapely.area(shapely.intersection(outlines[near], shapely.union_all(regions[np.unique(col)])))
        inside[near] = covered >= share * shapely.area(outlines[near])
    return inside
