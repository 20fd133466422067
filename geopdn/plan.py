"""Which windows to look at: greedy probabilistic coverage of the expected counts, under a budget.

The gain of a window is the sum, over the cells of its core, of expected objects times the chance that this kind of
window finds them and no window so far did. What two windows of one place find is taken to be nested: the better one
finds what the other does. The objective is then monotone and submodular (a facility-location function), greedy by
gain per cost is within the usual bounds of the optimum (Nemhauser et al. 1978, Leskovec et al. 2007), and a gain only
ever shrinks, so a lazy heap is exact.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geopdn.budget import Budget, Spending, window_cost
from geopdn.config import WindowKind
from geopdn.geometry.window import Size, Window

LATTICE = 2  # cells between candidate positions
NEGLIGIBLE = 1e-9
DOUBT = 0.5  # of an object
SCAN_INSTEAD = 0.6  # of the full scan's cost: above, only the windows of the full scan are considered

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
    """The window of a kind whose core starts at a level-0 position."""
    core = Window(row, col, kind.core, kind.core).clip(size)
    if core is None:
        raise ValueError(f"core at ({row}, {col}) lies outside a scene of {size}")
    step = 1 << kind.level
    window = Window((row - kind.halo) // step, (col - kind.halo) // step, kind.tensor, kind.tensor, kind.level)
    return Planned(kind=index, core=core, window=window, gain=gain)


def scan_kind(kinds: Sequence[WindowKind], priorities: NDArray[np.float64], totals: NDArray[np.float64]) -> int:
    """The kind for looking everywhere: finds most of what is expected; within 1 %, the cheapest a pixel."""
    weights = totals / totals.sum() if totals.sum() > 0 else np.full(len(totals), 1 / len(totals))
    found = priorities @ weights
    worth = [k for k in range(len(kinds)) if found[k] >= found.max() - 0.01]
    return min(worth, key=lambda k: (window_cost(kinds[k]) / kinds[k].core ** 2, k))


def scan(kinds: Sequence[WindowKind], kind: int, *, size: Size) -> list[Planned]:
    """Windows of one kind whose cores tile the scene, row by row."""
    side = kinds[kind].core
    return [
        place_window(kinds[kind], kind, row=row, col=col, size=size, gain=0.0)
        for row in range(0, size.height, side)
        for col in range(0, size.width, side)
    ]


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


def recall_estimate(coverage: Coverage, *, n_found: float) -> float:
    """Expected share, in [0, 1], of what a full scan would find that has been found.

    Half an object of doubt keeps an empty scene from being declared finished on no evidence.
    """
    return _recall(n_found, coverage.left())


def _recall(n_found: float, left: float) -> float:
    return (n_found + DOUBT) / (n_found + DOUBT + max(0.0, left))


def plan_windows(
    coverage: Coverage,
    *,
    budget: Budget,
    spent: Spending,
    n_found: int = 0,
    until_ms: float | None = None,
    only: int | None = None,
) -> tuple[list[Planned], Spending]:
    """Add windows by gain per cost until the budget, the recall target or the gains are used up.

    Args:
        coverage: the state; updated as windows are planned.
        budget: the limits.
        spent: what has been used up before.
        n_found: objects found by the windows looked at before.
        until_ms: plan at most this many nominal milliseconds in this round.
        only: index of a kind: its windows alone are considered, and only those of its full scan.

    Returns:
        The windows in the order of their gain per cost, and what is used up after them.
    """
    left, gained = coverage.left(), 0.0
    heap = _candidates(coverage, budget) if only is None else _tiles(coverage, budget, only)
    heapq.heapify(heap)
    planned: list[Planned] = []
    start_ms = spent.ms
    room = _any_fits(coverage, budget, spent)
    while heap and room:
        if budget.recall is not None and _recall(n_found + gained, left) >= budget.recall:
            break
        if until_ms is not None and spent.ms - start_ms >= until_ms:
            break
        worth, kind_index, row, col = heapq.heappop(heap)
        kind = coverage.kinds[kind_index]
        window = place_window(kind, kind_index, row=row, col=col, size=coverage.size, gain=0.0)
        gain = coverage.gain(kind_index, window.core)
        now = -gain / _price(kind, budget)
        if heap and now > heap[0][0] + 1e-15 and now > worth:
            if gain > NEGLIGIBLE:
                heapq.heappush(heap, (now, kind_index, row, col))
            continue
        if gain <= NEGLIGIBLE:
            continue
        after = spend(spent, window, coverage)
        if not after.fits(budget, coverage.size):
            continue
        left -= coverage.left(window.core)
        coverage.cover(kind_index, window.core)
        left += coverage.left(window.core)
        gained += gain
        spent = after
        room = _any_fits(coverage, budget, spent)
        planned.append(replace(window, gain=gain))
    return planned, spent


def spend(spent: Spending, item: Planned, coverage: Coverage) -> Spending:
    """What is used up after one more window."""
    inside = item.window.at_full_resolution().clip(coverage.size)
    return spent.add(coverage.kinds[item.kind], inside.area if inside else 0)


def _any_fits(coverage: Coverage, budget: Budget, spent: Spending) -> bool:
    """Whether the budget has room for the smallest kind of window, wholly inside the scene."""
    size = coverage.size
    area = {kind: min(kind.extent, size.height) * min(kind.extent, size.width) for kind in coverage.kinds}
    return any(spent.add(kind, pixels).fits(budget, size) for kind, pixels in area.items())


def _price(kind: WindowKind, budget: Budget) -> float:
    """What the budget counts: pixels for a share, one for windows, nominal milliseconds else."""
    if budget.share is not None:
        return kind.extent**2 / 1e4
    return 1.0 if budget.windows is not None else window_cost(kind)


def _candidates(coverage: Coverage, budget: Budget) -> list[tuple[float, int, int, int]]:
    """(-gain / cost, kind, row, column) of every window of the lattice worth anything, cores hugging cells."""
    c, entries = coverage.cell_px, []
    for index, kind in enumerate(coverage.kinds):
        chance = np.maximum(coverage.priorities[index][:, None, None] - coverage.found, 0)
        gain, tops, lefts = lattice_sums((coverage.rate * chance).sum(0, dtype=np.float64), max(1, kind.core // c))
        price = _price(kind, budget)
        for i, j in zip(*np.nonzero(gain > max(NEGLIGIBLE, 1e-6 * float(gain.max(initial=0)))), strict=True):
            entries.append((-float(gain[i, j]) / price, index, int(tops[i]) * c, int(lefts[j]) * c))
    return entries


def _tiles(coverage: Coverage, budget: Budget, kind: int) -> list[tuple[float, int, int, int]]:
    """The same for the windows of one kind's full scan."""
    price = _price(coverage.kinds[kind], budget)
    return [
        (-coverage.gain(kind, item.core) / price, kind, item.core.row, item.core.col)
        for item in scan(coverage.kinds, kind, size=coverage.size)
    ]


def lattice_sums(
    mass: NDArray[np.float64], side: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Sums over squares of `side` cells at every candidate position of a window.

    Args:
        mass: `[h, w]` what is summed.
        side: of the squares, in cells; a smaller map is summed whole.

    Returns:
        Sums `[n, m]`, first rows `[n]` and first columns `[m]` of the squares.
    """
    h, w = mass.shape
    summed = np.zeros((h + 1, w + 1))
    summed[1:, 1:] = mass.cumsum(0).cumsum(1)
    tops, lefts = _starts(h, side), _starts(w, side)
    bottoms, rights = np.minimum(tops + side, h), np.minimum(lefts + side, w)
    sums = (
        summed[np.ix_(bottoms, rights)]
        - summed[np.ix_(tops, rights)]
        - summed[np.ix_(bottoms, lefts)]
        + summed[np.ix_(tops, lefts)]
    )
    return sums, tops, lefts


def _starts(n_cells: int, side: int) -> NDArray[np.int64]:
    """Candidate first cells along one axis: every `LATTICE` cells, and the last that touches the far edge."""
    last = max(0, n_cells - side)
    return np.unique(np.append(np.arange(0, last + 1, LATTICE), last))


def scan_is_cheaper(planned_ms: float, coverage: Coverage) -> bool:
    """Whether most of a full scan's cost would be spent anyway."""
    kind = coverage.kinds[coverage.scan_kind]
    n = math.ceil(coverage.size.height / kind.core) * math.ceil(coverage.size.width / kind.core)
    return planned_ms > SCAN_INSTEAD * n * window_cost(kind)
