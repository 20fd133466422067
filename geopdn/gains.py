"""The gain per cost of every candidate window, kept up to date while windows are planned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from geopdn.config import WindowKind
from geopdn.coverage import Coverage, positions, spans
from geopdn.geometry.window import Window

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Gains:
    """Maps of the worth (gain per cost) of the windows of every kind, at their candidate positions.

    Covering a core changes only the squares that overlap it, so only those are summed again: a plan of n windows
    costs n small updates, whatever the scene's size.

    Args:
        coverage: the state; read again at every update.
        price: what a window of a kind costs.
        only: index of a kind: the windows of its full scan are the only candidates; None for all kinds on a lattice.
    """

    def __init__(self, coverage: Coverage, *, price: Callable[[WindowKind], float], only: int | None = None) -> None:
        self._coverage = coverage
        self._maps = [
            _KindMap(coverage, index, price=price(kind), tiles=only is not None)
            for index, kind in enumerate(coverage.kinds)
            if only is None or index == only
        ]

    def best(self) -> tuple[int, int, int] | None:
        """Kind, row and column (level-0 pixels of the core) of the best candidate, None if nothing is worth anything.

        Equal worths are settled by kind, row and column.
        """
        best = max(self._maps, key=lambda m: m.best_worth())
        if best.best_worth() <= 0:
            return None
        return best.kind, *best.best_place()

    def update(self, core: Window) -> None:
        """Sum again what overlaps a core that has been covered."""
        rows, cols = self._coverage.cells(core)
        for each in self._maps:
            each.update(rows, cols)

    def bar(self, kind: int, *, everywhere: bool) -> None:
        """Take the best candidate of a kind, or all of them, out of the choice."""
        for each in self._maps:
            if each.kind == kind:
                each.bar(everywhere=everywhere)


class _KindMap:
    """Worth `[n, m]` of one kind's windows at their positions, and the best of each row `[n]`."""

    def __init__(self, coverage: Coverage, kind: int, *, price: float, tiles: bool) -> None:
        self.kind = kind
        self._coverage, self._price = coverage, price
        width = coverage.prior.shape[2]
        shape, size, px = coverage.kinds[kind], coverage.size, coverage.cell_px
        self._rows, self._tops, self._bottoms = spans(shape, size.height, px, tiles=tiles)
        self._cols, self._lefts, self._rights = spans(shape, size.width, px, tiles=tiles)
        self._open = np.ones((len(self._tops), len(self._lefts)), np.bool_)
        self._worth = np.zeros(self._open.shape)
        self._best = np.zeros(len(self._tops))
        for rows in coverage.strips():
            self.update(rows, slice(0, width), starting=True)

    def best_worth(self) -> float:
        return float(self._best.max(initial=0.0))

    def best_place(self) -> tuple[int, int]:
        i, j = self._best_index()
        return int(self._rows[i]), int(self._cols[j])

    def update(self, rows: slice, cols: slice, *, starting: bool = False) -> None:
        """Sum again the squares that overlap some cells; those that start in them, where each is to be summed once."""
        i = _overlapping(self._tops, self._tops + 1 if starting else self._bottoms, rows)
        j = _overlapping(self._lefts, self._rights, cols)
        if i.start >= i.stop or j.start >= j.stop:
            return
        tops, bottoms, lefts, rights = self._tops[i], self._bottoms[i], self._lefts[j], self._rights[j]
        part = slice(int(tops[0]), int(bottoms.max())), slice(int(lefts[0]), int(rights.max()))
        mass = self._coverage.unfound_in(self.kind, *part)
        if not mass.any():
            self._worth[i, j] = 0.0
            self._best[i] = self._worth[i].max(1)
            return
        sums = rectangle_sums(mass, (tops - tops[0], bottoms - tops[0]), (lefts - lefts[0], rights - lefts[0]))
        self._worth[i, j] = np.where(self._open[i, j], sums / self._price, 0.0)
        self._best[i] = self._worth[i].max(1)

    def bar(self, *, everywhere: bool) -> None:
        if everywhere:
            self._open[:], self._worth[:], self._best[:] = False, 0.0, 0.0
            return
        i, j = self._best_index()
        self._open[i, j], self._worth[i, j] = False, 0.0
        self._best[i] = self._worth[i].max()

    def _best_index(self) -> tuple[int, int]:
        i = int(np.argmax(self._best))
        return i, int(np.argmax(self._worth[i]))


def _overlapping(starts: Ints, stops: Ints, cells: slice) -> slice:
    """Those, of spans in ascending order, that overlap a slice of cells."""
    return slice(int(np.searchsorted(stops, cells.start, "right")), int(np.searchsorted(starts, cells.stop, "left")))


def lattice_sums(mass: NDArray[np.floating], side: int) -> tuple[Floats, Ints, Ints]:
    """Sums over squares of `side` cells at every candidate position of a window.

    Args:
        mass: `[h, w]` what is summed.
        side: of the squares, in cells; a smaller map is summed whole.

    Returns:
        Sums `[n, m]`, first rows `[n]` and first columns `[m]` of the squares.
    """
    h, w = mass.shape
    tops, lefts = positions(h, side), positions(w, side)
    ends = np.minimum(tops + side, h), np.minimum(lefts + side, w)
    return rectangle_sums(mass, (tops, ends[0]), (lefts, ends[1])), tops, lefts


def rectangle_sums(mass: NDArray[np.floating], rows: tuple[Ints, Ints], cols: tuple[Ints, Ints]) -> Floats:
    """Sums `[n, m]` of `[h, w]` over the rectangles of rows `[n]` (first, stop) and columns `[m]` (first, stop)."""
    h, w = mass.shape
    summed = np.zeros((h + 1, w + 1))
    mass.cumsum(1, np.float64, out=summed[1:, 1:])
    for row in range(2, h + 1):  # `cumsum(0)` jumps from row to row for every column: six times slower
        summed[row] += summed[row - 1]
    (tops, bottoms), (lefts, rights) = rows, cols
    sums = (
        summed[np.ix_(bottoms, rights)]
        - summed[np.ix_(tops, rights)]
        - summed[np.ix_(bottoms, lefts)]
        + summed[np.ix_(tops, lefts)]
    )
    return np.asarray(np.maximum(sums, 0.0), np.float64)
