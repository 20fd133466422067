"""Accuracy against cost as a picture."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from geopdn.evaluate.bench import FULL, TARGET, UNEXPLORED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from geopdn.evaluate.bench import Row

MARKS = "osD^vP*XhdpH"


def draw_bench(rows: Sequence[Row], picture: Path, *, title: str) -> None:
    """Draw recall against the share of the pixels (left) and AP against arithmetic (right), a line a strategy.

    Multiply-adds are the same on every machine; seconds stand in the table.

    Args:
        rows: of `run_bench`.
        picture: PNG to write; the same rows give the same bytes.
        title: over both.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    left, right = figure.subplots(1, 2)
    for number, (name, group) in enumerate(groupby(rows, key=lambda row: row.strategy)):
        each = list(group)
        style = {
            "marker": MARKS[number % len(MARKS)],
            "color": "black" if name == FULL else f"C{number % 10}",
            "linestyle": "none" if len(each) == 1 else ("--" if name in (TARGET, UNEXPLORED) else "-"),
            "linewidth": 2.2 if name.partition(",")[0] == name == "coverage" else 1.2,
            "markersize": 6,
            "label": name,
        }
        known = [(100 * row.share, row.relative_recall) for row in each if row.relative_recall is not None]
        if known:
            left.plot(*zip(*known, strict=True), **style)
        counted = [(row.gmacs, row.ap) for row in each if row.ap is not None]
        if counted:
            right.plot(*zip(*counted, strict=True), **style)
    left.set(xscale="log", xlabel="pixels read, %", ylabel="recall, relative to the full scan")
    right.set(xscale="log", xlabel="multiply-adds, 10⁹", ylabel="average precision")
    for axis in (left, right):
        axis.grid(alpha=0.3, which="both")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
    right.legend(fontsize=8, loc="lower right")
    figure.savefig(picture, metadata={"Software": None})
