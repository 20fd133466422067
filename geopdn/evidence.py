"""What the windows so far say about the rest of the scene. Functions of arrays, no state.

Two corrections of the expected counts, one after the other: the whole scene's saliency may be too high or too low at
some strength (a tail of tiny rates over open country sums up), and one neighbourhood may hold more than its cells say.
Both are posterior means of a factor on Poisson rates, log-normal or Gamma-distributed: they stay at 1 without evidence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, gaussian_filter, label

STRATA_A_DECADE = 2
LOWEST_DECADE = -7
N_STRATA = 2 * (6 - LOWEST_DECADE)  # rates above a million a cell are of the last one
SPREAD = 1.0  # standard deviation of the logarithm of a stratum's factor, before there is evidence
KINSHIP = 0.8  # correlation of the logarithms of neighbouring strata's factors
NEIGHBOURHOOD_STRENGTH = 4.0
SIGMA_CELLS = 10.0
REACH = int(4 * SIGMA_CELLS + 0.5)  # cells, where scipy cuts the neighbourhood's Gaussian
BLOCK_CELLS = 8  # side of the blocks that are told apart by whether evidence reaches them

NEWTON_STEPS, NEWTON_CLOSE = 50, 1e-9

_APART = np.abs(np.subtract.outer(np.arange(N_STRATA), np.arange(N_STRATA)))
PRECISION = np.linalg.inv(SPREAD**2 * KINSHIP**_APART)
"""`[N_STRATA, N_STRATA]` inverse covariance of the logarithms."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Strata = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What windows so far found and were expected to, in some rows of cells.

    Attributes:
        found: `[h, w]` objects found, at their cells.
        expected: `[h, w]` objects that the windows so far were expected to find.
        strata: `[h, w]` of the prior rates, see `strata_of`.
        seen: `[h, w]` cells that were looked at.
    """

    found: Floats
    expected: Floats
    strata: Strata
    seen: Mask


def strata_of(rate: Floats) -> Strata:
    """Stratum of each rate: half decades, everything under 1e-7 in the first."""
    logs = np.log10(np.maximum(rate, 10.0**LOWEST_DECADE))
    return np.minimum(np.asarray(np.floor((logs - LOWEST_DECADE) * STRATA_A_DECADE), np.uint8), N_STRATA - 1)


def by_strength(had: Floats, hoped: Floats) -> Floats:
    """Factor `[N_STRATA]` on the rates, by their strength: found against expected in a stratum's cells seen so far.

    Windows are chosen by the rates, so within a stratum what was seen is a fair sample of what was not. Where a stratum
    holds less than was expected, the next fainter one, of which little was seen, most likely does so too: factors are
    log-normal with a correlation that falls with the distance of the strata (docs/experiments.md, 55). Posterior means
    by Laplace's approximation (Rue and Held 2005, 4.4); without evidence they are 1.

    Args:
        had: `[N_STRATA]` objects found in cells that were looked at.
        hoped: `[N_STRATA]` objects that were expected to be found there.
    """
    if not (had.any() or hoped.any()):
        return np.ones(N_STRATA)
    mean = -0.5 * SPREAD**2
    log = np.full(N_STRATA, mean)
    for _ in range(NEWTON_STEPS):
        expected = hoped * np.exp(log)
        step = np.linalg.solve(np.diag(expected) + PRECISION, had - expected - PRECISION @ (log - mean))
        log += np.clip(step, -1, 1)
        if np.abs(step).max() < NEWTON_CLOSE:
            break
    variance = np.diag(np.linalg.inv(np.diag(hoped * np.exp(log)) + PRECISION))
    return np.asarray(np.exp(log + 0.5 * variance))


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
        strata = known.strata[known.seen]
        had += np.bincount(strata, known.found[known.seen], N_STRATA)
        hoped += np.bincount(strata, known.expected[known.seen], N_STRATA)
    factors = by_strength(had, hoped)
    log_factors = np.log(factors)
    logs: list[NDArray[np.float32]] = []
    for rows in strips:
        around = slice(max(0, rows.start - REACH), min(strips[-1].stop, rows.stop + REACH))
        known = part(around)
        log = log_factors[known.strata]
        for box, near in neighbourhoods(known.seen | (known.found > 0)):
            ratio = gamma_poisson(known.found[box], known.expected[box] * factors[known.strata[box]])
            log[box][near] += ratio[near]
        logs.append(log[rows.start - around.start : rows.stop - around.start].astype(np.float32))
    return logs[0] if len(logs) == 1 else np.concatenate(logs)


def neighbourhoods(evidence: Mask) -> Iterator[tuple[tuple[slice, slice], Mask]]:
    """Where evidence reaches: most of a large scene is far from any.

    Args:
        evidence: `[h, w]` cells with something found or looked at.

    Yields:
        Rectangles of cells, and in each the cells `[n, m]` for which all evidence within `REACH` lies in the same
        rectangle. Together they are all cells within `REACH` of evidence, each once.
    """
    h, w = evidence.shape
    padded = np.pad(evidence, ((0, -h % BLOCK_CELLS), (0, -w % BLOCK_CELLS)))
    blocks = padded.reshape(len(padded) // BLOCK_CELLS, BLOCK_CELLS, -1, BLOCK_CELLS).any((1, 3))
    reached = binary_dilation(blocks, np.ones((3, 3)), iterations=-(-REACH // BLOCK_CELLS))
    labels, _ = label(reached, np.ones((3, 3)))
    for index, (rows, cols) in enumerate(find_objects(labels), 1):
        mine = (labels[rows, cols] == index).repeat(BLOCK_CELLS, 0).repeat(BLOCK_CELLS, 1)
        box = tuple(slice(s.start * BLOCK_CELLS, min(s.stop * BLOCK_CELLS, n)) for s, n in ((rows, h), (cols, w)))
        yield (box[0], box[1]), mine[: box[0].stop - box[0].start, : box[1].stop - box[1].start]
