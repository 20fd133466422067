"""Whether a file's overviews show what its full resolution shows, by three places of it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from geopdn.errors import OverviewMismatchWarning, SceneReadError
from geopdn.scene.fidelity import places

if TYPE_CHECKING:
    from geopdn.scene.reader import Pixels, PixelSource

SIDE = 32
"""Overview pixels a side of a place."""
SPREAD, SHARE, STEP = 0.5, 0.05, 1.0
"""Means may differ by this part of the spread, this part of the mean, and this much where values are integers."""
LEAST_VALID = 0.25
"""Share of a place that must be valid for its means to be compared."""


def warn_of_mismatch(source: PixelSource, *, level: int) -> None:
    """Warn where the overviews behind a level disagree with full resolution in one of three places.

    Means are compared, which every way of making an overview keeps, nearest neighbour included. Places that are
    damaged or mostly not valid say nothing.

    Args:
        source: what is read from.
        level: a level that is read through overviews.
    """
    for coarse in places(source.size, level=level, side=SIDE):
        fine = coarse.at_full_resolution().clip(source.size)
        if fine is None:
            continue
        try:
            difference = _difference(source.read(coarse), source.read(fine))
        except SceneReadError:
            continue
        if difference is not None:
            mean, expected = difference
            warnings.warn(
                f"{source.name}: its overviews do not show what full resolution shows around row {fine.row}, column "
                f"{fine.col}: a mean of {mean:.4g} instead of {expected:.4g}; make them again (gdaladdo), or "
                "leave them out with --no-overviews",
                OverviewMismatchWarning,
                stacklevel=3,
            )
            return


def _difference(said: Pixels, true: Pixels) -> tuple[float, float] | None:
    """Both means of the first band in which they are further apart than overviews may be; None where none is."""
    if min(said.valid.mean(), true.valid.mean()) < LEAST_VALID:
        return None
    step = STEP if true.values.dtype.kind in "iu" else 0.0
    for coarse, fine in zip(said.values, true.values, strict=True):
        shown, there = coarse[said.valid].astype(np.float64), fine[true.valid].astype(np.float64)
        mean, expected = float(shown.mean()), float(there.mean())
        if abs(mean - expected) > SPREAD * float(there.std()) + SHARE * abs(expected) + step:
            return mean, expected
    return None
