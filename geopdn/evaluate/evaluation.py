"""The record of an evaluation: every number with what it means."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from geopdn.evaluate.markdown import to_markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopdn.evaluate.bootstrap import Interval
    from geopdn.evaluate.calibration import Reliability
    from geopdn.evaluate.matching import OverlapMode
    from geopdn.evaluate.precision import LengthBin, PrecisionRecall


@dataclass(frozen=True, slots=True)
class Averages:
    """Average precision (101 points) with one kind of overlap; None where there is no true object.

    Attributes:
        ap: at the overlap asked for.
        ap_50: at 0.50.
        ap_50_95: mean over the overlaps 0.50, 0.55 ... 0.95.
    """

    ap: float | None
    ap_50: float | None
    ap_50_95: float | None


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class. Numbers are None where the class has no true object; `overlaps` as in `Evaluation`."""

    ap: float | None
    recall: float | None
    n_truth: int
    n_detections: int
    overlaps: dict[OverlapMode, Averages]


@dataclass(frozen=True, slots=True)
class PlaceScore:
    """One place: its scenes, and their scores together at the overlap asked for."""

    place: str
    scenes: tuple[str, ...]
    n_truth: int
    n_detections: int
    ap: float | None
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good detections are, all scenes together. Every number is None where there is nothing to measure it on.

    Attributes:
        iou: overlap from which an object counts as found.
        mode: how overlap was measured for everything but `overlaps`.
        grid: where the pixel grids came from: `scene`, `run` (the detections' own record), `extent`, or `mixed`.
        n_scenes: scenes that were scored.
        n_places: places that they show.
        n_truth: true objects that count.
        n_ignored: true objects not scored (truncated, with the centre outside, or without pixels).
        n_outside: labels that touch no scene.
        n_unseen: those of the ignored that lie where the scene has no valid pixels; 0 without the scene.
        n_repeated: labels left out because an earlier one marks the same object.
        n_detections: detections in the files.
        n_absorbed: detections on ignored truth or in ignore regions, not scored.
        ap: average precision at `iou` (101 points), mean over the classes that occur; no cap on detections.
        ap_50: at the overlap 0.50.
        ap_50_95: mean over the overlaps 0.50, 0.55 ... 0.95.
        ap_reason: why `ap` is None, else an empty text.
        precision: of all detections in the files.
        recall: of all detections in the files.
        f1: of all detections in the files.
        best_f1: at the best threshold.
        best_threshold: detections with at least this score give `best_f1`.
        offset_m: mean ground distance between the centres of objects and of their boxes; in pixels without a CRS.
        heading_error_deg: median, modulo 180, of objects at least twice as long as wide.
        overlaps: average precisions by kind of overlap: `axis_aligned` (the upright boxes around both) always,
            `oriented` where both sides have headings.
        intervals: 95 % intervals of `ap`, `ap_50`, `ap_50_95`, `precision`, `recall` and `f1` by resampling places;
            None with one place.
        intervals_note: what to know of the intervals, or why there are none.
        reliability: whether scores are probabilities; None where nothing was found or a score is no probability.
        by_length: recall by ground length.
        by_class: class name to its scores.
        by_place: places in the order of their names.
        without_labels: scenes with detections but without labels: not scored.
        without_result: scenes with labels but without detections: not scored.
        curves: precision against recall, all classes pooled, by kind of overlap; not part of `to_dict`.
        class_curves: the same by class, with `mode`.
    """

    iou: float
    mode: OverlapMode
    grid: str
    n_scenes: int
    n_places: int
    n_truth: int
    n_ignored: int
    n_outside: int
    n_unseen: int
    n_repeated: int
    n_detections: int
    n_absorbed: int
    ap: float | None
    ap_50: float | None
    ap_50_95: float | None
    ap_reason: str
    precision: float | None
    recall: float | None
    f1: float | None
    best_f1: float | None
    best_threshold: float | None
    offset_m: float | None
    heading_error_deg: float | None
    overlaps: dict[OverlapMode, Averages]
    intervals: dict[str, Interval | None] | None
    intervals_note: str
    reliability: Reliability | None
    by_length: tuple[LengthBin, ...]
    by_class: dict[str, ClassScore]
    by_place: tuple[PlaceScore, ...]
    without_labels: tuple[str, ...]
    without_result: tuple[str, ...]
    curves: dict[OverlapMode, PrecisionRecall]
    class_curves: dict[str, PrecisionRecall]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; an open-ended length bin has `high_m` None."""
        out = {item.name: getattr(self, item.name) for item in fields(self) if "curves" not in item.name}
        plain: dict[str, Any] = _plain(out)
        for part in plain["by_length"]:
            part["high_m"] = part["high_m"] if np.isfinite(part["high_m"]) else None
        return plain

    def to_markdown(self, *, pictures: Sequence[tuple[str, str]] = ()) -> str:
        """Tables for people, see `geopdn.evaluate.markdown`."""
        return to_markdown(self, pictures=pictures)


def _plain(value: Any) -> Any:
    """Dataclasses as dicts, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
