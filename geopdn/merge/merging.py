"""Remove duplicates across windows and scales: ownership by cores, joining of cut boxes, oriented suppression.

An object belongs to the window whose core holds its centre, so duplicates are the exception: the same object in
overlapping cores, in windows of two scales, or one object cut by the edges of two windows. The result depends on
the set of detections only, never on their order, and merging a merged result changes nothing.

Memory is a few copies of the detections and a bounded number of pairs: every step is a sweep in blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geopdn.merge.join import join
from geopdn.merge.order import n_uncut, ranking
from geopdn.merge.ownership import owned, reach_of
from geopdn.merge.suppress import survivors

if TYPE_CHECKING:
    from geopdn.detections import Detections
    from geopdn.geometry.window import Size


@dataclass(frozen=True, slots=True, eq=False)
class MergeResult:
    """What remains after merging, and what became of the rest.

    `len(detections) + n_nonfinite + n_foreign + n_duplicates` is the number of detections that came in.

    Attributes:
        detections: one per object, in canonical order.
        n_nonfinite: dropped because the box or the score was not a finite number.
        n_foreign: dropped because the centre lies outside the core of the window that found it.
        n_duplicates: suppressed by a better box, or used up in a joined one.
        n_joined: boxes in `detections` that were joined from pieces during this call.
    """

    detections: Detections
    n_nonfinite: int
    n_foreign: int
    n_duplicates: int
    n_joined: int


def merge(
    detections: Detections, *, cores: NDArray[np.int64], size: Size, iou: float = 0.3, core_margin_px: float = 4.0
) -> MergeResult:
    """Remove duplicates across windows and scales.

    Args:
        detections: of all windows, in any order.
        cores: `[n_windows, 4]` row0, col0, row1, col1 of each window's core in level-0 pixels;
            `detections.window` points into it. See `core_array`.
        size: level-0 size of the scene: cores that reach its edge own what lies beyond it.
        iou: boxes of one class that overlap by more than this oriented IoU are one object.
        core_margin_px: a centre may lie this far outside its core, in pixels of the level it was found at.

    Returns:
        One detection per object, with counts of what was dropped.

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
    current, n_joined, n_before = detections.take(keep), 0, -1
    current = current.take(ranking(current))
    while len(current) != n_before:  # what joining and suppression remove may have kept others from joining
        n_before = len(current)
        current = survivors(current, range(n_uncut(current)), iou=iou)
        current, n_new = join(current, reach, margin_px=core_margin_px)
        current = survivors(current, range(0 if n_new else n_uncut(current), len(current)), iou=iou)
        n_joined += n_new
    n_finite, n_owned = int(finite.sum()), int(keep.sum())
    return MergeResult(
        detections=current.in_canonical_order(),
        n_nonfinite=len(detections) - n_finite,
        n_foreign=n_finite - n_owned,
        n_duplicates=n_owned - len(current),
        n_joined=n_joined,
    )
