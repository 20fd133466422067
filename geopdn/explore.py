"""Windows drawn at random beside the plan, so that a map that is wrong where it expects nothing cannot go unnoticed.

What they find against what was expected there enters the correction by strength (`geopdn.evidence`), on which the
recall target stops: a tail of rates that are too low is seen, and so is one that is too high.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from geopdn.budget import Budget, Spending, window_cost
from geopdn.coverage import Coverage, Planned, scan
from geopdn.plan import spend

SHARE = 0.04  # of the nominal cost of a search


def explore(
    coverage: Coverage, *, budget: Budget, spent: Spending, explored_ms: float, rng: np.random.Generator
) -> tuple[list[Planned], Spending]:
    """Draw windows of the full scan from what no window has covered, one from each of equal strata of expectation.

    Args:
        coverage: the state; updated.
        budget: the limits.
        spent: what has been used up, exploration included.
        explored_ms: nominal milliseconds of it that were spent exploring.
        rng: source of randomness.

    Returns:
        As many windows as bring exploration to `SHARE` of all cost, and what is used up after them.
    """
    kind = coverage.scan_kind
    n = int((SHARE * spent.ms - explored_ms) / window_cost(coverage.kinds[kind]))
    if n < 1:
        return [], spent
    expects = np.any(coverage.prior > 0, axis=0)  # rates are positive wherever pixels are valid
    units = [
        item
        for item in scan(coverage.kinds, kind, size=coverage.size)
        if (expects[coverage.cells(item.core)] & ~coverage.seen[coverage.cells(item.core)]).any()
    ]
    order = sorted(range(len(units)), key=lambda i: (coverage.gain(kind, units[i].core), i))
    drawn: list[Planned] = []
    for stratum in np.array_split(np.array(order, np.int64), min(n, len(order)) or 1):
        if not len(stratum):
            continue
        item = units[int(rng.choice(stratum))]
        after = spend(spent, item, coverage)
        if not after.fits(budget, coverage.size):
            break
        spent = after
        gain = coverage.gain(kind, item.core)
        coverage.cover(kind, item.core)
        drawn.append(replace(item, gain=gain))
    return drawn, spent
