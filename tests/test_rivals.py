"""Rules to measure the planner against: they keep to the budget, and choose what they say they choose."""

from __future__ import annotations

import numpy as np
import pytest
from test_plan import KINDS, SIZE, coverage_of, expected_finds

from geopdn.budget import Budget, Spending, pixels_read
from geopdn.coverage import scan
from geopdn.errors import ConfigError
from geopdn.explore import SHARE, explore
from geopdn.plan import plan_windows
from geopdn.rivals import RULES, choose


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("budget", [Budget(share=0.2), Budget(windows=7), Budget(seconds=1.0)])
def test_budgets_hold(rule, budget):
    windows = choose(rule, coverage_of(2), budget=budget, kind=0)
    assert windows
    assert budget.windows is None or len(windows) == budget.windows
    assert budget.share is None or pixels_read([w.window for w in windows], size=SIZE) <= budget.share * SIZE.area
    assert {w.kind for w in windows} == {0}


@pytest.mark.parametrize("rule", RULES)
def test_recall_targets_are_refused(rule):
    with pytest.raises(ConfigError, match=rule):
        choose(rule, coverage_of(), budget=Budget(recall=0.9), kind=0)


def test_top_k_takes_the_tiles_that_expect_most():
    coverage = coverage_of(3)
    tiles = scan(KINDS, 0, size=SIZE)
    worth = sorted((coverage.expected_in(tile.core) for tile in tiles), reverse=True)
    windows = choose("top-k", coverage, budget=Budget(windows=9), kind=0)
    assert [coverage.expected_in(w.core) for w in windows] == pytest.approx(worth[:9])


def test_random_tiles_depend_on_the_seed_and_on_nothing_else():
    def cores(seed: int) -> list[tuple[int, int]]:
        windows = choose("random", coverage_of(seed=5), budget=Budget(windows=20), kind=1, seed=seed)
        return [(w.core.row, w.core.col) for w in windows]

    assert cores(1) == cores(1) != cores(2)
    assert len(set(cores(1))) == 20


def test_soft_subtraction_takes_the_best_window_first_and_moves_on():
    coverage = coverage_of(n=0)
    coverage.rate[0, 30, 40] = 3.0
    coverage.rate[0, 70, 100] = 2.0
    windows = choose("soft-subtraction", coverage, budget=Budget(windows=12), kind=0)
    assert windows[0].gain == pytest.approx(3 * 0.9, rel=1e-3)
    assert len({(w.core.row, w.core.col) for w in windows}) == 12
    assert expected_finds(coverage) == pytest.approx(5 * 0.9, rel=1e-3)


def test_tiles_without_valid_pixels_are_left_out():
    coverage = coverage_of(1)
    coverage.rate[:, :, 60:] = 0
    for rule in RULES:
        windows = choose(rule, coverage, budget=Budget(windows=1000), kind=0)
        assert windows
        assert all(w.core.col < 60 * 32 for w in windows)
        coverage = coverage_of(1)
        coverage.rate[:, :, 60:] = 0


def test_coverage_finds_more_than_any_rule_at_the_same_share():
    expected = {}
    for rule in RULES:
        coverage = coverage_of(8)
        choose(rule, coverage, budget=Budget(share=0.1), kind=0)
        expected[rule] = expected_finds(coverage)
    coverage = coverage_of(8)
    plan_windows(coverage, budget=Budget(share=0.1), spent=Spending())
    assert expected_finds(coverage) > 1.2 * max(expected.values())


def test_exploration_brings_its_share_of_the_cost_to_the_wanted_one():
    coverage = coverage_of(4)
    _, spent = plan_windows(coverage, budget=Budget(share=0.6), spent=Spending())
    spent = Spending(windows=spent.windows, ms=50 * spent.ms, pixels=0)
    seen = coverage.seen.copy()
    windows, after = explore(
        coverage, budget=Budget(recall=0.9), spent=spent, explored_ms=0.0, rng=np.random.default_rng(0)
    )
    left = [t for t in scan(KINDS, coverage.scan_kind, size=SIZE) if not seen[coverage.cells(t.core)].all()]
    one = (after.ms - spent.ms) / len(windows)
    assert len(windows) == min(int(SHARE * spent.ms / one), len(left))
    assert len({(w.core.row, w.core.col) for w in windows}) == len(windows)
    assert all(not seen[coverage.cells(w.core)].all() for w in windows)


def test_exploration_waits_until_a_window_is_due_and_keeps_to_the_budget():
    rng = np.random.default_rng(0)
    assert explore(coverage_of(), budget=Budget(recall=0.9), spent=Spending(), explored_ms=0.0, rng=rng)[0] == []
    spent = Spending(windows=9, ms=1e5, pixels=0)
    windows, after = explore(
        coverage_of(), budget=Budget(recall=0.9, windows=12), spent=spent, explored_ms=0.0, rng=rng
    )
    assert len(windows) == 3
    assert after.windows == 12
