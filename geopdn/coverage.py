"""What is expected where, what has been looked at, and what a full scan would still find.

The gain of a window is the sum, over the cells of its core, of expected objects times the chance that this kind of
window finds them and no window so far did. What two windows of one place find is taken to be nested: the better one
finds what the other does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geopdn.budget import window_cost
from geopdn.config import WindowKind
from geopdn.geometry.window import Size, Window

Rates = NDArray[np.float32]
Ints = NDArray[np.int64]

LATTICE = 2  # cells between candidate positions
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


@lru_cache(maxsize=64)
def spans(kind: WindowKind, n: int, cell_px: int, *, tiles: bool) -> tuple[Ints, Ints, Ints]:
    """Candidate cores of a kind along one axis of `n` pixels.

    Args:
        kind: of window.
        n: pixels of the scene along the axis.
        cell_px: side of a cell.
        tiles: those of a full scan alone, instead of a lattice of cells.

    Returns:
        `[m]` first level-0 pixels, first cells whose centres they hold, and the cells after the last.
    """
    starts = (
        scan_starts(kind, n)
        if tiles
        else (positions(-(-n // cell_px), max(1, kind.core // cell_px)) * cell_px).tolist()
    )
    stops = [_span(start, kind, n)[1] for start in starts]
    first, last = ([_first_cell(edge, cell_px) for edge in edges] for edges in (starts, stops))
    return np.array(starts, np.int64), np.array(first, np.int64), np.array(last, np.int64)


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
        self._chance = np.maximum(priorities.astype(np.float32)[:, :, None] - self._best, 0)  # [n_kinds, K, sets]
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

    def hoped_in(self, rows: slice) -> NDArray[np.float64]:
        """`[n, w]` objects in some rows that windows so far were expected to find, by the rates given."""
        prior, looked = self.prior[:, rows], self._looked[rows]
        hoped = np.zeros(looked.shape)
        i, j = np.nonzero(looked)
        hoped[i, j] = (prior[:, i, j] * self._best[:, looked[i, j]]).sum(0, dtype=np.float64)
        return hoped

    def unfound_in(self, kind: int, rows: slice, cols: slice) -> Rates:
        """`[h, w]` expected finds of windows of a kind in some cells, that no window so far made."""
        prior, looked, chance = self.prior[:, rows, cols], self._looked[rows, cols], self._chance[kind]
        worth: Rates = chance[0, 0] * prior[0]
        for k in range(1, len(prior)):
            worth += chance[k, 0] * prior[k]
        i, j = np.nonzero(looked)  # few of a large scene
        worth[i, j] = (prior[:, i, j] * chance[:, looked[i, j]]).sum(0)
        return worth if self._factor is None else worth * self._factor[rows, cols]

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
        rows, cols = (core.row, core.row_stop), (core.col, core.col_stop)
        top, bottom, left, right = (_first_cell(edge, self.cell_px) for edge in (*rows, *cols))
        return slice(top, bottom), slice(left, right)

    def gain(self, kind: int, core: Window) -> float:
        """Expected new finds of a window of that kind with that core."""
        rows, cols = self.cells(core)
        return float(self.unfound_in(kind, rows, cols).sum(dtype=np.float64))

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
        return float(self.unfound_in(self.scan_kind, rows, cols).sum(dtype=np.float64))

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


def _first_cell(edge: int, cell_px: int) -> int:
    """The first cell whose centre lies at a level-0 pixel or after it."""
    return max(0, (edge + cell_px // 2 - 1) // cell_px)


def positions(n_cells: int, side: int) -> Ints:
    """Candidate first cells along one axis: every `LATTICE` cells, and the last that touches the far edge."""
    last = max(0, n_cells - side)
    return np.unique(np.append(np.arange(0, last + 1, LATTICE), last))


def _best_of(priorities: Rates) -> Rates:
    """For every set of kinds, as bits: the best priority `[K, 2 ** n_kinds]` of those in it, 0 for none."""
    n_kinds, n_sizes = priorities.shape
    best = np.zeros((n_sizes, 1 << n_kinds), np.float32)
    for kind in range(n_kinds):
        has = (np.arange(1 << n_kinds) >> kind & 1).astype(np.bool_)
        best[:, has] = np.maximum(best[:, has], priorities[kind][:, None])
    return best
