"""An evaluation as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from geopdn.evaluate.evaluation import Evaluation

_FEW_NAMES = 20


def to_markdown(report: Evaluation, *, pictures: Sequence[tuple[str, str]] = ()) -> str:
    """The report as Markdown.

    Args:
        report: what to tell.
        pictures: `(caption, relative path)` of each plot.
    """
    parts = [
        _measures(report),
        [f"{report.intervals_note}."] if report.n_scenes > 1 else [],
        _left_over(report),
        _by_overlap(report) if len(report.overlaps) > 1 else [],
        _by_length(report),
        _by_class(report) if len(report.by_class) > 1 else [],
        _by_place(report) if report.n_scenes > 1 else [],
        _reliability(report),
        *([f"![{caption}]({path})"] for caption, path in pictures),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _measures(report: Evaluation) -> list[str]:
    kind = report.mode.replace("_", "-")
    rows = [
        (f"AP at IoU {report.iou:.2f} ({kind})", _show(report.ap) or report.ap_reason, "ap"),
        ("AP at IoU 0.50", _show(report.ap_50), "ap_50"),
        ("AP at IoU 0.50 to 0.95", _show(report.ap_50_95), "ap_50_95"),
        ("precision, all detections", _show(report.precision), "precision"),
        ("recall, all detections", _show(report.recall), "recall"),
        ("F1, all detections", _show(report.f1), "f1"),
        (f"best F1 (score from {_show(report.best_threshold) or '-'})", _show(report.best_f1), ""),
        ("mean offset, m", _show(report.offset_m, 2), ""),
        ("median heading error, degrees", _show(report.heading_error_deg, 1), ""),
        ("detections (on ignored truth or in ignore regions)", f"{report.n_detections} ({report.n_absorbed})", ""),
        (
            "true objects (ignored, outside, marked twice)",
            f"{report.n_truth} ({report.n_ignored}, {report.n_outside}, {report.n_repeated})",
            "",
        ),
    ]
    if report.n_unseen:
        rows.append(("of the ignored: without pixels", str(report.n_unseen), ""))
    if report.n_scenes > 1:
        rows.append(("scenes (places)", f"{report.n_scenes} ({report.n_places})", ""))
    if report.iou == 0.5:
        rows = [row for row in rows if row[2] != "ap_50"]
    if report.intervals is None:
        return _table(("measure", "value"), [row[:2] for row in rows])
    spans = {name: f"{span.low:.3f} to {span.high:.3f}" for name, span in report.intervals.items() if span}
    return _table(("measure", "value", "95 % interval"), [(*row[:2], spans.get(row[2], "")) for row in rows])


def _left_over(report: Evaluation) -> list[str]:
    lines = []
    for names, what in (
        (report.without_labels, "detections but no labels"),
        (report.without_result, "labels but no detections"),
    ):
        if names:
            more = f" and {len(names) - _FEW_NAMES} more" if len(names) > _FEW_NAMES else ""
            lines.append(f"- **Not scored**, {what}: {', '.join(map(_cell, names[:_FEW_NAMES]))}{more}")
    return lines


def _by_overlap(report: Evaluation) -> list[str]:
    own = report.iou != 0.5
    rows = [
        (mode.replace("_", "-"), *([_show(one.ap)] if own else []), _show(one.ap_50), _show(one.ap_50_95))
        for mode, one in report.overlaps.items()
    ]
    heads = [f"AP at {report.iou:.2f}"] if own else []
    return _table(("overlap of boxes", *heads, "AP at 0.50", "AP at 0.50 to 0.95"), rows)


def _by_length(report: Evaluation) -> list[str]:
    rows = []
    for part in report.by_length:
        if part.n_truth:
            span = f"{part.low_m:g} to {part.high_m:g}" if np.isfinite(part.high_m) else f"from {part.low_m:g}"
            rows.append((span, str(part.n_truth), _show(part.recall)))
    return _table(("length, m", "objects", "recall"), rows)


def _by_class(report: Evaluation) -> list[str]:
    rows = []
    for name, one in report.by_class.items():
        averages = [_show(each.ap) for each in one.overlaps.values()]
        averages += [_show(each.ap_50_95) for each in one.overlaps.values()]
        rows.append((_cell(name), str(one.n_truth), str(one.n_detections), _show(one.recall), *averages))
    kinds = [mode.replace("_", "-") for mode in report.overlaps]
    heads = [f"AP at {over} ({kind})" for over in (f"{report.iou:.2f}", "0.50 to 0.95") for kind in kinds]
    return _table(("class", "objects", "detections", "recall", *heads), rows)


def _by_place(report: Evaluation) -> list[str]:
    rows = [
        (
            _cell(one.place),
            str(len(one.scenes)),
            str(one.n_truth),
            str(one.n_detections),
            *map(_show, (one.ap, one.precision, one.recall, one.f1)),
        )
        for one in report.by_place
    ]
    heads = ("place", "scenes", "objects", "detections", f"AP at {report.iou:.2f}", "precision", "recall", "F1")
    return _table(heads, rows)


def _reliability(report: Evaluation) -> list[str]:
    one = report.reliability
    if one is None:
        return []
    rows = [
        (
            f"{part.low:.3f} to {part.high:.3f}",
            str(part.n),
            _show(part.score),
            _show(part.right),
            f"{part.right_low:.3f} to {part.right_high:.3f}",
        )
        for part in one.equal_count
    ]
    said = (
        f"Are scores probabilities? Expected calibration error {one.ece_equal_count:.3f} (at most "
        f"{one.max_error_equal_count:.3f}) over bins of equally many detections, {one.ece:.3f} (at most "
        f"{one.max_error:.3f}) over bins of equal width; Brier score {one.brier:.3f}."
    )
    return [
        said,
        "",
        *_table(("scores", "detections", "mean score", "share right", "95 % interval"), rows),
    ]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [" | ".join(heads), "|".join("---" for _ in heads)]
    return [f"| {lines[0]} |", f"|{lines[1]}|", *(f"| {' | '.join(cell or '-' for cell in row)} |" for row in rows)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _show(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"
