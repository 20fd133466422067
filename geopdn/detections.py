"""The records that flow between stages: detections, window records, and the result of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from geopdn.geometry.window import Size, Window

Reason = Literal["plan", "explore", "scan", "dense", "audit"]
Status = Literal["read", "empty", "failed"]

OVERVIEW_KIND = "overview"
"""Kind of the records of damage that no window met; they own nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Detections of one scene as columns of equal length N.

    Attributes:
        boxes: `[N, 5]` float64, oriented boxes in level-0 pixels (`geopdn.geometry.boxes`).
        score: `[N]` float64 in [0, 1].
        label: `[N]` int64, index into the model's classes.
        window: `[N]` int64, index of the window that found it.
        level: `[N]` int64, level the window was read at (0 = full resolution).
        cut: `[N]` bool, True where the box reached an open edge of its window.
    """

    boxes: NDArray[np.float64]
    score: NDArray[np.float64]
    label: NDArray[np.int64]
    window: NDArray[np.int64]
    level: NDArray[np.int64]
    cut: NDArray[np.bool_]

    def __post_init__(self) -> None:
        n = len(self.score)
        if self.boxes.shape != (n, 5):
            msg = f"boxes must be [{n}, 5] like the {n} scores, got {self.boxes.shape}"
            raise ValueError(msg)
        for column in (self.label, self.window, self.level, self.cut):
            if column.shape != (n,):
                msg = f"every column must be [{n}], got {column.shape}"
                raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls) -> Detections:
        """No detections."""
        ints = np.zeros(0, np.int64)
        return cls(np.zeros((0, 5)), np.zeros(0), ints, ints, ints, np.zeros(0, np.bool_))

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Detections:
        """The detections at those positions (or where the mask is True), in that order."""
        return Detections(*(getattr(self, column.name)[index] for column in fields(self)))

    @classmethod
    def concatenate(cls, parts: Iterable[Detections]) -> Detections:
        """All detections of the parts, in order."""
        items = list(parts)
        if not items:
            return cls.empty()
        return cls(*(np.concatenate([getattr(item, column.name) for item in items]) for column in fields(cls)))

    def is_finite(self) -> NDArray[np.bool_]:
        """`[N]` True where box and score are finite numbers."""
        finite: NDArray[np.bool_] = np.isfinite(self.boxes).all(1) & np.isfinite(self.score)
        return finite

    def in_canonical_order(self) -> Detections:
        """Sorted by (-score, row, column, label): independent of how they were found."""
        order = np.lexsort((self.window, self.label, self.boxes[:, 0], self.boxes[:, 1], -self.score))
        return self.take(order)


@dataclass(frozen=True, slots=True)
class WindowRecord:
    """What was looked at, why and at what cost.

    Attributes:
        index: position in the run's list; `Detections.window` points here.
        window: pixels read, of the window's own level, halo included.
        core: the part whose objects belong to this window, level-0 pixels, inside the scene.
        kind: name of the window kind (`"512"`, `"1024"`, ...).
        reason: why it was chosen.
        round: round of the drive it was read in, from 0.
        expected: expected number of objects found, when it was chosen.
        found: detections kept in its core.
        status: `read`, `empty` (no valid pixel) or `failed`.
        cause: why it failed, else an empty text.
    """

    index: int
    window: Window
    core: Window
    kind: str
    reason: Reason
    round: int
    expected: float
    found: int = 0
    status: Status = "read"
    cause: str = ""


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """Where the pixels lie: everything that output needs to know of a scene.

    Attributes:
        name: the scene's path or name as it was given.
        size: level-0 size of the grid that boxes refer to.
        transform: pixel (column, row) to map (x, y), edge convention.
        crs: the scene's system, None for pixel-space output.
        datetime: acquisition time as ISO 8601, empty if unknown.
    """

    name: str
    size: Size
    transform: Affine
    crs: CRS | None
    datetime: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """Everything one run found about one scene; `facts` is the single row of the `run` layer.

    Attributes:
        frame: georeferencing of the grid.
        classes: class names, indexed by `Detections.label`.
        has_heading: False for models trained on axis-aligned labels, whose boxes say nothing of a heading.
        detections: in canonical order.
        windows: in the order of their index.
        facts: JSON-able facts of the run (model, config hash, budget, pixels, share, estimated recall, ...);
            the same input, config and weights give the same facts.
        saliency: `[h, w]` float32 expected objects per cell, or None.
        cell_px: side of a saliency cell in level-0 pixels.
        raw: what all windows found, low scores and duplicates included; None where it was not kept.
        pictures: JPEG files that show the first detections, in their order, empty for those without; fewer than
            detections, or none.
    """

    frame: SceneFrame
    classes: tuple[str, ...]
    has_heading: bool
    detections: Detections
    windows: tuple[WindowRecord, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    saliency: NDArray[np.float32] | None = None
    cell_px: int = 0
    raw: Detections | None = None
    pictures: tuple[bytes, ...] = ()
