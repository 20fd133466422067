"""Soft-NMS (Bodla et al. 2017, the linear form): a box that a better one overlaps loses score instead of falling.

The best box that is left is settled; every other one that shows the same object has its score multiplied by
1 - overlap; and so on. Here all boxes that are the best of their own surroundings are settled together, block by block
from the best down: scores only fall, so the result is that of one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geopdn.merge.likeness import likeness
from geopdn.merge.neighbours import Neighbours, bounds_of
from geopdn.merge.suppress import BLOCK, MAX_PAIRS

if TYPE_CHECKING:
    from geopdn.detections import Detections

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

# Boxes whose score falls below are dropped, as in the authors' code.
LEAST_SCORE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class _Links:
    """Pairs of boxes that show one object: `upper` is of the block, `lower` any other; `keeps` = 1 - overlap."""

    upper: Index
    lower: Index
    keeps: Floats

    def take(self, mask: Mask) -> _Links:
        return _Links(self.upper[mask], self.lower[mask], self.keeps[mask])


def soften(found: Detections, *, iou: float) -> Detections:
    """Lower the scores of boxes that better ones overlap.

    Args:
        found: in the order of `ranking`, which breaks ties.
        iou: boxes of one class that overlap by more lose that share of their score.

    Returns:
        The boxes, in the same order, whose score is still at least `LEAST_SCORE`.
    """
    score = found.score.copy()
    left = score >= LEAST_SCORE
    limits = bounds_of(found.boxes, least_side=1.0)
    neighbours = Neighbours(limits)
    while left.any():
        block = _best(np.flatnonzero(left), score, BLOCK + 1)
        n, position, lower = neighbours.of(limits[block[:BLOCK]], limit=MAX_PAIRS)
        upper = block[position]
        near = left[lower] & (lower != upper) & (found.label[lower] == found.label[upper])
        upper, lower = upper[near], lower[near]
        alike = likeness(found, limits, upper, lower, iou=iou)
        order = np.lexsort((lower, upper))
        order = order[alike[order] > 0]
        links = _Links(upper[order], lower[order], 1 - alike[order])
        _settle(score, left, block=block[:n], following=block[n : n + 1], links=links)
    return replace(found, score=score).take(score >= LEAST_SCORE)


def _best(pool: Index, score: Floats, n: int) -> Index:
    """The n best of the pool (ascending positions), by descending score; ties go to the lower position."""
    if len(pool) > n:
        scores = score[pool]
        last = np.partition(scores, len(pool) - n)[len(pool) - n]
        above = pool[scores > last]
        pool = np.concatenate([above, pool[scores == last][: n - len(above)]])
    return pool[np.lexsort((pool, -score[pool]))]


def _settle(score: Floats, left: Mask, *, block: Index, following: Index, links: _Links) -> None:
    """Settle those of a block that nothing left can still lower; changes `score` and `left` in place.

    Args:
        score: `[N]`.
        left: `[N]` True for boxes that are not settled.
        block: the best that are left, from the best down.
        following: the best box that is not in the block, if any: no other is better than its score now.
        links: all of boxes of the block.
    """
    settled, beaten = np.zeros(len(left), np.bool_), np.zeros(len(left), np.bool_)
    bar = [(float(score[one]), int(one)) for one in following]
    in_block = np.zeros(len(left), np.bool_)
    in_block[block] = True
    while True:
        block = block[left[block]]
        links = links.take(left[links.upper] & left[links.lower])
        s, t = score[links.upper], score[links.lower]
        wins = in_block[links.lower] & ((t > s) | ((t == s) & (links.lower < links.upper)))
        beaten[block] = False
        beaten[links.upper[wins]] = True
        free: Mask = ~beaten[block]
        for limit, place in bar:
            free &= (score[block] > limit) | ((score[block] == limit) & (block < place))
        best = block[free]
        if not len(best):
            return
        left[best], settled[best] = False, True
        struck = settled[links.upper] & left[links.lower]
        np.multiply.at(score, links.lower[struck], links.keeps[struck])
        left[links.lower[struck]] &= score[links.lower[struck]] >= LEAST_SCORE
