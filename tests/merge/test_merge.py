"""Merging: a plain greedy rule as the oracle, and the laws of merging."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geopdn.detections import Detections, WindowRecord
from geopdn.geometry import boxes as box
from geopdn.geometry import overlap
from geopdn.geometry.window import Size, Window
from geopdn.merge import core_array, merge

SIZE = Size(512, 1024)
LEFT_RIGHT = np.array([[0, 0, 512, 512], [0, 512, 512, 1024]])
COLUMNS = ("boxes", "score", "label", "window", "level", "cut")


def detections(
    rows: list[tuple[float, ...]],
    score: list[float],
    *,
    label: list[int] | None = None,
    window: list[int] | None = None,
    level: list[int] | None = None,
    cut: list[bool] | None = None,
) -> Detections:
    n = len(rows)
    return Detections(
        boxes=np.array(rows, float).reshape(n, 5),
        score=np.array(score, float),
        label=np.array(label or [0] * n, np.int64),
        window=np.array(window or [0] * n, np.int64),
        level=np.array(level or [0] * n, np.int64),
        cut=np.array(cut or [False] * n, bool),
    )


def assert_equal(a: Detections, b: Detections) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@st.composite
def crowds(draw: st.DrawFn, *, may_be_cut: bool = True) -> Detections:
    """Crowded boxes on a coarse grid of values, so that ties, touching and chains occur."""
    n = draw(st.integers(0, 14))
    rows, score, label, window, level, cut = [], [], [], [], [], []
    for _ in range(n):
        x, y = draw(st.integers(120, 136)) * 4, draw(st.integers(10, 20)) * 4
        length = draw(st.sampled_from([4, 6, 12, 24, 40, 80]))
        width = draw(st.sampled_from([3, 8, 10, 24]))
        rows.append((x, y, max(length, width), min(length, width), draw(st.sampled_from([-1.5, 0, 0, 0.4]))))
        score.append(draw(st.sampled_from([0.2, 0.5, 0.5, 0.9])))
        label.append(draw(st.integers(0, 1)))
        window.append(draw(st.integers(0, 1)))
        level.append(draw(st.integers(0, 2)))
        cut.append(draw(st.booleans()) if may_be_cut else False)
    return detections(rows, score, label=label, window=window, level=level, cut=cut)


def greedy(found: Detections, *, iou: float) -> Detections:
    """The rule as one would say it, for boxes of 8 px and more that are not cut."""
    left = found.in_canonical_order()
    kept: list[int] = []
    for i in range(len(left)):
        mine = [k for k in kept if left.label[k] == left.label[i]]
        rest = np.repeat(left.boxes[i : i + 1], len(mine), 0)
        if not (overlap.oriented_iou(left.boxes[mine], rest) > iou).any():
            kept.append(i)
    return left.take(np.array(kept, np.int64))


@pytest.mark.parametrize("seed", range(4))
def test_suppression_is_greedy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 600  # several blocks of candidates
    boxes = np.column_stack([rng.uniform(0, 300, (n, 2)), rng.uniform(8, 60, (n, 2)), rng.uniform(-2, 2, n)])
    found = Detections(
        box.normalise(boxes),
        rng.random(n),
        rng.integers(0, 2, n),
        np.zeros(n, int),
        np.zeros(n, int),
        np.zeros(n, bool),
    )
    merged = merge(found, cores=np.array([[0, 0, 512, 1024]]), size=SIZE)
    assert 50 < len(merged.detections) < 400
    assert_equal(merged.detections, greedy(found, iou=0.3))


@settings(max_examples=60, deadline=None)
@given(crowds(), st.randoms(use_true_random=False))
def test_order_of_the_input_does_not_matter_and_merging_is_idempotent(found: Detections, random: object) -> None:
    once = merge(found, cores=LEFT_RIGHT, size=SIZE)
    order = np.arange(len(found))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert_equal(merge(found.take(order), cores=LEFT_RIGHT, size=SIZE).detections, once.detections)
    twice = merge(once.detections, cores=LEFT_RIGHT, size=SIZE)
    assert_equal(twice.detections, once.detections)
    assert (twice.n_nonfinite, twice.n_foreign, twice.n_duplicates, twice.n_joined) == (0, 0, 0, 0)
    assert len(once.detections) + once.n_nonfinite + once.n_foreign + once.n_duplicates == len(found)


@settings(max_examples=40, deadline=None)
@given(crowds())
def test_nothing_left_overlaps_and_every_class_keeps_its_best(found: Detections) -> None:
    out = merge(found, cores=np.array([[0, 0, 512, 1024]] * 2), size=SIZE).detections
    i, j = np.triu_indices(len(out), 1)
    same = out.label[i] == out.label[j]
    assert (overlap.oriented_iou(out.boxes[i[same]], out.boxes[j[same]]) <= 0.3 + 1e-9).all()
    for label in np.unique(found.label):
        mine = found.take((found.label == label) & ~found.cut)
        if len(mine):  # the best uncut box falls to nobody
            assert out.score[out.label == label].max() >= mine.score.max()


def test_a_suppressed_box_suppresses_nothing() -> None:
    chain = detections([(100, 50, 20, 10, 0), (108, 50, 20, 10, 0), (116, 50, 20, 10, 0)], [0.9, 0.8, 0.7])
    assert merge(chain, cores=LEFT_RIGHT, size=SIZE).detections.boxes[:, 0].tolist() == [100, 116]


def test_ties_are_broken_by_row_then_column() -> None:
    found = detections([(102, 50, 20, 20, 0), (100, 50, 20, 20, 0), (98, 51, 20, 20, 0)], [0.5] * 3)
    assert merge(found, cores=LEFT_RIGHT, size=SIZE).detections.boxes[:, 0].tolist() == [100]


def test_classes_do_not_suppress_each_other() -> None:
    found = detections([(100, 50, 20, 10, 0)] * 2, [0.9, 0.8], label=[0, 1])
    assert len(merge(found, cores=LEFT_RIGHT, size=SIZE).detections) == 2


def test_the_same_box_up_to_rounding_is_one() -> None:
    rng = np.random.default_rng(0)
    n = 400  # boxes that GEOS calls disjoint in places
    first = np.column_stack(
        [np.arange(n) * 100.0 + 5, np.full(n, 5.0), rng.uniform(10, 50, n), rng.uniform(9, 10, n), np.ones(n)]
    )
    second = box.from_corners(np.roll(box.corners(first), 1, axis=1))
    everything = Detections(
        np.concatenate([first, second]),
        np.full(2 * n, 0.5),
        *[np.zeros(2 * n, int)] * 3,
        np.zeros(2 * n, bool),
    )
    size = Size(100, 100 * n)
    assert len(merge(everything, cores=np.array([[0, 0, 100, 100 * n]]), size=size).detections) == n


@pytest.mark.parametrize("angle", [0.0, 0.5, -1.4])
@pytest.mark.parametrize(("length", "width"), [(40, 10), (6, 1.8), (4, 4)])
def test_two_touching_objects_stay_two(angle: float, length: float, width: float) -> None:
    beside = np.array([100, 100]) + width * np.array([-np.sin(angle), np.cos(angle)])
    behind = np.array([100, 100]) + length * np.array([np.cos(angle), np.sin(angle)])
    for other in (beside, behind):
        found = detections([(100, 100, length, width, angle), (*other, length, width, angle)], [0.9, 0.8])
        assert len(merge(found, cores=LEFT_RIGHT, size=SIZE).detections) == 2


def test_tiny_boxes_are_one_by_their_centres() -> None:
    small = [(100, 100, 7, 7, 0), (101, 100, 3, 3, 0)]  # IoU 0.18
    large = [(100, 100, 70, 70, 0), (110, 100, 30, 30, 0)]  # the same ten times as large
    assert merge(detections(small, [0.9, 0.8]), cores=LEFT_RIGHT, size=SIZE).detections.boxes[:, 2].tolist() == [7]
    assert len(merge(detections(large, [0.9, 0.8]), cores=LEFT_RIGHT, size=SIZE).detections) == 2


def test_non_finite_is_dropped_and_counted() -> None:
    found = detections([(100, 50, 20, 10, 0), (np.nan, 50, 20, 10, 0), (100, 50, np.inf, 10, 0)] * 2, [0.5] * 6)
    found.score[3] = np.nan
    merged = merge(found, cores=LEFT_RIGHT, size=SIZE)
    assert (len(merged.detections), merged.n_nonfinite) == (1, 5)
    assert merged.detections.score.tolist() == [0.5]


def test_a_detection_belongs_to_the_window_whose_core_holds_its_centre() -> None:
    places = [505.0, 515.9, 516.1, 530.0]  # the left core ends at 512
    for level, kept in ((0, [505.0, 515.9]), (1, [505.0, 515.9, 516.1]), (3, places)):
        for x in places:
            found = detections([(x, 50, 20, 10, 0)], [0.5], level=[level])
            merged = merge(found, cores=LEFT_RIGHT, size=SIZE)
            assert (len(merged.detections) == 1) == (x in kept)
            assert merged.n_foreign == 1 - len(merged.detections)


@pytest.mark.parametrize(("x", "y", "window"), [(-30, 50, 0), (50, -30, 0), (50, 600, 0), (1100, 300, 1)])
def test_cores_own_what_lies_beyond_the_edge_of_the_scene(x: float, y: float, window: int) -> None:
    found = detections([(x, y, 20, 10, 0)] * 2, [0.5] * 2, window=[0, 1])
    assert merge(found, cores=LEFT_RIGHT, size=SIZE).detections.window.tolist() == [window]


def test_an_uncut_box_beats_cut_pieces_of_its_object() -> None:
    rows = [(500, 50, 60, 12, 0), (480, 50, 30, 12, 0), (480, 50, 60, 12, 0)]
    found = detections(rows, [0.4, 0.9, 0.95], cut=[False, True, True])
    assert merge(found, cores=LEFT_RIGHT, size=SIZE).detections.score.tolist() == [0.4]


def test_a_small_uncut_box_does_not_strike_the_large_cut_one_around_it() -> None:
    found = detections([(480, 50, 12, 10, 0), (480, 50, 60, 20, 0)], [0.4, 0.9], cut=[False, True])
    assert len(merge(found, cores=LEFT_RIGHT, size=SIZE).detections) == 2


@pytest.mark.parametrize("halo", [0.0, 8.0, 20.0])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_an_object_on_a_seam_is_joined(halo: float, angle: float) -> None:
    along = np.array([np.cos(angle), np.sin(angle)])
    whole = np.array([512.0, 200, 100, 16, angle])
    length = 50 + halo
    rows = [(*(whole[:2] - along * (50 - length / 2)), length, 16, angle)]
    rows += [(*(whole[:2] + along * (50 - length / 2)), length, 14, angle)]
    found = detections(rows, [0.6, 0.8], window=[0, 1], level=[0, 1], cut=[True, True])
    merged = merge(found, cores=LEFT_RIGHT, size=SIZE)
    assert (len(merged.detections), merged.n_joined, merged.n_duplicates) == (1, 1, 1)
    out = merged.detections
    assert (out.score[0], out.level[0], out.cut[0]) == (0.8, 1, False)
    np.testing.assert_allclose(out.boxes[0], whole, atol=1)


def test_a_long_object_over_four_windows_is_one() -> None:
    cores = np.array([[0, start, 512, start + 256] for start in range(0, 1024, 256)])
    rows = [(start + 128, 100, 272, 20, 0) for start in range(0, 1024, 256)]
    found = detections(rows, [0.5, 0.6, 0.7, 0.8], window=[0, 1, 2, 3], cut=[True] * 4)
    out = merge(found, cores=cores, size=SIZE).detections
    np.testing.assert_allclose(out.boxes, [[512, 100, 1040, 20, 0]], atol=1e-6)
    assert out.score.tolist() == [0.8]


def test_what_does_not_continue_is_not_joined() -> None:
    left = (492.0, 100.0, 40.0, 10.0, 0.0)
    for right in [(532, 109, 40, 10, 0), (532, 118, 40, 10, 0.8), (540, 100, 40, 10, 0)]:  # beside, bent, apart
        found = detections([left, right], [0.5, 0.6], window=[0, 1], cut=[True, True])
        assert len(merge(found, cores=LEFT_RIGHT, size=SIZE).detections) == 2
    for change in ({"window": [0, 0]}, {"cut": [True, False]}, {"label": [0, 1]}):
        settings_ = {"window": [0, 1], "cut": [True, True], **change}
        found = detections([left, (514, 100, 4, 10, 0)], [0.5, 0.6], **settings_)  # type: ignore[arg-type]
        assert merge(found, cores=LEFT_RIGHT, size=SIZE).n_joined == 0


def test_cores_come_from_records() -> None:
    records = [
        WindowRecord(1, Window(0, 248, 264, 264), Window(0, 256, 256, 256), "256", "plan", 0, 1.0),
        WindowRecord(0, Window(0, 0, 264, 264), Window(0, 0, 256, 256), "256", "plan", 0, 1.0),
    ]
    assert core_array(records).tolist() == [[0, 0, 256, 256], [0, 256, 256, 512]]
    assert core_array([]).shape == (0, 4)


def test_a_window_without_core_is_refused() -> None:
    with pytest.raises(ValueError, match="windows 2 to 2 but there are 2 cores"):
        merge(detections([(0, 0, 9, 9, 0)], [0.5], window=[2]), cores=LEFT_RIGHT, size=SIZE)


def test_nothing_in_nothing_out() -> None:
    merged = merge(Detections.empty(), cores=np.zeros((0, 4), np.int64), size=SIZE)
    assert len(merged.detections) == merged.n_duplicates == 0


@pytest.mark.slow
@pytest.mark.parametrize(("total", "copies"), [(100_000, 4), (20_000, 20_000)])
def test_a_hundred_thousand_boxes(total: int, copies: int) -> None:
    rng = np.random.default_rng(0)
    objects, side = total // copies, 20_000
    centres = np.repeat(rng.uniform(0, side, (objects, 2)), copies, 0) + rng.normal(0, 1, (objects * copies, 2))
    shape = np.repeat(np.column_stack([rng.uniform(20, 60, objects), rng.uniform(10, 20, objects)]), copies, 0)
    n = len(centres)
    angle = np.repeat(rng.uniform(-1.5, 1.5, objects), copies)
    found = Detections(
        np.column_stack([centres, shape, angle]), rng.random(n), *[np.zeros(n, int)] * 3, rng.random(n) < 0.02
    )
    start = time.process_time()
    out = merge(found, cores=np.array([[0, 0, side, side]]), size=Size(side, side)).detections
    assert time.process_time() - start < 10
    assert 0.5 * objects <= len(out) <= objects
