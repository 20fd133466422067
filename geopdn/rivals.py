"""Simpler ways to choose windows, to measure the planner against: same expected counts, same windows, same budget.

None of them stops by itself: they spend what they are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from geopdn.budget import Budget, Spending
from geopdn.coverage import Coverage, Planned, place_window, scan
from geopdn.errors import ConfigError
from geopdn.gains import lattice_sums
from geopdn.plan import spend

Rule = Literal["random", "top-k", "soft-subtraction"]
RULES: tuple[Rule, ...] = get_args(Rule)


def choose(rule: Rule, coverage: Coverage, *, budget: Budget, kind: int, seed: int = 0) -> list[Planned]:
    """Windows of one kind by a rule, until the next one does not fit the budget.

    `random` draws tiles of the full scan without replacement; `top-k` takes them by their expected objects;
    `soft-subtraction` takes windows anywhere (see `_soft_subtraction`). Tiles without a valid pixel are left out.

    Args:
        rule: which one.
        coverage: what is expected where; updated as windows are chosen.
        budget: shares, windows or seconds.
        kind: index of the kind of window.
        seed: of `random`.

    Raises:
        ConfigError: the budget is a recall target, which these rules know nothing of.
    """
    if budget.only_recall:
        raise ConfigError(f"{rule} windows cannot be chosen by {budget}: give a share (0.1), windows (64w) or seconds")
    chosen: list[Planned] = []
    spent = Spending()
    for item in _order(rule, coverage, kind=kind, seed=seed):
        after = spend(spent, item, coverage)
        if not after.fits(budget, coverage.size):
            break
        spent = after
        gain = coverage.gain(kind, item.core)
        coverage.cover(kind, item.core)
        chosen.append(replace(item, gain=gain))
    return chosen


def _order(rule: Rule, coverage: Coverage, *, kind: int, seed: int) -> Iterable[Planned]:
    if rule == "soft-subtraction":
        return _soft_subtraction(coverage, kind=kind)
    tiles = scan(coverage.kinds, kind, size=coverage.size)
    worth = np.array([coverage.expected_in(item.core) for item in tiles])
    if rule == "random":
        order = np.random.default_rng(seed).permutation(len(tiles))
    else:
        order = np.argsort(-worth, kind="stable")
    return [tiles[i] for i in order.tolist() if worth[i] > 0]


def _soft_subtraction(coverage: Coverage, *, kind: int) -> Iterator[Planned]:
    """UHR-DETR's rule (arXiv 2604.21435): the best window by its expected objects, then, around it, everything less.

    After each choice the scores of the windows that overlap it fall by its own score times a triangular kernel of
    their overlap, 1 at its place and 0 a window's side away. The published rule scores windows by an overlap-weighted
    sum of boxes that a network predicts; here it is the sum of the same expected counts as everywhere.
    """
    side = max(1, coverage.kinds[kind].core // coverage.cell_px)
    score, tops, lefts = lattice_sums(coverage.rate.sum(0, dtype=np.float64), side)
    while True:
        i, j = np.unravel_index(int(score.argmax()), score.shape)
        best = float(score[i, j])
        if best <= 0:
            return
        yield place_window(
            coverage.kinds[kind],
            kind,
            row=int(tops[i]) * coverage.cell_px,
            col=int(lefts[j]) * coverage.cell_px,
            size=coverage.size,
            gain=0.0,
        )
        down = np.clip(1 - np.abs(tops - tops[i]) / side, 0, None)
        across = np.clip(1 - np.abs(lefts - lefts[j]) / side, 0, None)
        score -= best * down[:, None] * across[None]
        score[i, j] = -np.inf
