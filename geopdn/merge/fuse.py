"""Weighted boxes fusion (Solovyev et al. 2021), for oriented boxes: boxes of one object become their weighted mean.

Clusters are those of greedy suppression, the best box with all that it strikes, where the authors compare with the
running mean of a cluster: the result does not depend on the order of equals and takes bounded memory. Fusion is
repeated until no two boxes show one object. As in the paper, positions and sides are means weighted by score, and the
score is the plain mean; it is not scaled by the number of models, since a place is mostly seen by one window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geopdn.detections import Detections
from geopdn.merge.order import ranking
from geopdn.merge.ownership import NOBODY, owners
from geopdn.merge.suppress import struck_by

if TYPE_CHECKING:
    from geopdn.geometry.boxes import Boxes

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST_WEIGHT = 1e-9  # of boxes with a score of 0


def fuse(found: Detections, reach: Floats, *, iou: float, margin_px: float) -> Detections:
    """Replace boxes that show one object by their mean.

    A piece of an object that a whole box shows takes no part in the mean. The mean belongs to the window of its best
    member whose core holds it; where no core does, the best member's box stays in its place.

    Args:
        found: in the order of `ranking`.
        reach: `[n_windows, 4]`, see `reach_of`.
        iou: see `merge`.
        margin_px: see `merge`.

    Returns:
        Detections, no two of which show one object.
    """
    total, count = found.score.copy(), np.ones(len(found))
    while True:
        leader = struck_by(found, range(len(found)), iou=iou)
        standing = leader == np.arange(len(found))
        if standing.all():
            return found
        taking_part = found.cut == found.cut[leader]
        members = np.flatnonzero(taking_part)
        group = (np.cumsum(standing) - 1)[leader[members]]
        n = int(standing.sum())
        sums, counts = (_sums(column[members], group, n) for column in (total, count))
        several = np.bincount(group, minlength=n) > 1
        fused = _fused(found, np.flatnonzero(standing), members, group, np.maximum(total, LEAST_WEIGHT)[members])
        window = owners(
            fused, found.level[standing], reach, group=group, window=found.window[members], margin_px=margin_px
        )
        moved = several & (window != NOBODY)
        current = found.take(standing)
        found = Detections(
            boxes=np.where(moved[:, None], fused, current.boxes),
            score=np.where(several, sums / counts, current.score),
            label=current.label,
            window=np.where(moved, window, current.window),
            level=current.level,
            cut=current.cut,
        )
        order = ranking(found)
        found, total, count = found.take(order), sums[order], counts[order]


def _sums(values: Floats, group: Index, n: int) -> Floats:
    """Sums `[n]` of values `[M]` by group."""
    return np.bincount(group, weights=values, minlength=n).astype(np.float64, copy=False)


def _fused(found: Detections, leaders: Index, members: Index, group: Index, weight: Floats) -> Boxes:
    """Weighted means `[G, 5]` of boxes.

    Angles are averaged modulo half a circle, by doubled angles; a box within 45 degrees of the best one's width axis
    has its sides exchanged first, since for nearly square boxes which side is the length is chance.

    Args:
        found: detections.
        leaders: `[G]` the best box of each group.
        members: `[M]` boxes of all groups.
        group: `[M]` the group of each.
        weight: `[M]` positive.
    """
    lead, boxes = found.boxes[leaders][group], found.boxes[members]
    turn = (boxes[:, 4] - lead[:, 4] + np.pi / 2) % np.pi - np.pi / 2  # [M], in [-pi/2, pi/2)
    across = np.abs(turn) > np.pi / 4
    turn = np.where(across, turn - np.copysign(np.pi / 2, turn), turn)
    sides = np.where(across[:, None], boxes[:, [3, 2]], boxes[:, 2:4])
    n = len(leaders)
    whole = _sums(weight, group, n)

    def mean(values: Floats) -> Floats:
        return np.asarray(_sums(weight * values, group, n) / whole)

    shift = [mean(boxes[:, axis] - lead[:, axis]) for axis in (0, 1)]  # from the leader: positions may be large
    growth = [mean(sides[:, axis] - lead[:, 2 + axis]) for axis in (0, 1)]
    angle = found.boxes[leaders, 4] + np.arctan2(mean(np.sin(2 * turn)), mean(np.cos(2 * turn))) / 2
    angle = np.where(np.abs(angle) <= np.pi / 2, angle, angle - np.copysign(np.pi, angle))
    angle = np.where(angle >= np.pi / 2, -np.pi / 2, angle)
    return np.column_stack([found.boxes[leaders, :4] + np.column_stack([*shift, *growth]), angle])
