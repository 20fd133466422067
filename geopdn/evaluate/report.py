"""Score a file of detections against a file of labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from geopdn.errors import LabelError
from geopdn.evaluate.grid import frame_around, recorded_frame
from geopdn.evaluate.labels import class_texts, read_labels, read_layer, to_pixels
from geopdn.evaluate.matching import Matches, OverlapMode, match_each
from geopdn.evaluate.precision import (
    LengthBin,
    PrecisionRecall,
    average_precision,
    best_f1,
    f1_at,
    mean_average_precision,
    mean_offset_px,
    median_turn_deg,
    recall_by_length,
)
from geopdn.geometry import boxes as box
from geopdn.geometry import ground
from geopdn.output.frames import ground_sizes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from geopdn.detections import SceneFrame
    from geopdn.evaluate.labels import Truth

COCO_IOUS = tuple(0.5 + 0.05 * step for step in range(10))
LENGTH_EDGES_M = (0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, float("inf"))


@dataclass(frozen=True, slots=True)
class ClassScore:
    """Average precision and recall of one class; None where the class has no true object."""

    ap: float | None
    recall: float | None
    n_truth: int
    n_detections: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good the detections of one scene are. Every number is None where there is nothing to measure it on.

    Attributes:
        iou: overlap from which an object counts as found.
        mode: how overlap was measured.
        grid: where the pixel grid came from: `scene`, `run` (the detections' own record) or `extent`.
        n_truth: true objects that count.
        n_ignored: true objects not scored (truncated, or with the centre outside).
        n_outside: labels that do not touch the scene.
        n_repeated: labels left out because an earlier one marks the same object.
        n_detections: detections in the file.
        n_absorbed: detections on ignored truth, not scored.
        ap: average precision at `iou` (101 points), mean over the classes that occur; no cap on detections.
        ap_50_95: mean over the overlaps 0.50, 0.55 ... 0.95.
        ap_reason: why `ap` is None, else an empty text.
        precision: of all detections in the file.
        recall: of all detections in the file.
        f1: of all detections in the file.
        best_f1: at the best threshold.
        best_threshold: detections with at least this score give `best_f1`.
        offset_m: mean ground distance between the centres of objects and of their boxes; in pixels without a CRS.
        heading_error_deg: median, modulo 180, of objects at least twice as long as wide.
        by_length: recall by ground length.
        by_class: class name to its scores.
    """

    iou: float
    mode: OverlapMode
    grid: str
    n_truth: int
    n_ignored: int
    n_outside: int
    n_repeated: int
    n_detections: int
    n_absorbed: int
    ap: float | None
    ap_50_95: float | None
    ap_reason: str
    precision: float | None
    recall: float | None
    f1: float | None
    best_f1: float | None
    best_threshold: float | None
    offset_m: float | None
    heading_error_deg: float | None
    by_length: tuple[LengthBin, ...]
    by_class: dict[str, ClassScore]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; an open-ended length bin has `high_m` None."""
        out = asdict(self)
        out["by_length"] = [
            {**asdict(part), "high_m": part.high_m if np.isfinite(part.high_m) else None} for part in self.by_length
        ]
        return out

    def to_markdown(self) -> str:
        """Tables for people."""
        rows = [
            (f"AP at IoU {self.iou:.2f} ({self.mode.replace('_', '-')})", _show(self.ap) or self.ap_reason),
            ("AP at IoU 0.50 to 0.95", _show(self.ap_50_95)),
            ("precision, all detections", _show(self.precision)),
            ("recall, all detections", _show(self.recall)),
            ("F1, all detections", _show(self.f1)),
            (f"best F1 (score from {_show(self.best_threshold) or '-'})", _show(self.best_f1)),
            ("mean offset, m", _show(self.offset_m, 2)),
            ("median heading error, degrees", _show(self.heading_error_deg, 1)),
            ("detections (on ignored truth)", f"{self.n_detections} ({self.n_absorbed})"),
            (
                "true objects (ignored, outside, marked twice)",
                f"{self.n_truth} ({self.n_ignored}, {self.n_outside}, {self.n_repeated})",
            ),
        ]
        lines = ["| measure | value |", "|---|---|", *(f"| {name} | {value or '-'} |" for name, value in rows)]
        lines += ["", "| length, m | objects | recall |", "|---|---|---|"]
        for part in self.by_length:
            if part.n_truth:
                span = f"{part.low_m:g} to {part.high_m:g}" if np.isfinite(part.high_m) else f"from {part.low_m:g}"
                lines.append(f"| {span} | {part.n_truth} | {_show(part.recall)} |")
        if len(self.by_class) > 1:
            lines += ["", "| class | objects | detections | AP | recall |", "|---|---|---|---|---|"]
            for name, one in self.by_class.items():
                cell = name.replace("|", "\\|")
                values = f"{one.n_truth} | {one.n_detections} | {_show(one.ap) or '-'} | {_show(one.recall) or '-'}"
                lines.append(f"| {cell} | {values} |")
        return "\n".join(lines) + "\n"


def evaluate_result(
    detections: str | Path,
    labels: str | Path,
    *,
    frame: SceneFrame | None = None,
    iou: float = 0.5,
    mode: OverlapMode | None = None,
    layer: str | None = None,
    label_field: str | None = None,
    point_size_m: float | None = None,
    one_class: bool = False,
) -> Evaluation:
    """Score a file of detections against a file of labels.

    Both are brought to one pixel grid: the scene's, where given; else the one that the layer `run` of the
    detections records; else a metric grid around both.

    Args:
        detections: file written by geopdn, or any with polygons and a column `score`.
        labels: vector labels, see `read_labels`.
        frame: the scene.
        iou: overlap from which an object counts as found.
        mode: how to measure overlap; None takes what detections and labels support: upright boxes where the
            detections have no heading.
        layer: layer of the labels.
        label_field: column of the labels with the class names.
        point_size_m: ground size of the square that stands for a label that is a point.
        one_class: compare places only, whatever the classes are called.

    Returns:
        The scores.

    Raises:
        LabelError: a file cannot be used, or the two have no class in common.
    """
    table = read_layer(detections, preferred="detections")
    if "score" not in table.columns:
        msg = f"{detections} has no column 'score': give detections first, labels second"
        raise LabelError(msg)
    grid = "scene"
    if frame is None:
        frame, grid = recorded_frame(detections), "run"
    there = read_layer(labels, layer=layer, preferred="labels")
    if frame is None:
        frame, grid = frame_around(table, there, name=str(detections)), "extent"
    boxes, score, texts = _found(table, detections, frame)
    upright = len(table) > 0 and "heading_deg" in table.columns and bool(table["heading_deg"].isna().all())
    truth = read_labels(
        labels,
        frame,
        layer=layer,
        label_field=label_field,
        point_size_m=point_size_m,
        upright=upright,
        allow_empty=not len(there),
    )
    names = sorted({*truth.names, *texts})
    if one_class:
        names, texts = ["object"], ["object"] * len(texts)
    elif texts and len(truth) and not set(texts) & set(truth.names):
        msg = (
            f"{detections} holds {sorted(set(texts))}, {labels} holds {list(truth.names)}: no class in common; "
            f"rename them or compare as one class"
        )
        raise LabelError(msg)
    truth_labels = [0 if one_class else names.index(truth.names[label]) for label in truth.labels]
    truth = replace(truth, labels=np.array(truth_labels, np.int64), names=tuple(names))
    found_labels = np.array([names.index(text) for text in texts], np.int64)
    ious = (iou, *COCO_IOUS)
    matches = match_each(boxes, score, truth=truth, labels=found_labels, ious=ious, mode=mode)
    return _evaluation(
        matches, truth, frame, iou=iou, mode=mode or ("axis_aligned" if truth.axis_aligned else "oriented"), grid=grid
    )


def _evaluation(
    matches: list[Matches], truth: Truth, frame: SceneFrame, *, iou: float, mode: OverlapMode, grid: str
) -> Evaluation:
    """Numbers of the matches at `iou` (the first) and at COCO's overlaps (the rest)."""
    n_classes = len(truth.names)
    first = matches[0]
    curve = average_precision([first])
    each = [mean_average_precision([scene], n_classes=n_classes) for scene in matches[1:]]
    known = [ap for ap in each if ap is not None]
    best, threshold = best_f1(curve)
    length_m = ground_sizes(truth.boxes, frame)[0] if frame.crs is not None else truth.boxes[:, 2]
    elongation = truth.boxes[:, 2] / np.maximum(truth.boxes[:, 3], 1e-9)
    offset_px = mean_offset_px([first])
    return Evaluation(
        iou=iou,
        mode=mode,
        grid=grid,
        n_truth=curve.n_truth,
        n_ignored=int(truth.ignore.sum()),
        n_outside=truth.n_outside,
        n_repeated=truth.n_repeated,
        n_detections=len(first.score),
        n_absorbed=int(first.absorbed.sum()),
        ap=mean_average_precision([first], n_classes=n_classes),
        ap_50_95=float(np.mean(known)) if known else None,
        ap_reason=curve.reason,
        precision=float(curve.precision[-1]) if len(curve.precision) else None,
        recall=_recall(curve),
        f1=f1_at(curve, -np.inf),
        best_f1=best,
        best_threshold=threshold,
        offset_m=None if offset_px is None else offset_px * _pixel_m(truth, frame),
        heading_error_deg=None if truth.axis_aligned else median_turn_deg([first], [elongation]),
        by_length=recall_by_length([first], [length_m], edges_m=LENGTH_EDGES_M),
        by_class={name: _class_score(first, label) for label, name in enumerate(truth.names)},
    )


def _class_score(matches: Matches, label: int) -> ClassScore:
    curve = average_precision([matches], label=label)
    return ClassScore(ap=curve.ap, recall=_recall(curve), n_truth=curve.n_truth, n_detections=curve.n_detections)


def _recall(curve: PrecisionRecall) -> float | None:
    return curve.n_found / curve.n_truth if curve.n_truth else None


def _found(table: Any, path: str | Path, frame: SceneFrame) -> tuple[box.Boxes, NDArray[np.float64], list[str]]:
    """Boxes `[N, 5]` in the frame's pixels, scores `[N]` and class names of the detections.

    Raises:
        LabelError: a score is not a finite number.
    """
    shapes, source, _, _ = to_pixels(np.asarray(table.geometry.values, object), table.crs, frame, name=str(path))
    score = np.asarray(table["score"], np.float64)[source]
    if not np.isfinite(score).all():
        msg = f"{path}: {int((~np.isfinite(score)).sum())} scores are not finite numbers: correct the file"
        raise LabelError(msg)
    texts = class_texts(table, path, label_field=None)
    return box.from_polygons(shapes), score, [texts[index] for index in source.tolist()]


def _pixel_m(truth: Truth, frame: SceneFrame) -> float:
    """Ground size of a pixel amid the truth; 1 without a CRS."""
    if frame.crs is None or not len(truth):
        return 1.0
    x, y = truth.boxes[:, :2].mean(0)
    return ground.pixel_size(frame.transform, frame.crs, col=float(x), row=float(y)).mean_m


def _show(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"
