"""Labels that mark one object twice, as label sets put together from several passes do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from geopdn.geometry import boxes as box
from geopdn.geometry import overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Boxes of one class that overlap by more than this IoU mark one object. In labels of real airports neighbours
# overlap by up to 0.2 and repeated boxes by 0.5 to 1, with nothing in between.
REPEAT_IOU = 0.5


def first_of_each(boxes: box.Boxes, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """For every label the index of the one that it repeats, its own where it repeats none.

    Args:
        boxes: `[M, 5]` in pixels; the earlier of two stands.
        labels: `[M]` class indices; objects of two classes never repeat each other.

    Returns:
        `[M]` indices; those that stand are where `result == arange(M)`.
    """
    first = np.arange(len(boxes))
    if len(boxes) < 2:
        return first
    outlines = np.asarray(shapely.box(*box.bounds(boxes).T), dtype=object)
    upper, lower = shapely.STRtree(outlines).query(outlines)
    pair = (upper < lower) & (labels[upper] == labels[lower])
    upper, lower = upper[pair], lower[pair]
    repeated = overlap.oriented_iou(boxes[upper], boxes[lower]) > REPEAT_IOU
    upper, lower = upper[repeated], lower[repeated]
    for index in np.lexsort((lower, upper)).tolist():
        if first[upper[index]] == upper[index]:  # what repeats another does not stand, and nothing repeats it
            first[lower[index]] = min(first[lower[index]], upper[index])
    return first
