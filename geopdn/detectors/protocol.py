"""What the engine asks of a detector, and any Python function as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geopdn.detectors.spec import DetectorSpec
from geopdn.errors import DetectorError
from geopdn.geometry.boxes import Boxes, normalise

SCORE_SLACK = 1e-3  # a probability may exceed 1 by the rounding of half precision


@dataclass(frozen=True, slots=True, eq=False)
class FoundBoxes:
    """What a detector found in one window; N objects.

    Attributes:
        boxes: `[N, 5]` float64 oriented boxes in the window's pixels (`geopdn.geometry.boxes`).
        score: `[N]` float64 in [0, 1].
        label: `[N]` int64, index into the detector's classes.
        n_invalid: boxes that were dropped: not finite numbers, or without an area.
    """

    boxes: Boxes
    score: NDArray[np.float64]
    label: NDArray[np.int64]
    n_invalid: int = 0


class Detector(Protocol):
    """Finds boxes in batches of windows."""

    @property
    def spec(self) -> DetectorSpec:
        """What it takes and returns."""

    @property
    def digest(self) -> str:
        """Names its exact version, for records."""

    def find(self, windows: NDArray[np.float32], *, min_score: float) -> list[FoundBoxes]:
        """Boxes in each of the windows `[n, C, tile, tile]` (scaled values) with at least that score."""


Found = tuple[Any, Any, Any]
"""Boxes, scores, labels as array-likes: see `from_function`."""


def from_function(
    function: Callable[[NDArray[np.float32]], Found] | Callable[[NDArray[np.float32]], Sequence[Found]],
    spec: DetectorSpec,
    *,
    batched: bool = False,
) -> Detector:
    """A detector from any Python function.

    Args:
        function: takes a patch `[C, tile, tile]` float32 of scaled values and returns boxes, scores and labels. Boxes
            are `[n, 4]` (x0, y0, x1, y1) or, of an oriented detector, `[n, 5]` (x, y, width, height, angle in radians
            from +x towards +y), in pixels of the patch from its outer corner. Arrays, tensors on the CPU or lists.
        spec: what it takes.
        batched: the function takes a batch `[n, C, tile, tile]` and returns one such triple a patch.
    """
    return _Function(spec, function, batched=batched)


class _Function:
    """See `from_function`."""

    digest = "function"

    def __init__(self, spec: DetectorSpec, function: Callable[..., Any], *, batched: bool) -> None:
        self.spec, self._function, self._batched = spec, function, batched

    def find(self, windows: NDArray[np.float32], *, min_score: float) -> list[FoundBoxes]:
        results = list(self._function(windows)) if self._batched else [self._function(patch) for patch in windows]
        if len(results) != len(windows):
            raise DetectorError(
                f"detector {self.spec.name} returned {len(results)} results for {len(windows)} patches: one for each"
            )
        return [checked(*result, spec=self.spec, min_score=min_score) for result in results]


def checked(boxes: Any, score: Any, label: Any, *, spec: DetectorSpec, min_score: float) -> FoundBoxes:
    """Boxes as the engine takes them: finite, with an area, of known classes, oriented form.

    Args:
        boxes: `[n, 4]` or `[n, 5]`, see `from_function`.
        score: `[n]`.
        label: `[n]`.
        spec: the detector's.
        min_score: lower ones are left out.

    Raises:
        DetectorError: shapes that do not fit, scores that are no probabilities, labels outside the classes.
    """
    score = np.asarray(score, np.float64).reshape(-1)
    n, sides = len(score), 5 if spec.oriented else 4
    boxes, names = np.asarray(boxes, np.float64), np.asarray(label, np.float64).reshape(-1)
    if boxes.size == 0:
        boxes = boxes.reshape(-1, sides)
    if boxes.shape != (n, sides) or len(names) != n:
        raise DetectorError(
            f"detector {spec.name} returned boxes {list(boxes.shape)}, {n} scores and {len(names)} labels: expected "
            f"boxes [n, {sides}] and n of each"
        )
    if not spec.oriented:
        low, high = boxes[:, :2], boxes[:, 2:]
        boxes = np.concatenate([(low + high) / 2, high - low, np.zeros((n, 1))], 1)
    finite = np.isfinite(boxes).all(1) & np.isfinite(score) & np.isfinite(names) & (boxes[:, 2:4] > 0).all(1)
    wanted = ~(score < min_score)  # NaN counts as wanted, so that it is counted as invalid
    keep = finite & wanted
    boxes, score, names = boxes[keep], score[keep], names[keep]
    if len(score) and score.max() > 1 + SCORE_SLACK:
        raise DetectorError(
            f"detector {spec.name} returned a score of {score.max():.4g}: expected probabilities from 0 to 1; "
            "export it with its last sigmoid"
        )
    known = len(spec.classes)
    if len(names) and not (names.min() >= 0 and names.max() < known and (names == np.round(names)).all()):
        raise DetectorError(
            f"detector {spec.name} returned labels from {names.min():g} to {names.max():g}: expected whole numbers "
            f"from 0 to {known - 1} ({', '.join(spec.classes[:5])}); name all its classes"
        )
    return FoundBoxes(
        boxes=normalise(boxes),
        score=np.minimum(score, 1.0),
        label=names.astype(np.int64),
        n_invalid=int((wanted & ~finite).sum()),
    )
