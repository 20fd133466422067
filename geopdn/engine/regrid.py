"""Expected counts on another grid of cells over the same ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry.window import Size


def regrid_counts(
    counts: NDArray[np.float32], *, cell: tuple[float, float], cell_px: int, size: Size
) -> NDArray[np.float32]:
    """Spread counts evenly over their cells and collect them in square cells; sums are kept.

    Args:
        counts: `[K, h, w]` a cell.
        cell: height and width of their cells, in pixels of the new grid; both grids start at the same corner.
        cell_px: side of the new cells, in its pixels.
        size: the scene, in pixels of the new grid. What old cells hold beyond it is taken to lie in it.

    Returns:
        `[K, ceil(height / cell_px), ceil(width / cell_px)]`.
    """
    _, h, w = counts.shape
    rows = _shares(h, cell[0], cell_px=cell_px, length=size.height)
    cols = _shares(w, cell[1], cell_px=cell_px, length=size.width)
    return np.stack([_along(_along(plane, rows).T, cols).T for plane in counts.astype(np.float64)]).astype(np.float32)


def _shares(n: int, cell: float, *, cell_px: int, length: int) -> NDArray[np.float64]:
    """The new cells' edges `[m + 1]` as positions among `n` old cells."""
    old = np.minimum(np.arange(n + 1) * cell, length)
    old[-1] = length
    new = np.append(np.arange(0, length, cell_px), length)
    edges: NDArray[np.float64] = np.interp(new, old, np.arange(n + 1, dtype=np.float64))
    return edges


def _along(plane: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums between edges (positions among rows) of a plane `[n, m]`; never negative."""
    summed = np.concatenate([np.zeros((1, plane.shape[1])), plane.cumsum(0)])
    lower = np.minimum(edges.astype(np.int64), len(plane) - 1)
    share = (edges - lower)[:, None]
    at_edges = summed[lower] * (1 - share) + summed[lower + 1] * share
    sums: NDArray[np.float64] = np.maximum(np.diff(at_edges, axis=0), 0.0)
    return sums
