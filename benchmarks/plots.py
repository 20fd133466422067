"""Results as pictures; the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.growth import QUANTITIES, Series
from benchmarks.results import Results
from benchmarks.table import Summary, floor_of, summaries

MARKS = "osD^vP*X"
UNITS = {
    "seconds": "seconds",
    "seconds beyond start-up": "seconds beyond start-up",
    "CPU seconds": "CPU seconds",
    "multiply-adds": "multiply-adds, 10^9",
    "bytes read beyond start-up": "bytes read beyond start-up",
    "peak memory": "peak memory, MB",
}
AXES = {"pixels": "megapixels of the scene", "objects": "objects in the scene"}


def draw_costs(results: Results, scenes: Sequence[str], code: str, *, order: Sequence[str], path: Path) -> None:
    """Seconds and peak memory of every method, a row of bars a scene; the floor as lines."""
    figure = _figure(11, 1 + 2.6 * len(scenes))
    for axes, scene in zip(figure.subplots(len(scenes), 2, squeeze=False), scenes, strict=True):
        rows = [row for row in summaries(results, scene, code, order=order) if not row.error][::-1]
        colours = ["#d9822b" if row.method.startswith("geopdn") else "#7b8794" for row in rows]
        values = ([row.seconds for row in rows], [row.peak_memory_mb for row in rows])
        for axis, numbers, unit in zip(axes, values, ("seconds, start-up included", "peak memory, MB"), strict=True):
            bars = axis.barh([row.method for row in rows], numbers, color=colours)
            axis.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
            axis.set(xlabel=unit)
            axis.margins(x=0.15)
        axes[0].set_title(scene, fontsize=9, loc="left")
        floor = floor_of(results, scene, code)
        if floor is not None:
            axes[0].axvline(floor.decode + floor.network, color="black", lw=1, ls=":", label="decoding + passes alone")
            axes[0].legend(fontsize=7, loc="lower right")
    _save(figure, path)


def draw_accuracy(results: Results, scenes: Sequence[str], code: str, *, order: Sequence[str], path: Path) -> None:
    """AP50 against seconds, a panel a scene."""
    figure = _figure(5.5 * min(2, len(scenes)), 4.2 * -(-len(scenes) // 2))
    panels = figure.subplots(-(-len(scenes) // 2), min(2, len(scenes)), squeeze=False).ravel()
    for axis, scene in zip(panels, scenes, strict=False):
        for row in summaries(results, scene, code, order=order):
            if not row.error and row.outcome["ap50"] is not None:
                axis.plot(row.seconds, row.outcome["ap50"], label=row.method, **_style(row, order))
        axis.set(xscale="log", xlabel="seconds, start-up included", ylabel="AP50")
        axis.set_title(scene, fontsize=9)
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=7)
    for axis in panels[len(scenes) :]:
        axis.set_axis_off()
    _save(figure, path)


def draw_growth(found: Sequence[Series], *, path: Path) -> None:
    """Each cost against what grows, both on logarithmic axes, with the fitted power laws."""
    figure = _figure(15, 8)
    panels = figure.subplots(2, -(-len(QUANTITIES) // 2)).ravel()
    methods = list(dict.fromkeys(one.method for one in found))
    for axis, quantity in zip(panels, QUANTITIES, strict=True):
        for one in (each for each in found if each.quantity == quantity):
            number = methods.index(one.method)
            style = {"color": f"C{number % 10}", "marker": MARKS[number % len(MARKS)]}
            label = one.method if one.fitted is None else f"{one.method}: {one.fitted.exponent:.2f}"
            positive = [(x, y) for x, y in zip(one.x, one.y, strict=True) if x > 0 and y > 0]
            axis.plot(*zip(*positive, strict=True), ls="none", label=label, **style) if positive else None
            if one.fitted is not None:
                x = np.geomspace(min(one.x), max(one.x), 20)
                axis.plot(x, [one.fitted.at(float(v)) for v in x], color=style["color"], lw=1)
        axis.set(xscale="log", yscale="log", xlabel=AXES[found[0].axis], ylabel=UNITS[quantity])
        measured = sorted({x for one in found for x in one.x})
        axis.set_xticks(measured, [f"{x:,.0f}" for x in measured])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=7, title="exponent", title_fontsize=7)
    _save(figure, path)


def _style(row: Summary, order: Sequence[str]) -> dict[str, Any]:
    number = list(order).index(row.method)
    return {"marker": MARKS[number % len(MARKS)], "color": f"C{number % 10}", "ls": "none", "markersize": 8}


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})
