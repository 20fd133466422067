"""Remove duplicates across windows and scales: ownership by cores, joining of cut boxes, then one of three rules.

An object belongs to the window whose core holds its centre, so duplicates are the exception: the same object in
overlapping cores, in windows of two scales, or one object cut by the edges of two windows. The result depends on
the set of detections only, never on their order, and merging a merged result changes nothing (but for Soft-NMS, which
leaves overlapping boxes with lower scores: it is to be used on what the windows found).

Memory is a few copies of the detections and a bounded number of pairs: every step is a sweep in blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geopdn.merge.fuse import fuse
from geopdn.merge.join import join
from geopdn.merge.order import n_uncut, ranking
from geopdn.merge.ownership import owned, reach_of
from geopdn.merge.soft import soften
from geopdn.merge.suppress import survivors

if TYPE_CHECKING:
    from geopdn.detections import Detections
    from geopdn.geometry.window import Size

Method = Literal["nms", "soft", "wbf"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True, eq=False)
class MergeResult:
    """What remains after merging, and what became of the rest.

    `len(detections) + n_nonfinite + n_foreign + n_weak + n_duplicates` is the number of detections that came in.

    Attributes:
        detections: one per object, in canonical order.
        n_nonfinite: dropped because the box or the score was not a finite number.
        n_foreign: dropped because the centre lies outside the core of the window that found it.
        n_weak: left out of weighted boxes fusion because the score lies below `fuse_from`.
        n_duplicates: suppressed by a better box, or used up in a joined or a fused one.
        n_joined: boxes in `detections` that were joined from pieces during this call.
    """

    detections: Detections
    n_nonfinite: int
    n_foreign: int
    n_weak: int
    n_duplicates: int
    n_joined: int


def merge(
    detections: Detections,
    *,
    cores: NDArray[np.int64],
    size: Size,
    method: Method = "nms",
    iou: float = 0.3,
    fuse_from: NDArray[np.float64] | None = None,
    core_margin_px: float = 4.0,
) -> MergeResult:
    """Remove duplicates across windows and scales.

    Args:
        detections: of all windows, in any order.
        cores: `[n_windows, 4]` row0, col0, row1, col1 of each window's core in level-0 pixels;
            `detections.window` points into it. See `core_array`.
        size: level-0 size of the scene: cores that reach its edge own what lies beyond it.
        method: what becomes of boxes that show one object, once cut ones are joined: the best stands (`nms`), all
            stand with lower scores (`soft`, see `geopdn.merge.soft`), or they become their mean (`wbf`, see
            `geopdn.merge.fuse`).
        iou: boxes of one class that overlap by more than this oriented IoU are one object.
        fuse_from: `[n_classes]` lowest score, once cut boxes are joined, that takes part in weighted boxes fusion.
        core_margin_px: a centre may lie this far outside its core, in pixels of the level it was found at.

    Returns:
        Detections with counts of what was dropped.

    Raises:
        ValueError: a detection names a window that has no core.
    """
    cores = np.asarray(cores, np.int64).reshape(-1, 4)
    if len(detections) and not (detections.window.min() >= 0 and detections.window.max() < len(cores)):
        low, high = detections.window.min(), detections.window.max()
        msg = f"detections name windows {low} to {high} but there are {len(cores)} cores: pass one core a window"
        raise ValueError(msg)
    finite = detections.is_finite()
    reach = reach_of(cores, size)
    keep = finite & owned(detections.boxes, detections.level, reach[detections.window], margin_px=core_margin_px)
    current = detections.take(keep)
    current = current.take(ranking(current))
    current, n_joined = _joined(current, reach, iou=iou, margin_px=core_margin_px, suppress=method == "nms")
    n_weak = 0
    if method == "soft":
        current = soften(current.take(_by_score(current)), iou=iou)
    elif method == "wbf":
        strong = np.ones(len(current), np.bool_) if fuse_from is None else current.score >= fuse_from[current.label]
        n_weak = int((~strong).sum())
        current = fuse(current.take(strong), reach, iou=iou, margin_px=core_margin_px)
    n_finite, n_owned = int(finite.sum()), int(keep.sum())
    return MergeResult(
        detections=current.in_canonical_order(),
        n_nonfinite=len(detections) - n_finite,
        n_foreign=n_finite - n_owned,
        n_weak=n_weak,
        n_duplicates=n_owned - n_weak - len(current),
        n_joined=n_joined,
    )


def _joined(
    current: Detections, reach: NDArray[np.float64], *, iou: float, margin_px: float, suppress: bool
) -> tuple[Detections, int]:
    """Drop cut pieces of objects that an uncut box shows and join the others; with suppression also all duplicates.

    Args:
        current: in the order of `ranking`.
        reach: see `reach_of`.
        iou: see `merge`.
        margin_px: see `merge`.
        suppress: whether whole boxes are struck, too.

    Returns:
        What remains, in the order of `ranking`, and how many boxes were joined from pieces.
    """
    n_joined, n_before = 0, -1
    while len(current) != n_before:  # what joining and suppression remove may have kept others from joining
        n_before, whole = len(current), n_uncut(current)
        current = survivors(current, range(whole), iou=iou, falls_from=0 if suppress else whole)
        current, n_new = join(current, reach, margin_px=margin_px)
        n_joined += n_new
        if suppress:
            current = survivors(current, range(0 if n_new else n_uncut(current), len(current)), iou=iou)
    return current, n_joined


def _by_score(ranked: Detections) -> NDArray[np.int64]:
    """`[N]` positions by descending score, equals in the order they are in."""
    return np.argsort(-ranked.score, kind="stable")
