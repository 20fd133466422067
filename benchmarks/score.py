"""What a run brought, against the truth: the same matching and the same lowest score for every method."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.methods import GEOPDN, LOWEST
from benchmarks.scenes import CELL_PX
from geopdn.evaluate.arithmetic import Arithmetic
from geopdn.evaluate.bench import found_by
from geopdn.evaluate.labelled import match_result, opened_for, truth_in
from geopdn.evaluate.layers import LabelFile
from geopdn.evaluate.matching import match
from geopdn.evaluate.precision import average_precision
from geopdn.model.weights import find_weights, load_weights
from geopdn.output.saved import read_run
from geopdn.remerge import remerge

if TYPE_CHECKING:
    from geopdn.evaluate.labels import Truth
    from geopdn.evaluate.matching import Matches
    from geopdn.model.weights import LoadedModel

IOU = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run brought.

    Attributes:
        ap50: average precision at IoU 0.5, of scores from `LOWEST` up; None without objects.
        found: objects found at the model's own threshold.
        n_truth: objects that are there.
        share: of the scene's pixels, covered by windows of any level, each counted once.
        windows: that the network saw.
        gmacs: 10**9 multiply-adds, of windows and overview.
        kind: index of the kind of most windows, None where the method does not choose.
    """

    ap50: float | None
    found: int
    n_truth: int
    share: float
    windows: int
    gmacs: float
    kind: int | None = None


class Scorer:
    """Scores runs of one model.

    Args:
        model: name or file of the weights.
    """

    def __init__(self, model: str) -> None:
        self.model_name = model
        self._truths: dict[Path, Truth] = {}

    @cached_property
    def model(self) -> LoadedModel:
        """The weights."""
        return load_weights(find_weights(self.model_name))

    @cached_property
    def arithmetic(self) -> Arithmetic:
        """Counts multiply-adds."""
        return Arithmetic(self.model.net)

    def truth(self, scene: Path, labels: Path) -> Truth:
        """What is in a scene, in its pixels."""
        if scene not in self._truths:
            with opened_for(scene, self.model.header.model) as source:
                self._truths[scene] = truth_in(source, LabelFile(labels), self.model.header.model)
        return self._truths[scene]

    def facts(self, scene: Path, labels: Path) -> dict[str, Any]:
        """Size of a scene, its objects, and the share of its 512 px cells that hold the centre of one."""
        truth = self.truth(scene, labels)
        with opened_for(scene, self.model.header.model) as source:
            size = source.size
        cells = np.unique(truth.boxes[~truth.ignore, :2] // CELL_PX, axis=0)
        occupied = len(cells) * CELL_PX**2 / size.area
        n = int((~truth.ignore).sum())
        record = {"height": size.height, "width": size.width, "objects": n, "occupied": round(occupied, 4)}
        return {**record, "file_mb": round(scene.stat().st_size / 1e6, 1)}

    def outcome(self, output: Path, *, scene: Path, labels: Path) -> Outcome:
        """Score what a method has written."""
        truth = self.truth(scene, labels)
        return self._of_geopdn(output, truth) if output.name == GEOPDN else self._of_boxes(output, truth)

    def _of_geopdn(self, output: Path, truth: Truth) -> Outcome:
        result = remerge(read_run(output), min_score=LOWEST)
        names = [kind.name for kind in self.model.header.model.kinds]
        used = [names.index(window.kind) for window in result.windows if window.kind in names]
        matches = match_result(result, truth, iou=IOU)
        n, gmacs = int(result.facts["n_windows"]), self.arithmetic.of_run(result)
        kind = max(set(used), key=used.count) if used else None
        return self._outcome(matches, truth, share=float(result.facts["share"]), windows=n, gmacs=gmacs, kind=kind)

    def _of_boxes(self, output: Path, truth: Truth) -> Outcome:
        record = json.loads(output.read_text(encoding="utf-8"))
        rows = np.array(record["boxes"], np.float64).reshape(-1, 6)
        rows = rows[rows[:, 4] >= LOWEST]
        centres, sides = (rows[:, :2] + rows[:, 2:4]) / 2, rows[:, 2:4] - rows[:, :2]
        boxes = np.column_stack([centres, sides, np.zeros(len(rows))])
        matches = match(boxes, rows[:, 4], truth=truth, labels=rows[:, 5].astype(np.int64), iou=IOU)
        tensor = self.model.header.model.kinds[record.get("kind", 0)].tensor
        gmacs = record["windows"] * self.arithmetic.of_window(tensor, tensor)
        return self._outcome(matches, truth, share=1.0, windows=record["windows"], gmacs=gmacs, kind=None)

    def _outcome(
        self, matches: Matches, truth: Truth, *, share: float, windows: int, gmacs: float, kind: int | None
    ) -> Outcome:
        found = found_by([matches], self.model.header.min_score)[0]
        n = int((~truth.ignore).sum())
        ap = average_precision([matches]).ap
        return Outcome(ap, int(found.sum()), n, round(share, 5), windows, round(gmacs, 2), kind)
