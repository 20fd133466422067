"""Match the detections of one scene with its truth: greedy by score, one to one, class by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import shapely
from numpy.typing import NDArray

from geopdn.evaluate.regions import boxes_in
from geopdn.geometry import boxes as box
from geopdn.geometry import overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from geopdn.evaluate.labels import Truth

OverlapMode = Literal["oriented", "axis_aligned"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """The outcome for one scene; N detections, M true objects.

    Attributes:
        score: `[N]` scores, in the order the detections were given.
        label: `[N]` class of each detection.
        truth: `[N]` index of the true object it found, -1 if none.
        absorbed: `[N]` True where it lies on ignored truth or in an ignore region: counts neither for nor against.
        overlap: `[N]` IoU with the object found, 0 if none.
        offset_px: `[N]` distance of the centres in pixels, NaN if none was found.
        turn_deg: `[N]` difference of the length axes in degrees, in [0, 90], NaN if none was found.
        truth_label: `[M]` class of each true object.
        truth_ignored: `[M]` True for truth that is not counted.
        found_by: `[M]` index of the detection that found it, -1 if missed or ignored.
    """

    score: Floats
    label: Ints
    truth: Ints
    absorbed: Mask
    overlap: Floats
    offset_px: Floats
    turn_deg: Floats
    truth_label: Ints
    truth_ignored: Mask
    found_by: Ints


def match(
    boxes: box.Boxes,
    score: Floats,
    *,
    truth: Truth,
    labels: Ints | None = None,
    iou: float = 0.5,
    mode: OverlapMode | None = None,
) -> Matches:
    """Match detections with truth as COCO does: each, from the highest score down, takes the best free object.

    A detection that finds nothing free but covers ignored truth or lies in ignore regions (overlap over its own area at
    least `iou`) is absorbed; ignored truth absorbs any number. Equal scores are settled by row, then column.

    Args:
        boxes: `[N, 5]` detections, in the same pixels as the truth.
        score: `[N]`.
        truth: what is there.
        labels: `[N]` index into `truth.names`; None where there is one class.
        iou: the least overlap that counts as found.
        mode: `oriented` compares the boxes exactly, `axis_aligned` their enclosing upright boxes; None takes
            what the truth supports.

    Returns:
        Matches, in the order of the detections and of the truth.

    Raises:
        ValueError: a box or a score is not finite.
    """
    return match_each(boxes, score, truth=truth, labels=labels, ious=[iou], mode=mode)[0]


def match_each(
    boxes: box.Boxes,
    score: Floats,
    *,
    truth: Truth,
    ious: Sequence[float],
    labels: Ints | None = None,
    mode: OverlapMode | None = None,
) -> list[Matches]:
    """`match` at several overlaps, which are computed once.

    Raises:
        ValueError: a box or a score is not finite.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 5)
    score = np.asarray(score, np.float64)
    if not (np.isfinite(boxes).all() and np.isfinite(score).all()):
        msg = "detections must be finite numbers to be matched: filter them first (geopdn.merge counts them)"
        raise ValueError(msg)
    label = np.zeros(len(boxes), np.int64) if labels is None else np.asarray(labels, np.int64)
    upright = truth.axis_aligned if mode is None else mode == "axis_aligned"
    found = box.axis_aligned(boxes) if upright else boxes
    there = box.axis_aligned(truth.boxes) if upright else truth.boxes
    pairs = _overlaps(found, there).of(lambda row, col: label[row] == truth.labels[col])
    order = np.lexsort((boxes[:, 0], boxes[:, 1], -score))
    return [_matches(boxes, score, label, truth=truth, pairs=pairs, order=order, iou=iou) for iou in ious]


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Overlapping pairs `[P]`, sorted by detection, then true object; `covered` is the share of the detection."""

    row: Ints
    col: Ints
    iou: Floats
    covered: Floats

    def of(self, keep: Callable[[Ints, Ints], Mask]) -> _Pairs:
        """The pairs for which `keep(row, col)` holds."""
        mask = keep(self.row, self.col)
        return _Pairs(self.row[mask], self.col[mask], self.iou[mask], self.covered[mask])


def _matches(
    boxes: box.Boxes, score: Floats, label: Ints, *, truth: Truth, pairs: _Pairs, order: Ints, iou: float
) -> Matches:
    """The greedy assignment at one overlap, detections in the given order."""
    n = len(boxes)
    taken, best, free = np.full(n, -1, np.int64), np.zeros(n), ~truth.ignore
    enough = (pairs.iou >= iou) & free[pairs.col]
    row, col, ious = pairs.row[enough], pairs.col[enough], pairs.iou[enough]
    alone = (np.bincount(row, minlength=n)[row] == 1) & (np.bincount(col, minlength=len(truth))[col] == 1)
    taken[row[alone]], best[row[alone]] = col[alone], ious[alone]  # nobody else wants these
    row, col, ious = row[~alone], col[~alone], ious[~alone]
    starts = np.searchsorted(row, np.arange(n + 1)).tolist()
    for i in order[np.isin(order, row)].tolist():
        mine = np.arange(starts[i], starts[i + 1])
        mine = mine[free[col[mine]]]
        if len(mine):
            chosen = mine[np.argmax(ious[mine])]
            taken[i], best[i] = col[chosen], ious[chosen]
            free[col[chosen]] = False
    on_ignored = np.zeros(n, np.bool_)
    on_ignored[pairs.row[truth.ignore[pairs.col] & (pairs.covered >= iou)]] = True
    on_ignored |= boxes_in(boxes, truth.regions, share=iou)

    hit = taken >= 0
    matched = truth.boxes[taken[hit]]
    offset, turn = np.full(n, np.nan), np.full(n, np.nan)
    offset[hit] = np.hypot(*(boxes[hit, :2] - matched[:, :2]).T)
    turn[hit] = np.abs((np.degrees(boxes[hit, 4] - matched[:, 4]) + 90) % 180 - 90)
    found_by = np.full(len(truth), -1, np.int64)
    found_by[taken[hit]] = np.flatnonzero(hit)
    return Matches(
        score=score,
        label=label,
        truth=taken,
        absorbed=on_ignored & ~hit,
        overlap=best,
        offset_px=offset,
        turn_deg=turn,
        truth_label=truth.labels,
        truth_ignored=truth.ignore,
        found_by=found_by,
    )


def _overlaps(found: box.Boxes, there: box.Boxes) -> _Pairs:
    """All pairs whose upright bounds touch."""
    outlines = np.asarray(shapely.box(*box.bounds(found).T), dtype=object).reshape(-1)
    true_outlines = np.asarray(shapely.box(*box.bounds(there).T), dtype=object).reshape(-1)
    rows, cols = shapely.STRtree(true_outlines).query(outlines)
    order = np.lexsort((cols, rows))
    rows, cols = rows[order], cols[order]
    shared = overlap.shared_area(found[rows], there[cols])
    area, true_area = overlap.area(found)[rows], overlap.area(there)[cols]
    iou, covered = (
        np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
        for whole in (area + true_area - shared, area)
    )
    return _Pairs(rows, cols, iou, covered)
