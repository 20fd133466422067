"""Expected counts corrected by what is expected around: sparse objects come in groups.

A cell's rate is what the overview looks like there. The same look is an aircraft beside a terminal, and a shed in open
country, which a scene has a thousand times more of: without this the faint rates of empty ground sum up to as much as
the objects, and a search that wants to find nearly all of them reads nearly everything. How much rates are worth by
what is expected around them is fitted on calibration scenes (`geopdn.train.calibrate`). Functions of arrays, no state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

AROUND_KNOTS = tuple(math.log(10.0) * decade for decade in range(-3, 3))  # of the objects expected around a cell
SIGMA_CELLS = 8.0
REACH = int(4 * SIGMA_CELLS + 0.5)  # cells, where scipy cuts the Gaussian
STRIP_CELLS = 1 << 19  # the map is worked on in strips of rows with about so many cells, to bound memory

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def log_around(total: Floats, valid: Mask) -> Floats:
    """Natural logarithm of the objects expected around each cell, in a Gaussian window of height 1.

    Where cells around are not valid, the others stand for them.

    Args:
        total: `[h, w]` expected objects of all sizes in each cell, 0 where nothing is valid.
        valid: `[h, w]` where something is.
    """
    there = gaussian_filter(valid.astype(np.float32), SIGMA_CELLS, mode="constant")
    share = gaussian_filter(total, SIGMA_CELLS, mode="constant") / np.maximum(there, 1e-6)
    return np.asarray(np.log(np.maximum(2 * math.pi * SIGMA_CELLS**2 * share, 1e-12)), np.float32)


def correct(rate: Floats, valid: Mask, values: NDArray[np.floating]) -> None:
    """Multiply rates by what they are worth among their surroundings, in place.

    Args:
        rate: `[K, h, w]` expected objects a cell by size class.
        valid: `[h, w]` where something is valid.
        values: `[len(AROUND_KNOTS)]` logarithms of the factor at the knots; in between they are interpolated.
    """
    if not values.any():
        return
    total = rate.sum(0)
    for rows, around in _strips(total.shape):
        log = log_around(total[around], valid[around])[rows.start - around.start : rows.stop - around.start]
        rate[:, rows] *= np.exp(np.interp(log, AROUND_KNOTS, values)).astype(np.float32)


def _strips(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Rows in strips that cover the map, and each with the rows around that it depends on."""
    h, w = shape
    tall = max(REACH, STRIP_CELLS // w)
    for row in range(0, h, tall):
        yield slice(row, min(row + tall, h)), slice(max(0, row - REACH), min(row + tall + REACH, h))
