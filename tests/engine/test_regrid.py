"""Expected counts on another grid: sums are kept, places too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopdn.engine.regrid import regrid_counts
from geopdn.geometry.window import Size


@given(
    h=st.integers(1, 20),
    w=st.integers(1, 20),
    cell=st.tuples(st.floats(3, 200), st.floats(3, 200)),
    cell_px=st.integers(2, 300),
    cut=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
    seed=st.integers(0, 99),
)
def test_sums_are_kept_and_nothing_is_negative(h, w, cell, cell_px, cut, seed):
    counts = np.random.default_rng(seed).exponential(1.0, (2, h, w)).astype(np.float32)
    size = Size(*(max(1, round((n - part) * side)) for n, part, side in zip((h, w), cut, cell, strict=True)))
    new = regrid_counts(counts, cell=cell, cell_px=cell_px, size=size)
    assert new.shape == (2, -(-size.height // cell_px), -(-size.width // cell_px))
    assert new.min() >= 0
    assert new.sum((1, 2)) == pytest.approx(counts.sum((1, 2)), rel=1e-5)


def test_the_same_grid_changes_nothing():
    counts = np.random.default_rng(1).random((3, 5, 7)).astype(np.float32)
    new = regrid_counts(counts, cell=(32.0, 32.0), cell_px=32, size=Size(5 * 32, 7 * 32))
    assert new == pytest.approx(counts, abs=1e-6)


def test_counts_are_spread_evenly_over_their_cell():
    counts = np.zeros((1, 2, 2), np.float32)
    counts[0, 1, 0] = 8.0  # rows 48 to 96, columns 0 to 48 of the new grid
    new = regrid_counts(counts, cell=(48.0, 48.0), cell_px=32, size=Size(96, 96))[0]
    rows, cols = np.array([0, 1 / 3, 2 / 3]), np.array([2 / 3, 1 / 3, 0])  # shares of the old cell
    assert new == pytest.approx(8 * np.outer(rows, cols), abs=1e-5)
