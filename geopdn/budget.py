"""How much may be spent and what has been: shares of the pixels, windows, nominal seconds, a recall target.

Costs are nominal milliseconds on two CPU cores, measured when the weights were written and never at run time: the same
input must give the same plan.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from geopdn.config import WindowKind
from geopdn.errors import ConfigError
from geopdn.geometry.window import Size, Window

NETWORK_MS_PER_MPX = 800.0  # of kinds that nothing has been measured for
DECODE_MS_PER_MPX = 30.0
FIXED_MS = 2.0


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be spent. Unset limits do not bind; the tightest of the others does.

    Attributes:
        share: of the scene's pixels, in [0, 1].
        windows: number of windows.
        seconds: nominal seconds (see the module's docstring).
        recall: stop once this share of what a full scan would find is expected to be found.
        full: look everywhere, whatever is expected.
    """

    share: float | None = None
    windows: int | None = None
    seconds: float | None = None
    recall: float | None = None
    full: bool = False

    @property
    def only_recall(self) -> bool:
        """Whether nothing but a recall target, if that, ends a search."""
        return self.share is None and self.windows is None and self.seconds is None

    def __str__(self) -> str:
        if self.full:
            return "full"
        parts = [] if self.share is None else [f"{self.share:g}"]
        parts += [] if self.windows is None else [f"{self.windows}w"]
        parts += [] if self.seconds is None else [f"{self.seconds:g}s"]
        parts += [] if self.recall is None else [f"recall {self.recall:g}"]
        return ", ".join(parts)


def parse_budget(text: str | None, *, recall: float | None, default_recall: float = 0.98) -> Budget:
    """`0.2` (share), `64w`, `30s` or `full`, with an optional recall target.

    Without a text the recall target alone decides. With a text and no recall target the budget is spent whole.

    Raises:
        ConfigError: not one of these, or out of range.
    """
    if recall is not None and not (math.isfinite(recall) and 0 < recall <= 1):
        raise ConfigError(f"--recall {recall}: expected a number above 0 and at most 1, such as 0.98")
    if text is None:
        return Budget(recall=default_recall if recall is None else recall)
    if text == "full":
        return Budget(full=True)
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([ws]?)", text.strip())
    if match:
        number, unit = float(match.group(1)), match.group(2)
        if unit == "w" and number == int(number):
            return Budget(windows=int(number), recall=recall)
        if unit == "s":
            return Budget(seconds=number, recall=recall)
        if unit == "" and number <= 1:
            return Budget(full=True) if number == 1 else Budget(share=number, recall=recall)
    raise ConfigError(f"--budget {text!r}: expected a share of the pixels (0.2), windows (64w), seconds (30s) or full")


def window_cost(kind: WindowKind) -> float:
    """Nominal milliseconds of one window: network on its tensor, decoding of its ground."""
    network = NETWORK_MS_PER_MPX * kind.tensor**2 / 1e6 if kind.network_ms is None else kind.network_ms
    return FIXED_MS + network + DECODE_MS_PER_MPX * kind.extent**2 / 1e6


@dataclass(frozen=True, slots=True)
class Spending:
    """What a run has used up: windows, nominal milliseconds, level-0 pixels of read ground (upper bound)."""

    windows: int = 0
    ms: float = 0.0
    pixels: int = 0

    def add(self, kind: WindowKind, pixels: int) -> Spending:
        """After one more window that reads `pixels` level-0 pixels inside the scene."""
        return replace(self, windows=self.windows + 1, ms=self.ms + window_cost(kind), pixels=self.pixels + pixels)

    def fits(self, budget: Budget, size: Size) -> bool:
        """Whether this is within the budget."""
        return (
            (budget.windows is None or self.windows <= budget.windows)
            and (budget.seconds is None or self.ms <= 1000 * budget.seconds)
            and (budget.share is None or self.pixels <= budget.share * size.area)
        )


def pixels_read(windows: Iterable[Window], *, size: Size) -> int:
    """Level-0 pixels of the scene covered by windows of any level, each counted once, exactly.

    Coordinates are compressed to the windows' own edges, so memory grows with the windows and not with the scene.
    """
    clipped = [part for w in windows if (part := w.at_full_resolution().clip(size))]
    if not clipped:
        return 0
    rows = np.unique([edge for w in clipped for edge in (w.row, w.row_stop)])
    total, active = 0, sorted(clipped, key=lambda w: (w.row, w.col))
    for top, bottom in itertools.pairwise(rows):
        active = [w for w in active if w.row_stop > top]
        spans = sorted((w.col, w.col_stop) for w in active if w.row <= top)
        width, reach = 0, -1
        for start, stop in spans:
            width += max(0, stop - max(start, reach))
            reach = max(reach, stop)
        total += width * int(bottom - top)
    return total
