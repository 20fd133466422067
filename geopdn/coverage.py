"""What is expected where, what has been looked at, and what a full scan would still find.

The gain of a window is the sum, over the cells of its core, of expected objects times the chance that this kind of
window finds them and no window so far did. What two windows of one place find is taken to be nested: the better one
finds what the other does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopdn.budget import window_cost
from geopdn.config import WindowKind
from geopdn.geometry.window import Size, Window

Rates = NDArray[np.float32]

STRIP_CELLS = 1 << 19  # maps are worked on in strips of rows with about so many cells, to bound memory


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


def scan_count(kind: WindowKind, size: Size) -> int:
    """How many windows of a kind `scan` gives."""
    return len(scan_starts(kind, size.height)) * len(scan_starts(kind, size.width))


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
        prior: `[K, h, w]` the rates given; they are held once, and what windows found of them as one byte a cell.
        seen: `[h, w]` cells that were looked at.
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
        self._factor: NDArray[np.float32] | None = None  # [h, w] of the rates now to those given
        self.priorities = priorities
        self.kinds = kinds
        self.cell_px = cell_px
        self.size = size
        self.scan_kind = scan_kind(kinds, priorities, self.totals())
        self._best = _best_of(priorities.astype(np.float32))
        self._looked = np.zeros(rate.shape[1:], np.min_scalar_type(self._best.shape[1] - 1))
        self.seen = np.zeros(rate.shape[1:], np.bool_)

    @property
    def rate(self) -> Rates:
        """`[K, h, w]` expected objects a cell, as re-weighted last."""
        return self.rate_in(slice(None), slice(None))

    @property
    def found(self) -> Rates:
        """`[K, h, w]` the chance that a window so far found an object."""
        return self.found_in(slice(None), slice(None))

    def rate_in(self, rows: slice, cols: slice) -> Rates:
        """`rate` of some cells."""
        prior = self.prior[:, rows, cols]
        return prior if self._factor is None else prior * self._factor[rows, cols]

    def found_in(self, rows: slice, cols: slice) -> Rates:
        """`found` of some cells."""
        looked = self._looked[rows, cols]
        if not looked.any():  # most of a huge scene
            return np.zeros((len(self._best), *looked.shape), np.float32)
        return self._best.take(looked, axis=1)

    def strips(self) -> Iterator[slice]:
        """Rows of cells, in strips of about `STRIP_CELLS`."""
        _, h, w = self.prior.shape
        tall = max(1, STRIP_CELLS // w)
        return (slice(row, min(row + tall, h)) for row in range(0, h, tall))

    def copy(self) -> Coverage:
        """A coverage in the same state, to plan on without looking."""
        other = Coverage(self.prior, self.priorities, kinds=self.kinds, cell_px=self.cell_px, size=self.size)
        other._factor, other.scan_kind = self._factor, self.scan_kind
        other._looked, other.seen = self._looked.copy(), self.seen.copy()
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
        chance = np.maximum(priority - self.found_in(rows, cols), 0)
        return float((self.rate_in(rows, cols) * chance).sum(dtype=np.float64))

    def cover(self, kind: int, core: Window) -> None:
        """Record that a window was looked at (inhibition of return)."""
        rows, cols = self.cells(core)
        self._looked[rows, cols] |= self._looked.dtype.type(1 << kind)
        self.seen[rows, cols] = True

    def expected_in(self, core: Window) -> float:
        """Expected objects in a core, found or not."""
        rows, cols = self.cells(core)
        return float(self.rate_in(rows, cols).sum(dtype=np.float64))

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
        if core is None:
            return sum(self._left_in(rows, slice(None)) for rows in self.strips())
        return self._left_in(*self.cells(core))

    def _left_in(self, rows: slice, cols: slice) -> float:
        scan_finds = self.priorities[self.scan_kind][:, None, None].astype(np.float32)
        unfound = np.maximum(scan_finds - self.found_in(rows, cols), 0)
        return float((self.rate_in(rows, cols) * unfound).sum(dtype=np.float64))

    def totals(self) -> NDArray[np.float64]:
        """Expected objects by size class `[K]`."""
        parts = [self.rate_in(rows, slice(None)).sum((1, 2), dtype=np.float64) for rows in self.strips()]
        return np.asarray(np.sum(parts, 0))

    def redirect(self, log_factor: NDArray[np.float32]) -> None:
        """Re-weight the prior rates of unseen cells by `exp(log_factor)` `[h, w]`."""
        factor = np.exp(log_factor).astype(np.float32, copy=False)
        factor[self.seen] = 1.0
        self._factor = factor
        self.scan_kind = scan_kind(self.kinds, self.priorities, self.totals())


def _best_of(priorities: Rates) -> Rates:
    """For every set of kinds, as bits: the best priority `[K, 2 ** n_kinds]` of those in it, 0 for none."""
    n_kinds, n_sizes = priorities.shape
    best = np.zeros((n_sizes, 1 << n_kinds), np.float32)
    for kind in range(n_kinds):
        has = (np.arange(1 << n_kinds) >> kind & 1).astype(np.bool_)
        best[:, has] = np.maximum(best[:, has], priorities[kind][:, None])
    return best
