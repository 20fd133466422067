"""Where windows lie on the global grid, and what the grid says there. Arrays, no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geopdn.coverage import Planned

TOKENS = 4  # along each side of a window

Floats = NDArray[np.float32]


def places_of(planned: Sequence[Planned]) -> Floats:
    """Top rows, left columns and extents `[n, 3]` of windows in level-0 pixels."""
    full = [item.window.at_full_resolution() for item in planned]
    return np.array([(window.row, window.col, window.height) for window in full], np.float32).reshape(-1, 3)


def token_places(places: Floats, *, grid_px: int) -> Floats:
    """Places `[n, 16, 3]` of the 4 x 4 tokens of windows: x and y in cells of the grid, log2 of their extent in cells.

    As `PatchDriveNet.token_places`, in arrays.
    """
    row, col, extent = places.T[:, :, None] / np.float32(grid_px)  # [n, 1] each
    steps = (np.arange(TOKENS, dtype=np.float32) + np.float32(0.5)) / TOKENS
    x, y = col + extent * steps, row + extent * steps  # [n, 4]
    scale = np.log2(extent / TOKENS)
    return np.stack(
        [np.tile(x, (1, TOKENS)), np.repeat(y, TOKENS, 1), np.broadcast_to(scale, (len(places), TOKENS**2))], -1
    )


def sampled(grid: NDArray[np.floating], places: Floats, *, grid_px: int) -> Floats:
    """Vectors `[n, G]` of the grid `[G, h, w]` at the centres of windows, bilinear; outside as at its border.

    As `geopdn.model.fusion.sample_grid`, in arrays.
    """
    _, h, w = grid.shape
    row, col, extent = places.T
    left, right, across = _between((col + extent / 2) / np.float32(grid_px), w)
    top, bottom, down = _between((row + extent / 2) / np.float32(grid_px), h)

    def along(rows: NDArray[np.int64]) -> Floats:
        first, second = (np.asarray(grid[:, rows, cols], np.float32) for cols in (left, right))
        return first + (second - first) * across

    upper, lower = along(top), along(bottom)
    return np.ascontiguousarray((upper + (lower - upper) * down).T)


def _between(position: Floats, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """The two cells of `n` whose centres are nearest along one axis, and the weight of the second."""
    place = (position - np.float32(0.5)).clip(0, n - 1)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, n - 1), (place - first).astype(np.float32)
