"""Soft-NMS and weighted boxes fusion: hand-made cases with their numbers, plain loops as oracles, the laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from test_merge import LEFT_RIGHT, SIZE, assert_equal, crowds, detections

from geopdn.detections import Detections
from geopdn.geometry import boxes as box
from geopdn.geometry.overlap import oriented_iou
from geopdn.geometry.window import Size
from geopdn.merge import merge
from geopdn.merge import soft as soft_module
from geopdn.merge import suppress as suppress_module

ONE = np.array([[0, 0, 512, 1024]])


def apart(*shifts: float, score: list[float], side: float = 40.0, **columns: list) -> Detections:
    """Upright boxes of 40 x 20 px beside each other."""
    return detections([(100 + shift, 50, side, 20, 0) for shift in shifts], score, **columns)


def test_soft_lowers_by_the_overlap() -> None:
    out = merge(apart(0, 10, 60, score=[0.9, 0.8, 0.3]), cores=ONE, size=SIZE, method="soft").detections
    assert out.boxes[:, 0].tolist() == [100, 110, 160] or out.boxes[:, 0].tolist() == [100, 110, 160][::-1]
    scores = dict(zip(out.boxes[:, 0].tolist(), out.score.tolist(), strict=True))
    assert scores == pytest.approx({100: 0.9, 110: 0.8 * (1 - 30 / 50), 160: 0.3})


def test_soft_leaves_what_overlaps_less_and_other_classes_alone() -> None:
    found = apart(0, 25, 0, score=[0.9, 0.8, 0.7], label=[0, 0, 1])  # IoU 15 / 65 = 0.23
    assert merge(found, cores=ONE, size=SIZE, method="soft").detections.score.tolist() == [0.9, 0.8, 0.7]


def test_soft_takes_scores_as_they_have_become() -> None:
    """The second box falls behind the third before it could lower it."""
    found = apart(0, 10, 20, score=[0.9, 0.8, 0.7])  # IoU 0.6 to the next, 1/3 to the one after
    out = merge(found, cores=ONE, size=SIZE, method="soft").detections
    second, third = 0.8 * 0.4, 0.7 * (1 - 1 / 3)
    assert third > second
    assert out.score.tolist() == pytest.approx([0.9, third, second * 0.4])


def test_soft_drops_equal_boxes() -> None:
    merged = merge(apart(0, 0, 0, score=[0.9, 0.8, 0.7]), cores=ONE, size=SIZE, method="soft")
    assert merged.detections.score.tolist() == [0.9]
    assert merged.n_duplicates == 2


def plain_soft(found: Detections, iou: float) -> dict[tuple[float, float], float]:
    """One after the other, as the paper writes it."""
    boxes, score = found.boxes, found.score.copy()
    left, out = set(range(len(found))), {}
    while left:
        best = max(left, key=lambda k: (score[k], -boxes[k, 1], -boxes[k, 0]))
        left.remove(best)
        out[tuple(boxes[best, :2])] = score[best]
        for k in left:
            shared = oriented_iou(boxes[best : best + 1], boxes[k : k + 1])[0]
            if found.label[k] == found.label[best] and shared > iou:
                score[k] *= 1 - shared
    return {place: value for place, value in out.items() if value >= soft_module.LEAST_SCORE}


@pytest.mark.parametrize("block", [3, 64, 1 << 14])
def test_soft_is_that_of_the_paper_whatever_the_blocks(block, monkeypatch) -> None:
    monkeypatch.setattr(soft_module, "BLOCK", block)
    monkeypatch.setattr(soft_module, "MAX_PAIRS", 10 * block)
    rng = np.random.default_rng(7)
    n = 250
    boxes = np.column_stack([rng.uniform(100, 300, (n, 2)), rng.uniform(10, 60, (n, 2)), rng.uniform(-2, 2, n)])
    zeros = np.zeros(n, int)
    found = Detections(box.normalise(boxes), rng.random(n), rng.integers(0, 2, n), zeros, zeros, np.zeros(n, bool))
    out = merge(found, cores=ONE, size=SIZE, method="soft").detections
    wanted = plain_soft(found, 0.3)
    assert {tuple(place): score for place, score in zip(out.boxes[:, :2], out.score, strict=True)} == pytest.approx(
        wanted
    )


def test_fusion_is_the_mean_weighted_by_score() -> None:
    found = detections([(100, 50, 40, 20, 0), (104, 51, 44, 22, 0.2), (300, 50, 40, 20, 0)], [0.9, 0.3, 0.5])
    merged = merge(found, cores=ONE, size=SIZE, method="wbf")
    out = merged.detections
    angle = np.arctan2(0.3 * np.sin(0.4), 0.9 + 0.3 * np.cos(0.4)) / 2
    np.testing.assert_allclose(out.boxes, [[101, 50.25, 41, 20.5, angle], [300, 50, 40, 20, 0]])
    assert out.score.tolist() == pytest.approx([0.6, 0.5])
    assert merged.n_duplicates == 1


def test_angles_are_averaged_across_the_end_of_their_range() -> None:
    found = detections([(100, 50, 40, 20, np.pi / 2 - 0.1), (100, 50, 40, 20, -np.pi / 2 + 0.1)], [0.5, 0.5])
    (out,) = merge(found, cores=ONE, size=SIZE, method="wbf").detections.boxes
    assert abs(abs(out[4]) - np.pi / 2) < 1e-9
    assert -np.pi / 2 <= out[4] < np.pi / 2


def test_nearly_square_boxes_turned_by_a_quarter_are_the_same_way_round() -> None:
    found = detections([(100, 50, 20, 19, 0.0), (100, 50, 20, 19, -np.pi / 2 + 0.02)], [0.6, 0.6])
    (out,) = merge(found, cores=ONE, size=SIZE, method="wbf").detections.boxes
    np.testing.assert_allclose(out[:4], [100, 50, 19.5, 19.5])
    assert out[4] % (np.pi / 2) == pytest.approx(0.01)


def test_upright_boxes_stay_exactly_upright() -> None:
    found = detections([(100, 50, 20, 30, 0.0), (102, 51, 22, 29, 0.0)], [0.6, 0.5])
    (out,) = merge(found, cores=ONE, size=SIZE, method="wbf").detections.boxes
    assert out[4] == 0
    assert out[3] > out[2]


def test_weak_boxes_take_no_part_in_the_fusion() -> None:
    found = apart(0, 4, score=[0.9, 0.1])
    merged = merge(found, cores=ONE, size=SIZE, method="wbf", fuse_from=np.array([0.3]))
    assert (merged.detections.boxes[0, 0], merged.detections.score[0]) == (100, 0.9)
    assert (merged.n_weak, merged.n_duplicates) == (1, 0)


def test_a_mean_belongs_to_the_core_that_holds_it() -> None:
    found = detections([(508, 50, 60, 20, 0), (530, 50, 60, 20, 0)], [0.3, 0.9], window=[0, 1])
    (out,) = merge(found, cores=LEFT_RIGHT, size=SIZE, method="wbf").detections.window
    assert out == 1
    gap = np.array([[0, 0, 512, 500], [0, 540, 512, 1024]])
    found = detections([(495, 50, 90, 20, 0), (545, 50, 90, 20, 0)], [0.5, 0.4], window=[0, 1])
    kept = merge(found, cores=gap, size=SIZE, method="wbf", iou=0.2).detections
    assert (kept.boxes[0, 0], kept.window[0], kept.score[0]) == (495, 0, pytest.approx(0.45))


@pytest.mark.parametrize("method", ["nms", "soft", "wbf"])
@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2])
def test_cut_pieces_are_joined_first(method, angle) -> None:
    along = np.array([np.cos(angle), np.sin(angle)])
    whole = np.array([512.0, 200, 100, 16, angle])
    pieces = [(*(whole[:2] + side * along * 24), 52, 16, angle) for side in (-1, 1)]
    windows = [0, 1] if np.cos(angle) > 0 else [1, 0]
    found = detections(pieces, [0.6, 0.8], window=windows, cut=[True, True])
    merged = merge(found, cores=LEFT_RIGHT, size=SIZE, method=method)
    assert (len(merged.detections), merged.n_joined) == (1, 1)
    np.testing.assert_allclose(merged.detections.boxes[0], whole, atol=1e-6)
    assert (merged.detections.score[0], merged.detections.cut[0]) == (0.8, False)


@pytest.mark.parametrize("method", ["soft", "wbf"])
def test_a_piece_of_a_whole_box_is_dropped(method) -> None:
    found = detections([(500, 50, 60, 12, 0), (480, 50, 20, 12, 0)], [0.4, 0.9], cut=[False, True])
    merged = merge(found, cores=LEFT_RIGHT, size=SIZE, method=method)
    assert_equal(merged.detections, found.take(np.array([0])))


@settings(max_examples=60, deadline=None)
@given(crowds())
@pytest.mark.parametrize("method", ["soft", "wbf"])
def test_the_laws_hold(method: str, found: Detections) -> None:
    once = merge(found, cores=LEFT_RIGHT, size=SIZE, method=method)
    back = np.arange(len(found))[::-1]
    assert_equal(merge(found.take(back), cores=LEFT_RIGHT, size=SIZE, method=method).detections, once.detections)
    assert len(once.detections) + once.n_nonfinite + once.n_foreign + once.n_weak + once.n_duplicates == len(found)
    if method == "wbf":
        twice = merge(once.detections, cores=LEFT_RIGHT, size=SIZE, method=method)
        assert_equal(twice.detections, once.detections)
        assert (twice.n_duplicates, twice.n_foreign, twice.n_joined) == (0, 0, 0)


@pytest.mark.parametrize("method", ["nms", "wbf"])
def test_the_size_of_the_blocks_does_not_matter(method, monkeypatch) -> None:
    rng = np.random.default_rng(3)
    n, size = 3000, Size(1024, 1024)
    boxes = np.column_stack([rng.uniform(0, 1024, (n, 2)), rng.uniform(8, 60, (n, 2)), rng.uniform(-2, 2, n)])
    window = (boxes[:, 0] >= 512).astype(int)
    zeros = np.zeros(n, int)
    found = Detections(box.normalise(boxes), rng.random(n), zeros, window, zeros, rng.random(n) < 0.2)
    cores = np.array([[0, 0, 1024, 512], [0, 512, 1024, 1024]])
    whole = merge(found, cores=cores, size=size, method=method).detections
    monkeypatch.setattr(suppress_module, "BLOCK", 50)
    monkeypatch.setattr(suppress_module, "MAX_PAIRS", 200)
    monkeypatch.setattr("geopdn.merge.join.BLOCK", 20)
    monkeypatch.setattr("geopdn.merge.join.MAX_PAIRS", 60)
    assert_equal(merge(found, cores=cores, size=size, method=method).detections, whole)


@pytest.mark.parametrize("method", ["soft", "wbf"])
@pytest.mark.parametrize("n", [20_000])
def test_a_crowd_on_one_place_takes_bounded_memory(method, n) -> None:
    rng = np.random.default_rng(0)
    boxes = np.column_stack([rng.normal(500, 1, n), rng.normal(200, 1, n), np.full((n, 2), [40, 20]), np.zeros(n)])
    zeros = np.zeros(n, int)
    found = Detections(boxes, rng.random(n), zeros, zeros, zeros, np.zeros(n, bool))
    out = merge(found, cores=ONE, size=SIZE, method=method).detections
    assert 1 <= len(out) < 200
