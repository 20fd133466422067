"""Reliability against hand counts, and against scores that are probabilities by construction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geopdn.evaluate.calibration import reliability
from geopdn.evaluate.matching import Matches


def matches_of(score: list[float] | np.ndarray, hit: list[bool] | np.ndarray, *, absorbed: list[int] = ()) -> Matches:
    """Matches with these outcomes; the rest of the record is not looked at."""
    score, hit = np.asarray(score, float), np.asarray(hit, bool)
    n, m = len(score), int(hit.sum())
    skip = np.zeros(n, bool)
    skip[list(absorbed)] = True
    return Matches(
        score=score,
        label=np.zeros(n, int),
        truth=np.where(hit, np.cumsum(hit) - 1, -1),
        absorbed=skip,
        overlap=np.zeros(n),
        offset_px=np.full(n, np.nan),
        turn_deg=np.full(n, np.nan),
        truth_label=np.zeros(m, int),
        truth_ignored=np.zeros(m, bool),
        found_by=np.flatnonzero(hit),
    )


def test_hand_counted_bins_and_errors() -> None:
    one = matches_of([0.05, 0.15, 0.15, 0.95], [False, True, False, True])
    two = matches_of([1.0, 0.0, 0.5], [False, False, False], absorbed=[2])
    got = reliability([one, two])
    assert (got.n, got.n_right) == (6, 2)
    assert got.brier == pytest.approx((0.05**2 + 0.85**2 + 0.15**2 + 0.05**2 + 1 + 0) / 6)
    # tenths: [0, .05] none right, [.15, .15] one of two, [.95, 1] one of two
    assert [(part.low, part.high, part.n, part.right) for part in got.equal_width] == [
        (0.0, 0.1, 2, 0.0), (0.1, 0.2, 2, 0.5), (0.9, 1.0, 2, 0.5)
    ]  # fmt: skip
    assert [part.score for part in got.equal_width] == pytest.approx([0.025, 0.15, 0.975])
    assert got.ece == pytest.approx((0.025 + 0.35 + 0.475) / 3)
    assert got.max_error == pytest.approx(0.475)


def test_equal_counts_keep_equal_scores_together() -> None:
    score = [0.1] * 5 + [0.2, 0.3, 0.4, 0.5, 0.6]
    got = reliability([matches_of(score, [True] * 10)], n_bins=5)
    assert [(part.low, part.high, part.n) for part in got.equal_count] == [
        (0.1, 0.1, 5), (0.2, 0.2, 1), (0.3, 0.4, 2), (0.5, 0.6, 2)
    ]  # fmt: skip
    # everything is right: the error of a bin is one less its mean score
    assert got.ece_equal_count == pytest.approx(1 - np.mean(score))
    assert got.max_error_equal_count == pytest.approx(0.9)


def test_distinct_scores_fill_bins_equally() -> None:
    score = np.random.default_rng(0).random(1000)
    got = reliability([matches_of(score, score > 0.5)])
    assert [part.n for part in got.equal_count] == [100] * 10
    assert [part.score for part in got.equal_count] == pytest.approx(np.sort(score).reshape(10, 100).mean(1).tolist())


def test_scores_that_are_probabilities_have_small_errors_and_squared_ones_have_not() -> None:
    rng = np.random.default_rng(1)
    chance = rng.random(20_000)
    hit = rng.random(20_000) < chance
    good, bad = reliability([matches_of(chance, hit)]), reliability([matches_of(chance**2, hit)])
    assert good.ece < 0.02
    assert good.ece_equal_count < 0.02
    assert good.brier == pytest.approx(1 / 6, abs=0.005)  # the integral of p (1 - p)
    assert bad.ece_equal_count == pytest.approx(1 / 6, abs=0.01)  # the integral of p - p squared
    inside = [part.right_low <= part.score <= part.right_high for part in good.equal_count]
    assert sum(inside) >= 8


def test_intervals_of_bins_are_wilsons() -> None:
    from scipy.stats import binomtest

    for right in (0, 1, 7, 10):
        (part,) = reliability([matches_of([0.55] * 10, [True] * right + [False] * (10 - right))]).equal_width
        assert (part.right_low, part.right_high) == pytest.approx(
            tuple(binomtest(right, 10).proportion_ci(method="wilson")), abs=1e-6
        )


def test_nothing_found_or_no_probabilities_is_none() -> None:
    assert reliability([]) is None
    assert reliability([matches_of([0.3], [False], absorbed=[0])]) is None
    assert reliability([matches_of([0.3, 1.2], [True, False])]) is None
    assert reliability([matches_of([-0.1], [True])]) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60), st.randoms())
def test_bins_partition_the_detections_and_order_does_not_matter(rows, random) -> None:
    def of(rows):
        return matches_of([score / 20 for score, _ in rows], [hit for _, hit in rows])

    got = reliability([of(rows)])
    for bins in (got.equal_width, got.equal_count):
        assert sum(part.n for part in bins) == len(rows)
        assert sum(part.right * part.n for part in bins) == pytest.approx(got.n_right)
        assert all(0 <= part.right_low <= part.right_high <= 1 for part in bins)
    assert 0 <= got.ece <= got.max_error + 1e-12  # both are sums of floats
    assert got.max_error <= 1
    shuffled = rows[:]
    random.shuffle(shuffled)
    assert reliability([of(shuffled[:5]), of(shuffled[5:])]) == got
