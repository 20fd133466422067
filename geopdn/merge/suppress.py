"""Greedy suppression as a sweep from the best box down, in blocks whose pairs are counted before they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geopdn.merge.likeness import likeness
from geopdn.merge.neighbours import Neighbours, bounds_of

if TYPE_CHECKING:
    from geopdn.detections import Detections

Index = NDArray[np.int64]

# Candidates that may be held at once: about 150 bytes each.
MAX_PAIRS = 1 << 19
BLOCK = 1 << 14


def struck_by(found: Detections, strikers: range, *, iou: float, falls_from: int = 0) -> Index:
    """Greedy suppression, exactly: a box falls if a better box that itself stands shows the same object.

    Boxes are taken in blocks, from the best down; a block is settled within itself, then what stands in it strikes
    everything below.

    Args:
        found: in the order of `ranking`.
        strikers: positions that may strike others; the rest are only struck.
        iou: see `merge`.
        falls_from: first position that may be struck.

    Returns:
        `[N]` the best box that struck each one; its own position where it stands.
    """
    striker = np.arange(len(found))
    standing = np.ones(len(found), np.bool_)
    limits = bounds_of(found.boxes, least_side=1.0)  # a box without area still has neighbours
    neighbours = Neighbours(limits[falls_from:])
    start = strikers.start
    while start < strikers.stop:
        block = np.arange(start, min(start + BLOCK, strikers.stop))
        start += len(block)
        block = block[standing[block]]
        if not len(block):
            continue
        n, position, lower = neighbours.of(limits[block], limit=MAX_PAIRS)
        if n < len(block):
            start = int(block[n])
            block = block[:n]
        upper, lower = block[position], falls_from + lower
        near = (lower > upper) & standing[lower] & (found.label[lower] == found.label[upper])
        upper, lower = upper[near], lower[near]
        within = lower <= block[-1]
        first = np.flatnonzero(within)
        first = first[np.lexsort((lower[first], upper[first]))]
        first = first[likeness(found, limits, upper[first], lower[first], iou=iou) > 0]
        for strong, weak in zip(upper[first].tolist(), lower[first].tolist(), strict=True):
            if standing[strong] and standing[weak]:
                standing[weak], striker[weak] = False, strong
        upper, lower = upper[~within], lower[~within]
        alive = standing[upper]
        upper, lower = upper[alive], lower[alive]
        same = likeness(found, limits, upper, lower, iou=iou) > 0
        np.minimum.at(striker, lower[same], upper[same])
        standing[lower[same]] = False
    return striker


def survivors(found: Detections, strikers: range, *, iou: float, falls_from: int = 0) -> Detections:
    """What stands after `struck_by`."""
    striker = struck_by(found, strikers, iou=iou, falls_from=falls_from)
    return found.take(striker == np.arange(len(found)))
