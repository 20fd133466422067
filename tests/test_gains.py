"""Gains of all candidates stay what they would be if they were summed anew."""

from __future__ import annotations

import numpy as np
import pytest
from test_plan import CELLS, KINDS, PRIORITIES, SIZE, coverage_of

from geopdn.coverage import Coverage, place_window
from geopdn.gains import Gains, rectangle_sums


def worth_of(coverage, best):
    kind, row, col = best
    core = place_window(KINDS[kind], kind, row=row, col=col, size=SIZE, gain=0.0).core
    return coverage.gain(kind, core) / KINDS[kind].tensor ** 2


@pytest.mark.parametrize("only", [None, 0])
def test_after_many_windows_the_best_is_still_that_of_fresh_sums(only):
    coverage = coverage_of(5, n=60)

    def price(kind):
        return kind.tensor**2

    gains = Gains(coverage, price=price, only=only)
    for _ in range(25):
        kind, row, col = gains.best()
        fresh = Gains(coverage, price=price, only=only).best()
        assert worth_of(coverage, (kind, row, col)) == pytest.approx(worth_of(coverage, fresh), rel=1e-6)
        core = place_window(KINDS[kind], kind, row=row, col=col, size=SIZE, gain=0.0).core
        coverage.cover(kind, core)
        gains.update(core)


def test_barred_candidates_do_not_come_back():
    coverage = coverage_of(6)
    gains = Gains(coverage, price=lambda kind: kind.tensor**2)
    first = gains.best()
    gains.bar(first[0], everywhere=False)
    second = gains.best()
    assert second != first
    gains.bar(second[0], everywhere=True)
    core = place_window(KINDS[0], 0, row=0, col=0, size=SIZE, gain=0.0).core
    gains.update(core)
    assert gains.best()[0] != second[0]
    for kind in range(len(KINDS)):
        gains.bar(kind, everywhere=True)
    assert gains.best() is None


def test_nothing_expected_nothing_to_choose():
    coverage = Coverage(np.zeros(CELLS, np.float32), PRIORITIES, kinds=KINDS, cell_px=32, size=SIZE)
    assert Gains(coverage, price=lambda _: 1.0).best() is None


def test_sums_over_rectangles():
    mass = np.arange(12.0).reshape(3, 4)
    sums = rectangle_sums(mass, (np.array([0, 2]), np.array([2, 3])), (np.array([0, 3]), np.array([2, 4])))
    np.testing.assert_allclose(sums, [[0 + 1 + 4 + 5, 3 + 7], [8 + 9, 11]])
