"""The training curve as a picture, from the CSV that Lightning writes."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

DETECTION = ("heat", "box")


def draw_curve(tables: Iterable[Path], picture: Path) -> None:
    """Draw every part of the loss against the step: the detector's left, the global stream's and the drive's right.

    Args:
        tables: files of Lightning's CSV logger, one a start of the training.
        picture: PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    logged: dict[str, dict[int, float]] = defaultdict(dict)
    for table in tables:
        with table.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                for name, value in row.items():
                    if value and name not in ("step", "epoch"):
                        logged[name][int(row["step"])] = float(value)
    series = {name: sorted(points.items()) for name, points in logged.items()}
    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for name, points in sorted(series.items()):
        part = name.removeprefix("loss/")
        if part == name:
            continue
        steps, values = zip(*points, strict=True)
        window = max(1, len(values) // 60)
        mean = [fmean(values[max(0, i - window) : i + 1]) for i in range(len(values))]
        (left if part in DETECTION else right).plot(steps, mean, label=part, linewidth=1.2)
    left.set(title="detection", xlabel="step", ylabel="loss (running mean)", ylim=(0, None))
    right.set(title="where to look", xlabel="step", ylim=(0, None))
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(picture, metadata={"Software": None})
