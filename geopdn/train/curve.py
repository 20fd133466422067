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

    Where the detector learns nothing, the others' alone.

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
    parts = {name.removeprefix("loss/"): points for name, points in sorted(series.items()) if name.startswith("loss/")}
    detects = any(part in parts for part in DETECTION)
    figure = Figure(figsize=(11 if detects else 6, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if detects else 1, squeeze=False)[0]
    left, right = axes[0], axes[-1]
    for part, points in parts.items():
        steps, values = zip(*points, strict=True)
        window = max(1, len(values) // 60)
        mean = [fmean(values[max(0, i - window) : i + 1]) for i in range(len(values))]
        (left if part in DETECTION else right).plot(steps, mean, label=part, linewidth=1.2)
    left.set(title="detection", ylabel="loss (running mean)")
    right.set(title="where to look")
    for axis in axes:
        axis.set(xlabel="step", ylim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(picture, metadata={"Software": None})
