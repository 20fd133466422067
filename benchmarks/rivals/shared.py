"""What the scripts share: the network as a function of one window, and the record that a script leaves behind."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry import boxes as box
from geopdn.model.network import network_of
from geopdn.model.weights import find_weights, load_weights


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Boxes of one window: `[N, 4]` x0, y0, x1, y1 in its full-resolution pixels, scores `[N]`, classes `[N]`."""

    limits: NDArray[np.float64]
    score: NDArray[np.float64]
    label: NDArray[np.int64]


class HighRes:
    """The high-resolution network, batch norms folded, for 8-bit RGB and upright boxes.

    Args:
        weights: name or file.
        kind: index of the kind of window whose extent and level are used.
        min_score: lowest calibrated score that is kept.
    """

    def __init__(self, weights: str, *, kind: int, min_score: float) -> None:
        model = load_weights(find_weights(weights), at_once=False)
        config = model.header.model
        radiometry = config.radiometry
        if radiometry.kind != "fixed" or len(config.bands) != 3 or config.has_heading:
            raise SystemExit(f"{model.header.name}: these scripts know upright boxes in RGB of a fixed range only")
        self.net, self.min_score = network_of(model), min_score
        self.extent, self.halo, self.level = (getattr(config.kinds[kind], n) for n in ("extent", "halo", "level"))
        self.classes = config.classes
        self._low, self._high = (np.array(v, np.float32).reshape(-1, 1, 1) for v in (radiometry.low, radiometry.high))
        self.n_calls = self.n_raw = 0

    @property
    def side(self) -> int:
        """Tensor pixels along a window's side."""
        return int(self.extent >> self.level)

    def __call__(self, image: NDArray[np.uint8]) -> Found:
        """One window `[3, s, s]` at its level, or at full resolution, which is averaged down here."""
        values = (image.astype(np.float32) - self._low) / (self._high - self._low)
        factor, (n_bands, height, width) = image.shape[-1] // self.side, values.shape
        values = values.reshape(1, n_bands, height // factor, factor, width // factor, factor).mean((3, 5))
        curves = self.net.probabilities
        _, found = self.net.find(values, None, min_score=curves.least_raw(self.min_score))
        found = curves.rescored(found, np.array([self.level]), min_score=self.min_score)
        self.n_calls += 1
        self.n_raw += len(found.score)
        limits = box.bounds(found.boxes.astype(np.float64)) * (1 << self.level)
        return Found(limits, found.score.astype(np.float64), found.label)


def arguments(about: str | None) -> argparse.Namespace:
    """The command line of a script: scene, output, weights, kind, lowest score."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON")
    parser.add_argument("--model", default="aircraft-50cm", help="name or file of the weights")
    parser.add_argument("--kind", type=int, default=0, help="index of the kind of window")
    parser.add_argument("--min-score", type=float, default=0.05)
    return parser.parse_args()


def write_record(path: Path, boxes: Iterable[Any], **facts: Any) -> None:
    """Boxes, each `[x0, y0, x1, y1, score, class]` in the scene's pixels, with what else is known of the run."""
    rows = [[*(float(value) for value in row[:5]), int(row[5])] for row in boxes]
    path.write_text(json.dumps({"boxes": rows, **facts}), encoding="utf-8")


def starts(side: int, *, extent: int, overlap: int) -> list[int]:
    """First pixels of windows along a side, the last one flush with its end."""
    if side <= extent:
        return [0]
    return [*range(0, side - extent, extent - overlap), side - extent]
