"""What the windows so far say about the rest of the scene. Functions of arrays, no state.

Two corrections of the expected counts, one after the other: the whole scene's saliency may be too high or too low at
some strength (a tail of tiny rates over open country sums up), and one neighbourhood may hold more than its cells say.
Both are posterior means of a Gamma-distributed factor on Poisson rates: they stay at 1 without evidence.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

STRATA_A_DECADE = 2
LOWEST_DECADE = -7
STRENGTH = 2.0  # objects that the prior of a stratum's factor is worth
NEIGHBOURHOOD_STRENGTH = 4.0

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def strata_of(rate: Floats) -> NDArray[np.int64]:
    """Stratum of each rate: half decades, everything under 1e-7 in the first."""
    logs = np.log10(np.maximum(rate, 10.0**LOWEST_DECADE))
    return np.asarray(np.floor((logs - LOWEST_DECADE) * STRATA_A_DECADE), np.int64)


def by_strength(found: Floats, expected: Floats, rate: Floats, seen: Mask) -> Floats:
    """Factor `[h, w]` on the rates, by their strength: found against expected in the cells of a stratum seen so far.

    Windows are chosen by the rates, so within a stratum what was seen is a fair sample of what was not.

    Args:
        found: `[h, w]` objects found, at their cells.
        expected: `[h, w]` objects that the windows so far were expected to find.
        rate: `[h, w]` prior rates.
        seen: `[h, w]` cells that were looked at.
    """
    strata = strata_of(rate)
    n = int(strata.max(initial=0)) + 1
    had = np.bincount(strata[seen], found[seen], n)
    hoped = np.bincount(strata[seen], expected[seen], n)
    return np.asarray(((STRENGTH + had) / (STRENGTH + hoped))[strata])


def gamma_poisson(
    found: Floats, expected: Floats, *, sigma_cells: float = 10.0, prior: float = NEIGHBOURHOOD_STRENGTH
) -> NDArray[np.float32]:
    """Log ratio `[h, w]` of found to expected around each cell, shrunk to 0 where there is little evidence.

    The posterior mean of a Gamma(prior, prior) factor on Poisson rates, with a Gaussian neighbourhood.

    Args:
        found: `[h, w]` objects found, at their cells.
        expected: `[h, w]` objects expected in the cells that were looked at, 0 elsewhere.
        sigma_cells: reach of the evidence.
        prior: pseudo-count of objects.
    """
    weight = 2 * math.pi * sigma_cells**2
    n = gaussian_filter(found, sigma_cells, mode="constant") * weight
    e = gaussian_filter(expected, sigma_cells, mode="constant") * weight
    return np.asarray(np.log((prior + n) / (prior + e)), np.float32)


def log_evidence(found: Floats, expected: Floats, rate: Floats, seen: Mask) -> NDArray[np.float32]:
    """Both corrections as one log factor `[h, w]`; arguments as of `by_strength`."""
    factor = by_strength(found, expected, rate, seen)
    return np.asarray(np.log(factor) + gamma_poisson(found, expected * factor), np.float32)
