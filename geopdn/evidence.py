"""What the windows so far say about the rest of the scene. Functions of arrays, no state.

Two corrections of the expected counts, one after the other: the whole scene's saliency may be too high or too low at
some strength (a tail of tiny rates over open country sums up), and one neighbourhood may hold more than its cells say.
Both are posterior means of a Gamma-distributed factor on Poisson rates: they stay at 1 without evidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

STRATA_A_DECADE = 2
LOWEST_DECADE = -7
N_STRATA = 2 * (6 - LOWEST_DECADE)  # rates above a million a cell are of the last one
STRENGTH = 2.0  # objects that the prior of a stratum's factor is worth
NEIGHBOURHOOD_STRENGTH = 4.0
SIGMA_CELLS = 10.0
REACH = int(4 * SIGMA_CELLS + 0.5)  # cells, where scipy cuts the neighbourhood's Gaussian

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What windows so far found and were expected to, in some rows of cells.

    Attributes:
        found: `[h, w]` objects found, at their cells.
        expected: `[h, w]` objects that the windows so far were expected to find.
        rate: `[h, w]` prior rates.
        seen: `[h, w]` cells that were looked at.
    """

    found: Floats
    expected: Floats
    rate: Floats
    seen: Mask


def strata_of(rate: Floats) -> NDArray[np.int64]:
    """Stratum of each rate: half decades, everything under 1e-7 in the first."""
    logs = np.log10(np.maximum(rate, 10.0**LOWEST_DECADE))
    return np.minimum(np.asarray(np.floor((logs - LOWEST_DECADE) * STRATA_A_DECADE), np.int64), N_STRATA - 1)


def by_strength(had: Floats, hoped: Floats) -> Floats:
    """Factor `[N_STRATA]` on the rates, by their strength: found against expected in a stratum's cells seen so far.

    Windows are chosen by the rates, so within a stratum what was seen is a fair sample of what was not.

    Args:
        had: `[N_STRATA]` objects found in cells that were looked at.
        hoped: `[N_STRATA]` objects that were expected to be found there.
    """
    return (STRENGTH + had) / (STRENGTH + hoped)


def gamma_poisson(
    found: Floats, expected: Floats, *, sigma_cells: float = SIGMA_CELLS, prior: float = NEIGHBOURHOOD_STRENGTH
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


def log_evidence(part: Callable[[slice], Evidence], strips: Sequence[slice]) -> NDArray[np.float32]:
    """Both corrections as one log factor `[h, w]`, worked out in strips so that memory does not grow with the scene.

    Args:
        part: gives the evidence of some rows of cells; asked for the strips, and for them with the rows around them.
        strips: slices of rows that cover all cells, in order.
    """
    had, hoped = np.zeros(N_STRATA), np.zeros(N_STRATA)
    for rows in strips:
        known = part(rows)
        strata = strata_of(known.rate[known.seen])
        had += np.bincount(strata, known.found[known.seen], N_STRATA)
        hoped += np.bincount(strata, known.expected[known.seen], N_STRATA)
    factors = by_strength(had, hoped)
    logs: list[NDArray[np.float32]] = []
    for rows in strips:
        around = slice(max(0, rows.start - REACH), min(strips[-1].stop, rows.stop + REACH))
        known = part(around)
        factor = factors[strata_of(known.rate)]
        log = np.log(factor)
        if known.found.any() or known.expected.any():
            log += gamma_poisson(known.found, known.expected * factor)
        logs.append(log[rows.start - around.start : rows.stop - around.start].astype(np.float32))
    return logs[0] if len(logs) == 1 else np.concatenate(logs)
