"""Matching against pycocotools' rule, ignored truth, and angles modulo half a turn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geopdn.evaluate.labels import Truth
from geopdn.evaluate.matching import match, match_each
from geopdn.geometry import overlap


def truth_of(
    rows: list[tuple[float, ...]], *, labels: list[int] | None = None, ignore: list[bool] | None = None
) -> Truth:
    m = len(rows)
    return Truth(
        boxes=np.array(rows, float).reshape(m, 5),
        labels=np.array(labels or [0] * m, np.int64),
        names=("ship", "boat"),
        ignore=np.array(ignore or [False] * m, bool),
    )


def test_the_best_score_takes_the_best_free_object() -> None:
    truth = truth_of([(0, 0, 20, 10, 0), (4, 0, 20, 10, 0)])
    boxes = np.array([[1.0, 0, 20, 10, 0], [0, 0, 20, 10, 0], [1, 0, 20, 10, 0]])
    got = match(boxes, np.array([0.7, 0.9, 0.5]), truth=truth)
    assert got.truth.tolist() == [1, 0, -1]
    assert got.found_by.tolist() == [1, 0]
    assert got.overlap[1] == pytest.approx(1)
    assert got.overlap[0] == pytest.approx(17 / 23)
    np.testing.assert_allclose(got.offset_px, [3, 0, np.nan])


def test_classes_match_only_themselves() -> None:
    truth = truth_of([(0, 0, 20, 10, 0)], labels=[1])
    box = truth.boxes
    assert match(box, np.array([0.9]), truth=truth, labels=np.array([0])).truth.tolist() == [-1]
    assert match(box, np.array([0.9]), truth=truth, labels=np.array([1])).truth.tolist() == [0]


def test_ignored_truth_absorbs_any_number_and_counts_for_nothing() -> None:
    truth = truth_of([(0, 0, 40, 20, 0), (100, 0, 20, 10, 0)], ignore=[True, False])
    boxes = np.array([[-8.0, 0, 20, 15, 0], [0, 0, 40, 20, 0], [38, 0, 40, 20, 0], [100, 0, 20, 10, 0]])
    got = match(boxes, np.array([0.9, 0.8, 0.7, 0.6]), truth=truth)
    assert got.absorbed.tolist() == [True, True, False, False]
    assert got.truth.tolist() == [-1, -1, -1, 1]
    assert got.found_by.tolist() == [-1, 3]


def test_an_object_that_counts_comes_before_ignored_truth() -> None:
    truth = truth_of([(0, 0, 20, 10, 0), (2, 0, 20, 10, 0)], ignore=[True, False])
    got = match(truth.boxes[:1], np.array([0.9]), truth=truth)
    assert (got.truth.tolist(), got.absorbed.tolist()) == ([1], [False])


def test_mode_decides_what_overlap_means() -> None:
    truth = truth_of([(0, 0, 40, 8, 0.6)])
    crossed = np.array([[0.0, 0, 40, 8, -0.6]])
    score = np.array([0.9])
    assert match(crossed, score, truth=truth, mode="oriented").truth.tolist() == [-1]
    upright = match(crossed, score, truth=truth, mode="axis_aligned")
    assert upright.truth.tolist() == [0]
    assert upright.overlap[0] == pytest.approx(1)


@pytest.mark.parametrize(("mine", "theirs", "turn"), [(-1.5, 1.5, 8.1127), (0.2, 0.2 + np.pi, 0), (0.1, -0.1, 11.4592)])
def test_turns_are_modulo_half_a_circle(mine: float, theirs: float, turn: float) -> None:
    truth = truth_of([(0, 0, 20, 10, theirs)])
    got = match(np.array([[0, 0, 20, 10, mine]]), np.array([0.9]), truth=truth, iou=0.1)
    assert got.turn_deg[0] == pytest.approx(turn, abs=1e-3)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 8), st.sampled_from([0.1, 0.5, 0.75]))
def test_one_to_one_greedy_and_free_of_order(seed: int, n: int, m: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    rows = np.column_stack([rng.uniform(0, 40, (n + m, 2)), rng.uniform(5, 30, (n + m, 2)), rng.uniform(-1, 1, n + m)])
    boxes, score = rows[:n], rng.integers(1, 4, n) / 4
    truth = truth_of([tuple(row) for row in rows[n:]])
    got = match(boxes, score, truth=truth, iou=iou)

    free = set(range(m))
    wanted = np.full(n, -1)
    for i in sorted(range(n), key=lambda k: (-score[k], boxes[k, 1], boxes[k, 0])):
        each = {j: overlap.oriented_iou(boxes[i : i + 1], truth.boxes[j : j + 1])[0] for j in sorted(free)}
        if each and max(each.values()) >= iou:
            wanted[i] = max(each, key=each.__getitem__)
            free.remove(wanted[i])
    assert got.truth.tolist() == wanted.tolist()

    order = rng.permutation(n)
    assert match(boxes[order], score[order], truth=truth, iou=iou).truth.tolist() == wanted[order].tolist()
    several = match_each(boxes, score, truth=truth, ious=[0.9, iou])
    assert several[1].truth.tolist() == wanted.tolist()


def test_empty_sides() -> None:
    none = np.zeros((0, 5))
    assert match(none, np.zeros(0), truth=truth_of([(0, 0, 9, 9, 0)])).found_by.tolist() == [-1]
    got = match(np.array([[0.0, 0, 9, 9, 0]]), np.array([0.5]), truth=truth_of([]), mode="axis_aligned")
    assert (got.truth.tolist(), got.absorbed.tolist()) == ([-1], [False])


def test_non_finite_detections_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        match(np.zeros((1, 5)), np.array([np.nan]), truth=truth_of([]))
