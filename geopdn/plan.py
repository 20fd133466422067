"""Which windows to look at: greedy probabilistic coverage of the expected counts, under a budget.

The objective is monotone and submodular (a facility-location function): greedy by gain per cost is within the usual
bounds of the optimum (Nemhauser et al. 1978, Leskovec et al. 2007).
"""

from __future__ import annotations

from dataclasses import replace

from geopdn.budget import Budget, Spending, window_cost
from geopdn.config import WindowKind
from geopdn.coverage import Coverage, Planned, place_window, scan_count
from geopdn.gains import Gains

NEGLIGIBLE = 1e-9
DOUBT = 0.5  # of an object
SCAN_INSTEAD = 0.6  # of the full scan's cost: above, only the windows of the full scan are considered


def recall_estimate(coverage: Coverage, *, n_found: float) -> float:
    """Expected share, in [0, 1], of what a full scan would find that has been found.

    Half an object of doubt keeps an empty scene from being declared finished on no evidence.
    """
    return _recall(n_found, coverage.left())


def _recall(n_found: float, left: float) -> float:
    return (n_found + DOUBT) / (n_found + DOUBT + max(0.0, left))


def plan_windows(
    coverage: Coverage,
    *,
    budget: Budget,
    spent: Spending,
    n_found: int = 0,
    until_ms: float | None = None,
    only: int | None = None,
) -> tuple[list[Planned], Spending]:
    """Add windows by gain per cost until the budget, the recall target or the gains are used up.

    Args:
        coverage: the state; updated as windows are planned.
        budget: the limits.
        spent: what has been used up before.
        n_found: objects found by the windows looked at before.
        until_ms: plan at most this many nominal milliseconds in this round.
        only: index of a kind: its windows alone are considered, and only those of its full scan.

    Returns:
        The windows in the order of their gain per cost, and what is used up after them.
    """
    left, gained = coverage.left(), 0.0
    gains = Gains(coverage, price=lambda kind: _price(kind, budget), only=only)
    planned: list[Planned] = []
    start_ms = spent.ms
    while _any_fits(coverage, budget, spent):
        if budget.recall is not None and _recall(n_found + gained, left) >= budget.recall:
            break
        if until_ms is not None and spent.ms - start_ms >= until_ms:
            break
        best = gains.best()
        if best is None:
            break
        index, row, col = best
        window = place_window(coverage.kinds[index], index, row=row, col=col, size=coverage.size, gain=0.0)
        gain = coverage.gain(index, window.core)
        if gain <= NEGLIGIBLE:
            gains.bar(index, everywhere=False)
            continue
        after = spend(spent, window, coverage)
        if not after.fits(budget, coverage.size):
            whole = after.pixels - spent.pixels == coverage.kinds[index].extent ** 2
            gains.bar(index, everywhere=whole)  # those at the scene's edge read less
            continue
        left -= coverage.left(window.core)
        coverage.cover(index, window.core)
        left += coverage.left(window.core)
        gains.update(window.core)
        gained += gain
        spent = after
        planned.append(replace(window, gain=gain))
    return planned, spent


def spend(spent: Spending, item: Planned, coverage: Coverage) -> Spending:
    """What is used up after one more window."""
    inside = item.window.at_full_resolution().clip(coverage.size)
    return spent.add(coverage.kinds[item.kind], inside.area if inside else 0)


def _any_fits(coverage: Coverage, budget: Budget, spent: Spending) -> bool:
    """Whether the budget has room for the smallest kind of window, wholly inside the scene."""
    size = coverage.size
    area = {kind: min(kind.extent, size.height) * min(kind.extent, size.width) for kind in coverage.kinds}
    return any(spent.add(kind, pixels).fits(budget, size) for kind, pixels in area.items())


def _price(kind: WindowKind, budget: Budget) -> float:
    """What the budget counts: pixels for a share, one for windows, nominal milliseconds else."""
    if budget.share is not None:
        return kind.extent**2 / 1e4
    return 1.0 if budget.windows is not None else window_cost(kind)


def scan_is_cheaper(planned_ms: float, coverage: Coverage) -> bool:
    """Whether most of what a full scan of the unseen would cost would be spent anyway."""
    kind = coverage.kinds[coverage.scan_kind]
    whole = scan_count(kind, coverage.size) * window_cost(kind)
    return planned_ms > SCAN_INSTEAD * (1 - float(coverage.seen.mean())) * whole
