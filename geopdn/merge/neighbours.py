"""Which rectangles meet: a grid of centres for each size of rectangle, in plain arrays of 50 bytes a rectangle.

A tree of geometries (shapely's) answers the same at ten times the memory, and cannot say beforehand how many pairs
an answer has; here they are counted first, so that the caller's memory is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry import boxes as box

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

BOUNDS_CHUNK = 1 << 16
FARTHEST_PX = 2.0**40  # positions beyond are taken to lie there
MOST_CELLS = 1 << 20  # along each axis of a grid


def bounds_of(boxes: box.Boxes, *, least_side: float = 0.0, around: Floats | float = 0.0) -> Floats:
    """Axis-aligned bounds `[N, 4]` (x0, y0, x1, y1) of boxes `[N, 5]`, in chunks of bounded size.

    Args:
        boxes: in pixels.
        least_side: shorter sides are taken to be this long, in pixels.
        around: pixels `[N]` that the bounds are widened by.
    """
    limits = np.zeros((len(boxes), 4))
    for start in range(0, len(boxes), BOUNDS_CHUNK):
        part = boxes[start : start + BOUNDS_CHUNK].copy()
        part[:, 2:4] = np.maximum(part[:, 2:4], least_side)
        limits[start : start + BOUNDS_CHUNK] = box.bounds(part)
    limits[:, :2] -= np.reshape(around, (-1, 1))
    limits[:, 2:] += np.reshape(around, (-1, 1))
    return limits


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Rectangles of one size, by the cell that holds their centre.

    Attributes:
        side: of a cell, in pixels; no rectangle is longer.
        x0, y0: corner of the first cell.
        rows, cols: number of cells.
        keys: `[n]` row * cols + col of each rectangle, ascending.
        index: `[n]` which rectangle it is.
    """

    side: float
    x0: float
    y0: float
    rows: int
    cols: int
    keys: Index
    index: NDArray[np.int32]

    def cells(self, low: Floats, high: Floats, *, start: float, number: int) -> tuple[Index, Index]:
        """First and last cell `[q]` along one axis of centres whose rectangles may meet the intervals."""
        first = np.floor((low - self.side / 2 - start) / self.side)
        last = np.floor((high + self.side / 2 - start) / self.side)
        return np.maximum(first, 0).astype(np.int64), np.minimum(last, number - 1).astype(np.int64)


class Neighbours:
    """Rectangles that can be asked which of them meet others.

    Args:
        limits: `[N, 4]` x0, y0, x1, y1; touching counts as meeting.
    """

    def __init__(self, limits: Floats) -> None:
        self.limits = np.clip(limits, -FARTHEST_PX, FARTHEST_PX)
        sides = np.maximum(self.limits[:, 2:] - self.limits[:, :2], 1.0).max(1, initial=1.0)
        size = np.ceil(np.log2(sides)).astype(np.int64)
        self._grids = [self._grid(np.flatnonzero(size == one), 2.0**one) for one in np.unique(size).tolist()]

    def _grid(self, index: Index, side: float) -> _Grid:
        x, y = ((self.limits[index, axis] + self.limits[index, axis + 2]) / 2 for axis in (0, 1))
        x0, y0 = float(x.min()), float(y.min())
        side = max(side, (float(x.max()) - x0) / MOST_CELLS, (float(y.max()) - y0) / MOST_CELLS)
        col, row = ((values - start) // side for values, start in ((x, x0), (y, y0)))
        rows, cols = int(row.max()) + 1, int(col.max()) + 1
        keys = row.astype(np.int64) * cols + col.astype(np.int64)
        order = np.argsort(keys, kind="stable")
        return _Grid(side, x0, y0, rows, cols, keys[order], index[order].astype(np.int32))

    def of(self, rectangles: Floats, *, limit: int) -> tuple[int, Index, Index]:
        """Pairs of the first of some rectangles `[q, 4]` with those that they meet.

        Args:
            rectangles: asked about, in the order that they are needed.
            limit: how many candidates may be held at once; one rectangle is answered whatever it meets.

        Returns:
            How many of the rectangles are answered, then pairs: position among them, index of what it meets.
        """
        rectangles = np.clip(rectangles, -FARTHEST_PX, FARTHEST_PX)
        spans = [self._cells(grid, rectangles) for grid in self._grids]
        cost = np.zeros(len(rectangles), np.int64)
        for row0, row1, _, _ in spans:
            cost += np.maximum(row1 - row0 + 1, 0)
        n = _affordable(cost, limit)
        runs = [
            _runs(grid, *(edge[:n] for edge in span)) for grid, span in zip(self._grids, spans, strict=True)
        ]  # of neighbouring keys
        count = np.zeros(n, np.int64)
        for position, start, stop in runs:
            np.add.at(count, position, stop - start)
        n = _affordable(count, limit)
        positions, indices = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for grid, (position, start, stop) in zip(self._grids, runs, strict=True):
            asked = position < n
            lengths = (stop - start)[asked]
            first = np.repeat(start[asked] - np.cumsum(lengths) + lengths, lengths)
            found = grid.index[first + np.arange(lengths.sum())]
            whose = np.repeat(position[asked], lengths)
            a, b = rectangles[whose], self.limits[found]
            meet = ((a[:, :2] <= b[:, 2:]) & (b[:, :2] <= a[:, 2:])).all(1)
            positions.append(whose[meet])
            indices.append(found[meet].astype(np.int64))
        return n, np.concatenate(positions), np.concatenate(indices)

    @staticmethod
    def _cells(grid: _Grid, rectangles: Floats) -> tuple[Index, Index, Index, Index]:
        """Rows and columns `[q]` of the cells that hold what each rectangle may meet: first and last of each."""
        x0, y0, x1, y1 = rectangles.T
        rows = grid.cells(y0, y1, start=grid.y0, number=grid.rows)
        cols = grid.cells(x0, x1, start=grid.x0, number=grid.cols)
        empty = cols[0] > cols[1]
        rows[1][empty] = rows[0][empty] - 1
        return *rows, *cols


def _affordable(cost: Index, limit: int) -> int:
    """How many from the start cost no more than the limit together; at least one, where there are any."""
    return min(len(cost), max(1, int(np.searchsorted(np.cumsum(cost), limit, side="right"))))


def _runs(grid: _Grid, row0: Index, row1: Index, col0: Index, col1: Index) -> tuple[Index, Index, Index]:
    """Runs of keys: which rectangle asks, first and last position (exclusive) in the grid's order."""
    n_rows = np.maximum(row1 - row0 + 1, 0)
    position = np.repeat(np.arange(len(row0)), n_rows)
    row = np.repeat(row0 - np.cumsum(n_rows) + n_rows, n_rows) + np.arange(n_rows.sum())
    start = np.searchsorted(grid.keys, row * grid.cols + col0[position], side="left")
    stop = np.searchsorted(grid.keys, row * grid.cols + col1[position], side="right")
    return position, start, stop
