"""What was missed where nothing was looked at: a stratified random sample, estimate and interval. No state.

Units are the windows of a full scan, as far as their cores were not covered by the search. The sample is drawn with
known chances within strata of what was expected, so the estimate is unbiased whatever the saliency believes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
LEAST_A_STRATUM = 3  # units drawn from each
MOST_STRATA = 4

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Stratum:
    """Units of about equal expectation.

    Attributes:
        size: units in it.
        drawn: `[n]` the units that were drawn.
    """

    size: int
    drawn: Index


@dataclass(frozen=True, slots=True)
class Estimate:
    """Objects missed in the units that were not drawn either.

    Attributes:
        missed: unbiased estimate.
        low: lower end of the interval of 95 %.
        high: its upper end.
    """

    missed: float
    low: float
    high: float


def draw_units(expected: Floats, n: int, *, rng: np.random.Generator) -> list[Stratum]:
    """Draw units at random within strata of rising expectation.

    Strata hold equal shares of the summed root of the expectation (Dalenius & Hodges 1959); each is sampled by its
    share of the sum of `size * root of mean` (Neyman 1934 for counts), by three units at least.

    Args:
        expected: `[N]` what the search still expects in each unit.
        n: units to draw; all of them where there are no more.
        rng: source of randomness.
    """
    total = len(expected)
    if n >= total:
        return [Stratum(total, np.arange(total))] if total else []
    order = np.lexsort((np.arange(total), expected))
    n_strata = max(1, min(MOST_STRATA, n // (2 * LEAST_A_STRATUM)))
    floor = max(1e-6, float(expected.mean()) * 0.02)  # nothing is expected so little that it need not be looked at
    roots = np.sqrt(np.maximum(expected[order], floor))
    place = np.cumsum(roots) - roots / 2
    which = np.minimum((place / roots.sum() * n_strata).astype(int), n_strata - 1)
    groups = [which == h for h in np.unique(which)]
    members = [order[group] for group in groups]
    wanted = _shares(n, [len(units) for units in members], [float(roots[group].sum()) for group in groups])
    return [
        Stratum(len(units), np.sort(rng.choice(units, k, replace=False)))
        for units, k in zip(members, wanted, strict=True)
    ]


def _shares(n: int, sizes: Sequence[int], weights: Sequence[float]) -> list[int]:
    """`n` divided by weight, at least `LEAST_A_STRATUM` each where there are as many, never more than the size."""
    taken = [min(LEAST_A_STRATUM, size, n) for size in sizes]
    while sum(taken) < n and any(t < s for t, s in zip(taken, sizes, strict=True)):
        open_ = [h for h in range(len(sizes)) if taken[h] < sizes[h]]
        best = max(open_, key=lambda h: (weights[h] / taken[h] if taken[h] else math.inf, -h))
        taken[best] += 1
    return taken


def estimate_missed(strata: Sequence[Stratum], counts: Sequence[Floats]) -> Estimate:
    """Estimate what the units that were not drawn hold.

    The interval is that of a weighted sum of Poisson counts (Fay & Feuer 1997; the object that is added for the upper
    end weighs between their largest weight and the mean one of Tiwari et al. 2006), widened by the dispersion of the
    counts within strata, as objects come in groups, and by the chance of the units not drawn.

    Args:
        strata: of `draw_units`.
        counts: for each stratum `[n]` objects found in its drawn units.
    """
    weights = [(s.size - len(s.drawn)) / len(s.drawn) for s in strata]
    open_ = [(w, c) for w, c in zip(weights, counts, strict=True) if w > 0]
    if not open_:
        return Estimate(0.0, 0.0, 0.0)
    phi = _dispersion([c for _, c in open_])
    missed = float(sum(w * c.sum() for w, c in open_))
    # of the estimate, and of what is to be estimated given its mean
    variance = phi * (sum(w**2 * c.sum() for w, c in open_) + missed)
    drawn = sum(len(c) for _, c in open_)
    usual = sum(w * len(c) for w, c in open_) / drawn
    more = phi * math.sqrt(usual * max(w for w, _ in open_))  # one object more: Fay & Feuer's weight, and Tiwari's
    tail = (1 - LEVEL) / 2
    low = 0.0
    if missed > 0:
        low = variance / (2 * missed) * _chi2(tail, 2 * missed**2 / variance)
    mean, spread = missed + more, variance + more**2
    high = spread / (2 * mean) * _chi2(1 - tail, 2 * mean**2 / spread)
    return Estimate(missed, math.floor(low), high)


def _dispersion(counts: Sequence[Floats]) -> float:
    """Variance over mean of counts within strata, at least 1 (Poisson), shrunk towards it by two objects."""
    excess = sum(float(((c - c.mean()) ** 2).sum() * len(c) / max(1, len(c) - 1)) for c in counts)
    total = float(sum(c.sum() for c in counts))
    return max(1.0, (excess + 2.0) / (total + 2.0))


def _chi2(share: float, freedom: float) -> float:
    """The value below which a share of a chi-squared distribution lies; scipy.stats takes a second to load."""
    from scipy.special import gammaincinv  # a third of a second, which runs without an audit need not wait for

    return 2 * float(gammaincinv(freedom / 2, share))
