"""How a scene is searched, and what is told while it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geopdn.budget import Budget
from geopdn.memory import MemoryPlan
from geopdn.rivals import Rule

Drive = Literal["static", "gamma-poisson", "lstm"]
Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
"""An area of interest: level-0 positions `[N, 2]` (column, row) -> which lie in it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands; given to the callback after each window.

    Attributes:
        stage: `overview` or `windows`.
        done: tiles or windows finished.
        total: as planned so far; grows when a round adds windows.
        found: detections so far, before duplicates are removed.
    """

    stage: str
    done: int
    total: int
    found: int


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """How a scene is searched.

    Attributes:
        budget: how much may be spent.
        min_score: lowest score that counts as found, None for the model's own.
        keep_score: lowest score of the result, None for that which counts: to draw precision-recall curves of a search
            that ends as it does for its users.
        device: `cpu` or `cuda`.
        drive: what re-weights the unseen after each round: `lstm`, the Gamma-Poisson update and the advice of the
            controller, where the weights have one that has learnt; `gamma-poisson`, the update; `static`, nothing.
        fusion: whether later windows see what earlier ones found.
        explore: with a recall target, whether some windows are drawn at random (`geopdn.explore`).
        strict: raise when a window cannot be read, instead of recording it.
        keep_saliency: put the expected counts into the result.
        audit: look at this many windows more, drawn at random from what was not selected; not part of the budget.
        scan_with: index of the window kind of a full scan, None for the best by the model's priorities.
        rule: how windows are chosen: by coverage, or by a simpler rule to measure it against (`geopdn.rivals`).
        seed: of the rule `random`.
        only_kind: index of the one kind of window that may be planned, None for all.
        statistics: whether the overview's minima and maxima are used where they are known.
        memory: how large buffers may be; None for their usual sizes. Results do not depend on it.
    """

    budget: Budget = field(default_factory=lambda: Budget(recall=0.98))
    min_score: float | None = None
    keep_score: float | None = None
    device: str = "cpu"
    drive: Drive = "lstm"
    fusion: bool = True
    explore: bool = True
    strict: bool = False
    keep_saliency: bool = False
    audit: int = 0
    scan_with: int | None = None
    rule: Rule | Literal["coverage"] = "coverage"
    seed: int = 0
    only_kind: int | None = None
    statistics: bool = True
    memory: MemoryPlan | None = None
