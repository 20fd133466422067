"""From what the windows found to the result of a run: merge, then keep what scores enough, in the area of interest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.detections import OVERVIEW_KIND, Detections, WindowRecord
from geopdn.geometry.window import Size
from geopdn.merge.merging import Method, merge
from geopdn.merge.ownership import core_array


@dataclass(frozen=True, slots=True)
class MergeRule:
    """How boxes become objects.

    Attributes:
        min_score: lowest score of the result, one a class.
        method: see `merge`.
        iou: see `merge`.
    """

    min_score: tuple[float, ...]
    method: Method = "nms"
    iou: float = 0.3

    def to_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """The fact `merge` of a run."""
        scores = dict(zip(classes, self.min_score, strict=True))
        return {"method": self.method, "iou": self.iou, "min_score": scores}


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The result of merging a run.

    Attributes:
        detections: in canonical order.
        windows: with what was found in each.
        n_duplicates: see `MergeResult`.
    """

    detections: Detections
    windows: tuple[WindowRecord, ...]
    n_duplicates: int


def decide(
    raw: Detections,
    windows: Sequence[WindowRecord],
    *,
    size: Size,
    rule: MergeRule,
    inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None,
) -> Decision:
    """Merge what the windows found and keep what counts.

    Args:
        raw: of all windows.
        windows: what was looked at; damage met outside any window owns nothing.
        size: level-0 size of the scene.
        rule: how.
        inside: which level-0 positions `[N, 2]` (column, row) lie in the area of interest.

    Raises:
        ValueError: a detection names a window that is not there.
    """
    least = np.array(rule.min_score)
    cores = core_array([record for record in windows if record.kind != OVERVIEW_KIND])
    merged = merge(raw, cores=cores, size=size, method=rule.method, iou=rule.iou, fuse_from=least)
    found = merged.detections
    found = found.take(found.score >= least[found.label])
    if inside is not None:
        found = found.take(inside(found.boxes[:, :2]))
    counts = np.bincount(found.window, minlength=1 + max((record.index for record in windows), default=-1))
    counted = tuple(replace(record, found=int(counts[record.index])) for record in windows)
    return Decision(found, counted, merged.n_duplicates)
