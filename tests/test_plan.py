"""Planning: budgets hold, gains are exact, coverage is greedy, the same input gives the same plan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geopdn.budget import Budget, Spending, parse_budget, pixels_read, window_cost
from geopdn.config import WindowKind
from geopdn.coverage import Coverage, scan, scan_kind
from geopdn.errors import ConfigError
from geopdn.geometry.window import Size, Window
from geopdn.plan import plan_windows, recall_estimate

KINDS = (
    WindowKind(extent=512, level=0, halo=32),
    WindowKind(extent=256, level=0, halo=32),
    WindowKind(extent=1024, level=1, halo=64),
)
PRIORITIES = np.array([[0.9, 0.95], [0.92, 0.8], [0.5, 0.97]])
SIZE = Size(3000, 4100)
CELLS = (2, 94, 129)


def coverage_of(seed: int = 0, *, n: int = 40) -> Coverage:
    rng = np.random.default_rng(seed)
    rate = np.full(CELLS, 1e-7, np.float32)
    rate[rng.integers(0, 2, n), rng.integers(0, CELLS[1], n), rng.integers(0, CELLS[2], n)] += 1
    return Coverage(rate, PRIORITIES, kinds=KINDS, cell_px=32, size=SIZE)


def expected_finds(coverage: Coverage) -> float:
    return float((coverage.rate * coverage.found).sum(dtype=np.float64))


@pytest.mark.parametrize(
    ("text", "recall", "expected"),
    [
        (None, None, Budget(recall=0.98)),
        (None, 0.9, Budget(recall=0.9)),
        ("0.2", None, Budget(share=0.2)),
        ("64w", 0.9, Budget(windows=64, recall=0.9)),
        ("30s", None, Budget(seconds=30.0)),
        ("full", None, Budget(full=True)),
        ("1", None, Budget(full=True)),
        ("0", None, Budget(share=0.0)),
    ],
)
def test_budgets_are_read(text, recall, expected):
    assert parse_budget(text, recall=recall) == expected


@pytest.mark.parametrize("text", ["nan", "-1", "1.5", "3.5w", "w", "20%", "full scan", ""])
def test_wrong_budgets_are_refused(text):
    with pytest.raises(ConfigError, match="budget"):
        parse_budget(text, recall=None)


@pytest.mark.parametrize("recall", [0.0, 1.1, float("nan")])
def test_wrong_recall_targets_are_refused(recall):
    with pytest.raises(ConfigError, match="recall"):
        parse_budget(None, recall=recall)


@settings(max_examples=25, deadline=None)
@given(
    share=st.none() | st.floats(0, 1),
    windows=st.none() | st.integers(0, 30),
    seconds=st.none() | st.floats(0, 3),
    seed=st.integers(0, 5),
)
def test_a_budget_is_never_exceeded(share, windows, seconds, seed):
    budget = Budget(share=share, windows=windows, seconds=seconds)
    planned, spent = plan_windows(coverage_of(seed), budget=budget, spent=Spending())
    assert windows is None or len(planned) <= windows
    assert share is None or pixels_read([p.window for p in planned], size=SIZE) <= share * SIZE.area
    assert seconds is None or sum(window_cost(KINDS[p.kind]) for p in planned) <= 1000 * seconds
    assert spent.windows == len(planned)


def test_gains_add_up_to_what_is_covered():
    coverage = coverage_of(1)
    planned, _ = plan_windows(coverage, budget=Budget(windows=12), spent=Spending())
    assert sum(p.gain for p in planned) == pytest.approx(expected_finds(coverage), rel=1e-5)


def test_the_first_window_is_the_best_of_all_candidates():
    coverage = coverage_of(2)
    rate, best = coverage.rate.astype(np.float64), -1.0
    for k, kind in enumerate(KINDS):
        side = kind.core // 32
        for i in range(0, CELLS[1] - side + 1, 2):
            for j in range(0, CELLS[2] - side + 1, 2):
                gain = (rate[:, i : i + side, j : j + side] * PRIORITIES[k][:, None, None]).sum()
                best = max(best, gain / window_cost(kind))
    planned, _ = plan_windows(coverage, budget=Budget(recall=1.0), spent=Spending(), until_ms=1e-9)
    assert planned[0].gain / window_cost(KINDS[planned[0].kind]) == pytest.approx(best, rel=1e-6)


def test_a_second_look_of_the_same_kind_gains_nothing():
    coverage = coverage_of(3)
    core = Window(320, 320, 448, 448)
    first = coverage.gain(0, core)
    coverage.cover(0, core)
    assert coverage.gain(0, core) == 0.0
    assert first >= 0


def test_a_recall_target_is_planned_for_and_not_much_more():
    coverage = coverage_of(4, n=200)
    planned, _ = plan_windows(coverage, budget=Budget(recall=0.9), spent=Spending())
    assert recall_estimate(coverage, n_found=expected_finds(coverage)) >= 0.9
    coverage = coverage_of(4, n=200)
    for item in planned[:-1]:
        coverage.cover(item.kind, item.core)
    assert recall_estimate(coverage, n_found=expected_finds(coverage)) < 0.9


def test_what_was_not_found_does_not_count_as_found():
    coverage = coverage_of(4, n=200)
    plan_windows(coverage, budget=Budget(recall=0.9), spent=Spending())
    assert recall_estimate(coverage, n_found=expected_finds(coverage) / 3) < 0.8


def test_windows_of_a_full_scan_alone_tile_the_scene():
    coverage = coverage_of(5)
    planned, _ = plan_windows(coverage, budget=Budget(recall=1.0), spent=Spending(), only=1)
    tiles = {(item.core, item.window) for item in scan(KINDS, 1, size=SIZE)}
    assert {(item.core, item.window) for item in planned} <= tiles
    assert len(planned) == len({item.core for item in planned})
    assert sum(item.gain for item in planned) == pytest.approx(expected_finds(coverage), rel=1e-5)


def test_the_same_counts_give_the_same_plan():
    plans = [plan_windows(coverage_of(6), budget=Budget(share=0.3), spent=Spending())[0] for _ in range(2)]
    assert plans[0] == plans[1]


def test_nothing_expected_means_nothing_planned():
    coverage = Coverage(np.zeros(CELLS, np.float32), PRIORITIES, kinds=KINDS, cell_px=32, size=SIZE)
    assert plan_windows(coverage, budget=Budget(share=0.5), spent=Spending())[0] == []


def test_the_cores_of_a_scan_tile_the_scene_once():
    for kind in range(len(KINDS)):
        count = np.zeros((SIZE.height, SIZE.width), np.uint8)
        for item in scan(KINDS, kind, size=SIZE):
            core = item.core
            count[core.row : core.row_stop, core.col : core.col_stop] += 1
            full = item.window.at_full_resolution()
            assert full.row <= core.row
            assert full.row_stop >= core.row_stop
            assert full.col <= core.col
            assert full.col_stop >= core.col_stop
        assert (count == 1).all()


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 5000), width=st.integers(1, 5000), kind=st.integers(0, len(KINDS) - 1))
def test_windows_of_a_scan_keep_their_halo_and_lie_inside(height, width, kind):
    shape, step = KINDS[kind], 1 << KINDS[kind].level
    items = scan(KINDS, kind, size=Size(height, width))
    assert sum(item.core.area for item in items) == height * width
    for item in items:
        full, core = item.window.at_full_resolution(), item.core
        assert full.row >= 0
        assert full.col >= 0
        assert core.row == 0 or core.row - full.row >= shape.halo
        assert core.col == 0 or core.col - full.col >= shape.halo
        assert core.row_stop == height or full.row_stop - core.row_stop >= shape.halo
        assert core.col_stop == width or full.col_stop - core.col_stop >= shape.halo
        assert full.row_stop < max(height, shape.extent) + step  # beyond the edge only where the scene is smaller


def test_the_scan_takes_the_kind_that_finds_most_and_of_equals_the_cheapest():
    assert scan_kind(KINDS, PRIORITIES, np.array([1.0, 0.0])) == 1
    assert scan_kind(KINDS, PRIORITIES, np.array([0.0, 1.0])) == 2
    assert scan_kind(KINDS, np.full((3, 2), 0.9), np.array([1.0, 1.0])) == 2


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-20, 90), st.integers(-20, 90), st.integers(1, 60), st.integers(0, 1)), max_size=8)
)
def test_pixels_are_counted_once(items):
    size = Size(70, 85)
    windows = [Window(row, col, side, side, level) for row, col, side, level in items]
    mask = np.zeros((70, 85), bool)
    for window in windows:
        full = window.at_full_resolution().clip(size)
        if full:
            mask[full.row : full.row_stop, full.col : full.col_stop] = True
    assert pixels_read(windows, size=size) == mask.sum()


def test_what_is_left_shrinks_by_what_the_scan_would_have_found_there():
    coverage = coverage_of(3)
    before = coverage.left()
    assert before == pytest.approx(coverage.reachable(), rel=1e-6)
    core = Window(640, 1280, 960, 960)
    there = coverage.left(core)
    coverage.cover(0, core)
    assert coverage.left(core) == pytest.approx(0, abs=there * 0.05)
    assert coverage.left() == pytest.approx(before - there + coverage.left(core), rel=1e-5)


def test_a_better_look_here_makes_up_for_nothing_elsewhere():
    """Half the scene is covered by a kind that finds more of the large than the scan would, and less of the small."""
    rate = np.stack([np.full(CELLS[1:], 2e-3), np.full(CELLS[1:], 1e-3)]).astype(np.float32)
    coverage = Coverage(rate, PRIORITIES, kinds=KINDS, cell_px=32, size=SIZE)
    assert coverage.scan_kind == 0
    half = Window(0, 0, SIZE.height, SIZE.width // 2)
    coverage.cover(2, half)
    small, large = coverage.totals()
    seen = coverage.seen.mean()
    expected = (1 - seen) * (0.9 * small + 0.95 * large) + seen * (0.9 - 0.5) * small
    assert coverage.left() == pytest.approx(expected, rel=1e-4)
