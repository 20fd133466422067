"""What is expected where, what has been looked at, and what a full scan would still find.

The gain of a window is the sum, over the cells of its core, of expected objects times the chance that this kind of
window finds them and no window so far did. What two windows of one place find is taken to be nested: the better one
finds what the other does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopdn.budget import window_cost
from geopdn.config import WindowKind
from geopdn.geometry.window import Size, Window

Rates = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Planned:
    """One window of a plan.

    Attributes:
        kind: index of the kind.
        core: level-0 pixels whose objects belong to the window, clipped to the scene.
        window: pixels to read, of the kind's level, halo included; may reach outside the scene.
        gain: expected objects that it finds and no earlier window did.
    """

    kind: int
    core: Window
    window: Window
    gain: float


def place_window(kind: WindowKind, index: int, *, row: int, col: int, size: Size, gain: float) -> Planned:
    """The window of a kind whose core starts at a level-0 position.

    At the scene's edges, beyond which there is nothing to see, the window is moved inside as far as it fits, and its
    core reaches up to the edge. Elsewhere the core ends a halo before the window does, or in the middle of what it
    shares with the next one, where that one is moved inside.
    """
    top, bottom = _span(row, kind, size.height)
    left, right = _span(col, kind, size.width)
    core = Window(row, col, bottom - row, right - col)
    step = 1 << kind.level
    window = Window(top // step, left // step, kind.tensor, kind.tensor, kind.level)
    return Planned(kind=index, core=core, window=window, gain=gain)


def _span(start: int, kind: WindowKind, n: int) -> tuple[int, int]:
    """Along one axis of `n` pixels: where the window of a core that starts there begins, and where the core ends."""
    if not 0 <= start < n:
        raise ValueError(f"a core that starts at {start} lies outside {n} pixels")
    step = 1 << kind.level
    furthest = max(0, -(-(n - kind.extent) // step) * step)
    first = min(max(0, (start - kind.halo) // step * step), furthest)
    stop = first + kind.extent
    following = min(stop - 2 * kind.halo, furthest)  # where the next window begins, itself moved inside
    return first, n if stop >= n else (stop + following) // 2 // step * step


def scan_kind(kinds: Sequence[WindowKind], priorities: NDArray[np.float64], totals: NDArray[np.float64]) -> int:
    """The kind for looking everywhere: finds most of what is expected; within half a percent, the cheapest a pixel."""
    weights = totals / totals.sum() if totals.sum() > 0 else np.full(len(totals), 1 / len(totals))
    found = priorities @ weights
    worth = [k for k in range(len(kinds)) if found[k] >= found.max() - 0.005]
    return min(worth, key=lambda k: (window_cost(kinds[k]) / kinds[k].core ** 2, k))


def scan(kinds: Sequence[WindowKind], kind: int, *, size: Size) -> list[Planned]:
    """Windows of one kind whose cores tile the scene, row by row."""
    rows, cols = (scan_starts(kinds[kind], n) for n in (size.height, size.width))
    return [place_window(kinds[kind], kind, row=row, col=col, size=size, gain=0.0) for row in rows for col in cols]


def scan_starts(kind: WindowKind, n: int) -> list[int]:
    """Where the cores of a kind that tile one axis of `n` pixels start."""
    starts, stop = [0], _span(0, kind, n)[1]
    while stop < n:
        starts.append(stop)
        stop = _span(stop, kind, n)[1]
    return starts


class Coverage:
    """The state of a search: what is expected where, and the chance that it has been found.

    Args:
        rate: `[K, h, w]` expected objects a cell, 0 where nothing is valid.
        priorities: `[n_kinds, K]` probability that a window of a kind finds an object of a size class.
        kinds: kinds of windows.
        cell_px: side of a cell in level-0 pixels.
        size: the scene.

    Attributes:
        scan_kind: the kind for looking everywhere, by what is expected now.
    """

    def __init__(
        self,
        rate: Rates,
        priorities: NDArray[np.float64],
        *,
        kinds: Sequence[WindowKind],
        cell_px: int,
        size: Size,
    ) -> None:
        self.prior = rate
        self.rate = rate
        self.priorities = priorities
        self.kinds = kinds
        self.cell_px = cell_px
        self.size = size
        self.scan_kind = scan_kind(kinds, priorities, self.totals())
        self.found = np.zeros_like(rate)
        self.seen = np.zeros(rate.shape[1:], np.bool_)

    def copy(self) -> Coverage:
        """A coverage in the same state, to plan on without looking."""
        other = Coverage(self.prior, self.priorities, kinds=self.kinds, cell_px=self.cell_px, size=self.size)
        other.rate, other.scan_kind = self.rate, self.scan_kind
        other.found, other.seen = self.found.copy(), self.seen.copy()
        return other

    def cells(self, core: Window) -> tuple[slice, slice]:
        """Cells whose centre lies in a core."""
        c = self.cell_px

        def first(edge: int) -> int:
            return max(0, (edge + c // 2 - 1) // c)

        return slice(first(core.row), first(core.row_stop)), slice(first(core.col), first(core.col_stop))

    def gain(self, kind: int, core: Window) -> float:
        """Expected new finds of a window of that kind with that core."""
        rows, cols = self.cells(core)
        priority = self.priorities[kind][:, None, None].astype(np.float32)  # as `cover` stores it
        chance = np.maximum(priority - self.found[:, rows, cols], 0)
        return float((self.rate[:, rows, cols] * chance).sum(dtype=np.float64))

    def cover(self, kind: int, core: Window) -> None:
        """Record that a window was looked at (inhibition of return)."""
        rows, cols = self.cells(core)
        part = self.found[:, rows, cols]
        np.maximum(part, self.priorities[kind][:, None, None].astype(np.float32), out=part)
        self.seen[rows, cols] = True

    def expected_in(self, core: Window) -> float:
        """Expected objects in a core, found or not."""
        rows, cols = self.cells(core)
        return float(self.rate[:, rows, cols].sum(dtype=np.float64))

    def cell_of(self, boxes: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns `[N]` of the cells that hold the centres of boxes `[N, 5]`."""
        _, h, w = self.prior.shape
        row, col = (boxes[:, 1] // self.cell_px).astype(np.int64), (boxes[:, 0] // self.cell_px).astype(np.int64)
        return np.clip(row, 0, h - 1), np.clip(col, 0, w - 1)

    def reachable(self) -> float:
        """Expected finds of a full scan."""
        return float((self.totals() * self.priorities[self.scan_kind]).sum())

    def left(self, core: Window | None = None) -> float:
        """Expected finds of a full scan, in a core or everywhere, that no window so far made.

        Cell by cell: where windows of another kind find more than the scan would, that makes up for nothing elsewhere.
        """
        rows, cols = (slice(None), slice(None)) if core is None else self.cells(core)
        scan_finds = self.priorities[self.scan_kind][:, None, None].astype(np.float32)
        unfound = np.maximum(scan_finds - self.found[:, rows, cols], 0)
        return float((self.rate[:, rows, cols] * unfound).sum(dtype=np.float64))

    def totals(self) -> NDArray[np.float64]:
        """Expected objects by size class `[K]`."""
        return np.asarray(self.rate.sum((1, 2), dtype=np.float64))

    def redirect(self, log_factor: NDArray[np.float32]) -> None:
        """Re-weight the prior rates of unseen cells by `exp(log_factor)` `[h, w]`."""
        factor = np.where(self.seen, 1.0, np.exp(log_factor)).astype(np.float32)
        self.rate = self.prior * factor
        self.scan_kind = scan_kind(self.kinds, self.priorities, self.totals())
