"""The training curve as a picture, from the CSV that Lightning writes."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path


def draw_curve(metrics_csv: Path, picture: Path) -> None:
    """Draw every logged loss and score against the step, losses left, scores right.

    Args:
        metrics_csv: `metrics.csv` of Lightning's CSV logger.
        picture: PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with metrics_csv.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            for name, value in row.items():
                if value and name not in ("step", "epoch"):
                    series[name].append((int(row["step"]), float(value)))
    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for name, points in sorted(series.items()):
        steps, values = zip(*points, strict=True)
        if name.startswith("loss/"):
            window = max(1, len(values) // 60)
            smooth = [
                sum(values[max(0, i - window) : i + 1]) / len(values[max(0, i - window) : i + 1])
                for i in range(len(values))
            ]
            left.plot(steps, smooth, label=name[5:], linewidth=1.2)
        elif name.startswith("check/"):
            right.plot(steps, values, "o-", label=name[6:], markersize=4)
    left.set(title="losses (running mean)", xlabel="step", ylim=(0, None))
    right.set(title="calibration places, full scan", xlabel="step", ylim=(0, 1))
    for axis in (left, right):
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=8)
    figure.savefig(picture, metadata={"Software": None})
