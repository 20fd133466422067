"""Precision against recall, and scores against outcomes, as pictures; the same evaluation gives the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geopdn.output.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from geopdn.evaluate.evaluation import Evaluation
    from geopdn.evaluate.precision import PrecisionRecall

_DPI = 150
_INK, _QUIET, _FAINT = "#1f2933", "#7b8794", "#cbd2d9"
_MAIN, _OTHER = "#0b6e99", "#d9822b"
_CLASS_COLOURS = ("#0b6e99", "#d9822b", "#3f8f4f", "#a23b72", "#6b5ca5", "#8c6d31", "#2bb3c0", "#c0392b")
_ISO_F1 = (0.2, 0.4, 0.6, 0.8)


def draw_precision_recall(report: Evaluation, path: Path) -> None:
    """Precision against recall at the overlap asked for, with lines of equal F1 and the best threshold.

    One class: a curve for each kind of overlap. Several: a curve for each class (the eight with most objects) beside
    that of all together.

    Raises:
        OutputError: the picture cannot be written.
    """
    figure, (axes,) = _figure(6.2, 5.6)
    _draw_iso_f1(axes)
    kind = report.mode.replace("_", "-")
    if len(report.by_class) > 1:
        largest = sorted(report.by_class, key=lambda name: (-report.by_class[name].n_truth, name))
        for name, colour in zip(largest, _CLASS_COLOURS, strict=False):
            _draw_curve(axes, report.class_curves[name], name, color=colour, lw=1.3, zorder=3)
        _draw_curve(axes, report.curves[report.mode], "all together", color=_INK, lw=2.2, zorder=4)
    else:
        for mode, curve in sorted(report.curves.items(), key=lambda item: item[0] != report.mode):
            main = mode == report.mode
            colour = _MAIN if main else _OTHER
            _draw_curve(
                axes, curve, mode.replace("_", "-"), color=colour, lw=2.2 if main else 1.4, zorder=4 - (not main)
            )
    _mark_best(axes, report)
    axes.set(xlim=(0, 1.005), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    _title(axes, f"Precision and recall at IoU {report.iou:.2f}", f"{kind} boxes; {_basis(report)}")
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(loc="lower left", fontsize=8.5, frameon=True, framealpha=0.9, edgecolor="none")
        for text in legend.get_texts():
            text.set_parse_math(False)
    _save(figure, path)


def draw_reliability(report: Evaluation, path: Path) -> None:
    """Share of right detections against score, in bins of equally many detections, with how scores are spread.

    Raises:
        OutputError: the picture cannot be written.
    """
    figure, (axes, below) = _figure(6.2, 7.0, heights=(4, 1))
    one, basis = report.reliability, f"right: a match at IoU {report.iou:.2f}; {_basis(report)}"
    axes.plot([0, 1], [0, 1], color=_QUIET, lw=1.0, ls=(0, (4, 3)), label="scores that are probabilities")
    if one is None:
        axes.text(0.5, 0.5, "no detection with a score from 0 to 1", ha="center", va="center", color=_QUIET)
    else:
        score, right = (np.array([getattr(part, name) for part in one.equal_count]) for name in ("score", "right"))
        low, high = (
            np.array([getattr(part, name) for part in one.equal_count]) for name in ("right_low", "right_high")
        )
        axes.fill_between([0, 1], [0, 1], [1, 1], color="#f0f4f8", zorder=0, lw=0)
        wide = [(part.score, part.right) for part in one.equal_width]
        axes.plot(
            *zip(*wide, strict=True),
            color=_OTHER,
            marker="s",
            ms=4.5,
            mfc="white",
            ls="none",
            label="in tenths of the score",
            clip_on=False,
        )
        axes.errorbar(
            score, right, yerr=np.maximum((right - low, high - right), 0), color=_MAIN, marker="o", ms=5, lw=1.6,
            elinewidth=1.0, capsize=2.5, label="in bins of equally many detections, with 95 % intervals",
        )  # fmt: skip
        axes.text(0.02, 0.97, "more often right than the score says", fontsize=8, color=_QUIET, va="top")
        basis += (
            f"\nexpected calibration error {one.ece_equal_count:.3f}, largest {one.max_error_equal_count:.3f}, "
            f"Brier score {one.brier:.3f}"
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of detections that are right")
    _title(axes, "Are scores probabilities?", basis)
    figure.legend(loc="outside lower left", fontsize=8.5, frameon=False)
    _draw_spread(below, report)
    _save(figure, path)


def _figure(width: float, height: float, *, heights: Sequence[float] = (1,)) -> tuple[Figure, list[Axes]]:
    """An empty figure with axes below each other that share the horizontal one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0].tolist()
    for axes in every:
        _plain_axes(axes)
    return figure, every


def _plain_axes(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_QUIET)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.grid(color="#e9edf1", lw=0.7)
    axes.set_axisbelow(True)


def _title(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, loc="left", fontsize=12.5, weight="bold", color=_INK, pad=24 + 13 * below.count("\n"))
    axes.text(0, 1.025, below, transform=axes.transAxes, fontsize=9, color=_QUIET, va="bottom", linespacing=1.4)


def _basis(report: Evaluation) -> str:
    places = f" in {report.n_places} places" if report.n_places > 1 else ""
    return f"{report.n_truth:,} objects, {report.n_detections - report.n_absorbed:,} detections{places}"


def _draw_iso_f1(axes: Axes) -> None:
    for f1 in _ISO_F1:
        recall = np.linspace(f1 / (2 - f1), 1, 100)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color=_FAINT, lw=0.8, zorder=1)
        axes.text(1.015, f1 / (2 - f1), f"F1 {f1:g}", color=_QUIET, fontsize=7.5, va="center")


def _draw_curve(axes: Axes, curve: PrecisionRecall, name: str, **style: Any) -> None:
    """The measured precision at every threshold, from recall 0 at the precision of the highest score."""
    if curve.ap is None or not len(curve.score):
        return
    recall = np.concatenate([[0.0], curve.recall])
    precision = np.concatenate([curve.precision[:1], curve.precision])
    axes.plot(recall, precision, label=f"{name}, AP {curve.ap:.3f}", solid_joinstyle="round", **style)


def _mark_best(axes: Axes, report: Evaluation) -> None:
    """A dot at the best F1 of all classes together."""
    if report.best_threshold is None:
        return
    curve = report.curves[report.mode]
    at = int(np.flatnonzero(curve.score == report.best_threshold)[0])
    colour = _INK if len(report.by_class) > 1 else _MAIN
    axes.plot(
        curve.recall[at], curve.precision[at], marker="o", ms=7, mfc="white", mec=colour, mew=1.8, ls="none", zorder=5,
        label=f"best F1 {report.best_f1:.3f}, score from {report.best_threshold:.2f}",
    )  # fmt: skip


def _draw_spread(below: Axes, report: Evaluation) -> None:
    """How many detections lie in each tenth of the scores, right ones dark."""
    bins = report.reliability.equal_width if report.reliability is not None else ()
    for part in bins:
        wide, n_right = part.high - part.low, round(part.right * part.n)
        below.bar(part.low, part.n, width=wide, align="edge", color="#d5e3ea", edgecolor="white", lw=0.8)
        below.bar(part.low, n_right, width=wide, align="edge", color=_MAIN, lw=0)
    below.set(xlabel="score", ylabel="detections\n(dark: right)")


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
