"""Average precision against torchmetrics; F1, recall by length and the rest against hand counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geopdn.evaluate.labels import Truth
from geopdn.evaluate.matching import Matches, match
from geopdn.evaluate.precision import (
    average_precision,
    best_f1,
    f1_at,
    mean_average_precision,
    mean_offset,
    median_turn_deg,
    recall_by_length,
)
from geopdn.geometry import boxes as box


def scenes(seed: int, *, n_classes: int = 1, n_scenes: int = 3, ignored: float = 0.0) -> list[tuple[Truth, tuple]]:
    """Upright truth, and detections that are jittered copies of it, duplicates and false ones."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n_scenes):
        m = int(rng.integers(5, 40))
        there = np.column_stack([rng.uniform(0, 200, (m, 2)), rng.uniform(8, 40, (m, 2)), np.zeros(m)])
        labels = rng.integers(0, n_classes, m)
        near = there[rng.integers(0, m, 2 * m)] + rng.normal(0, 2.5, (2 * m, 5)) * [1, 1, 1, 1, 0]
        found_labels = rng.integers(0, n_classes, 2 * m)
        score = rng.random(2 * m).astype(np.float32).astype(float)
        truth = Truth(
            box.normalise(there), labels, tuple("abc"[:n_classes]), rng.random(m) < ignored, axis_aligned=True
        )
        near[:, 2:4] = np.abs(near[:, 2:4]) + 1
        out.append((truth, (box.normalise(near.astype(np.float32).astype(float)), score, found_labels)))
    return out


def all_matches(given: list[tuple[Truth, tuple]], *, iou: float) -> list[Matches]:
    return [match(boxes, score, labels=labels, truth=truth, iou=iou) for truth, (boxes, score, labels) in given]


@pytest.mark.parametrize(("seed", "n_classes", "iou", "ignored"), [
    (0, 1, 0.5, 0.0), (1, 1, 0.75, 0.0), (2, 3, 0.5, 0.0), (3, 1, 0.5, 0.3), (4, 2, 0.6, 0.2),
])  # fmt: skip
def test_upright_ap_is_that_of_torchmetrics(seed: int, n_classes: int, iou: float, ignored: float) -> None:
    torch = pytest.importorskip("torch")
    detection = pytest.importorskip("torchmetrics.detection")
    given = scenes(seed, n_classes=n_classes, ignored=ignored)
    metric = detection.MeanAveragePrecision(
        iou_thresholds=[iou],
        rec_thresholds=np.linspace(0, 1, 101).tolist(),
        max_detection_thresholds=[1, 100, 100_000],
        backend="faster_coco_eval",
    )
    for truth, (boxes, score, labels) in given:
        metric.update(
            [
                {
                    "boxes": torch.from_numpy(box.bounds(boxes)),
                    "scores": torch.from_numpy(score),
                    "labels": torch.from_numpy(labels),
                }
            ],
            [
                {
                    "boxes": torch.from_numpy(box.bounds(truth.boxes)),
                    "labels": torch.from_numpy(truth.labels),
                    "iscrowd": torch.from_numpy(truth.ignore.astype(np.int64)),
                }
            ],
        )
    wanted = float(metric.compute()["map"])
    got = mean_average_precision(all_matches(given, iou=iou), n_classes=n_classes)
    assert 0.1 < wanted < 0.95
    assert got == pytest.approx(wanted, abs=1e-6)


def test_hand_counted_curve() -> None:
    truth = Truth(
        np.array([[50.0 * k, 0, 10, 10, 0] for k in range(4)]), np.zeros(4, int), ("ship",), np.zeros(4, bool)
    )
    boxes = np.array([[0.0, 0, 10, 10, 0], [500, 0, 10, 10, 0], [50, 0, 10, 10, 0], [100, 0, 10, 10, 0]])
    curve = average_precision([match(boxes, np.array([0.9, 0.8, 0.7, 0.7]), truth=truth)])
    assert curve.score.tolist() == [0.9, 0.8, 0.7]  # equal scores count together
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 3 / 4])
    np.testing.assert_allclose(curve.recall, [1 / 4, 1 / 4, 3 / 4])
    assert curve.ap_area == pytest.approx(1 / 4 + 2 / 4 * 3 / 4)
    assert curve.ap == pytest.approx((26 * 1 + 50 * 0.75) / 101)
    assert (curve.n_truth, curve.n_detections, curve.n_found) == (4, 4, 3)
    assert best_f1(curve) == (pytest.approx(0.75), 0.7)
    assert f1_at(curve, 0.85) == pytest.approx(2 * 0.25 / 1.25)
    assert f1_at(curve, 0.7) == pytest.approx(0.75)
    assert f1_at(curve, 0.95) == 0


def test_order_of_scenes_and_detections_does_not_matter() -> None:
    given = scenes(5)
    coarse = [(truth, (boxes, np.round(score, 1), labels)) for truth, (boxes, score, labels) in given]
    curve = average_precision(all_matches(coarse, iou=0.5))
    turned = [(t, tuple(column[::-1] for column in found)) for t, found in coarse[::-1]]
    again = average_precision(all_matches(turned, iou=0.5))
    assert curve.ap == again.ap
    np.testing.assert_array_equal(curve.precision, again.precision)


def test_perfect_detections_score_one() -> None:
    matches = [match(truth.boxes, np.linspace(1, 0.5, len(truth)), truth=truth) for truth, _ in scenes(6)]
    curve = average_precision(matches)
    assert (curve.ap, curve.ap_area) == (pytest.approx(1), pytest.approx(1))
    assert best_f1(curve) == (pytest.approx(1), 0.5)


def test_no_truth_is_none_and_no_detections_is_zero() -> None:
    none, score = np.zeros((0, 5)), np.zeros(0)
    (truth, (boxes, scores, _)), *_ = scenes(7)
    nothing_there = replace(truth, boxes=none, labels=np.zeros(0, int), ignore=np.zeros(0, bool))
    curve = average_precision([match(boxes, scores, truth=nothing_there)])
    assert (curve.ap, curve.ap_area, curve.reason) == (None, None, "no ground truth to find")
    assert best_f1(curve) == (None, None)
    assert f1_at(curve, 0.5) is None
    curve = average_precision([match(none, score, truth=truth)])
    assert (curve.ap, curve.ap_area, curve.reason) == (0.0, 0.0, "")
    assert best_f1(curve) == (0.0, None)
    assert mean_average_precision([], n_classes=2) is None
    assert average_precision([]).ap is None


def test_a_class_without_truth_is_left_out_of_the_mean() -> None:
    truth = Truth(np.array([[0.0, 0, 10, 10, 0]]), np.zeros(1, int), ("a", "b"), np.zeros(1, bool))
    boxes = np.array([[0.0, 0, 10, 10, 0], [90, 0, 10, 10, 0]])
    matches = [match(boxes, np.array([0.9, 0.8]), labels=np.array([0, 1]), truth=truth)]
    assert mean_average_precision(matches, n_classes=2) == pytest.approx(1)


def test_more_than_a_hundred_detections_count() -> None:
    m = 300
    there = np.array([[20.0 * k, 0, 10, 10, 0] for k in range(m)])
    truth = Truth(there, np.zeros(m, int), ("ship",), np.zeros(m, bool))
    assert average_precision([match(there, np.linspace(1, 0.1, m), truth=truth)]).recall[-1] == 1


def test_recall_by_length_offset_and_turn() -> None:
    there = np.array([[0, 0, 10, 5, 0], [50, 0, 30, 5, 0.1], [100, 0, 30, 28, 0], [150, 0, 80, 10, 0]], float)
    truth = Truth(there, np.zeros(4, int), ("ship",), np.array([False, False, False, True]))
    boxes = there + [[3, 0, 0, 0, 0], [0, 1, 0, 0, 0.1], [0, 2, 0, 0, 0.5], [0, 0, 0, 0, 0]]  # noqa: RUF005 (arrays)
    matches = [match(boxes[1:], np.array([0.9, 0.8, 0.7]), truth=truth)]
    bins = recall_by_length(matches, [there[:, 2] * 2], edges_m=[0, 20, 60, 100, np.inf])
    assert [(part.low_m, part.n_truth, part.recall) for part in bins] == [
        (0, 0, None), (20, 1, 0.0), (60, 2, 1.0), (100, 0, None)
    ]  # fmt: skip
    assert mean_offset(matches, [2.0]) == pytest.approx(3.0)
    assert median_turn_deg(matches, [there[:, 2] / there[:, 3]]) == pytest.approx(np.degrees(0.1))
    assert mean_offset([], []) is None
    assert median_turn_deg(matches, [np.ones(4)]) is None
