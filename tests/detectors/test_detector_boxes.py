"""From what a network returns to boxes: layouts, checks, suppression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import batched_nms

from geopdn.detectors import DetectorSpec, from_function
from geopdn.detectors.layouts import choose_layout, rows_of
from geopdn.detectors.suppress import suppress
from geopdn.detectors.values import BYTES
from geopdn.errors import ConfigError, DetectorError

CLASSES = ("car", "ship", "plane")
SPEC = DetectorSpec("d", CLASSES, pixel_size_m=0.5, tile_px=128, scaling=BYTES)
PATCHES = np.zeros((2, 3, 128, 128), np.float32)
UPRIGHT = [10.0, 20.0, 40.0, 30.0]  # x0, y0, x1, y1 of one object, a plane with score 0.8


def outputs_of(layout):
    """The same object (of class 2) in every layout, after a weaker one of class 0."""
    if layout == "yolov5":
        rows = [[90, 90, 4, 4, 0.5, 0.6, 0, 0], [25, 25, 30, 10, 0.8 / 0.9, 0.1, 0.2, 0.9]]
        return [np.array([rows])]
    if layout == "yolov8":
        return [np.array([[[90, 90, 4, 4, 0.3, 0, 0], [25, 25, 30, 10, 0.1, 0.2, 0.8]]]).transpose(0, 2, 1)]
    if layout == "yolov8-obb":
        rows = [[90, 90, 4, 4, 0.3, 0, 0, 1], [25, 25, 30, 10, 0.1, 0.2, 0.8, 0.25]]
        return [np.array([rows]).transpose(0, 2, 1)]
    if layout == "end2end":
        return [np.array([[[88, 88, 92, 92, 0.3, 0], [*UPRIGHT, 0.8, 2]]])]
    if layout == "end2end-obb":
        return [np.array([[[90, 90, 4, 4, 0.3, 0, 1], [25, 25, 30, 10, 0.8, 2, 0.25]]])]
    return [np.array([[88, 88, 92, 92], UPRIGHT], float), np.array([0, 2]), np.array([0.3, 0.8])]


@pytest.mark.parametrize("layout", ["yolov5", "yolov8", "yolov8-obb", "end2end", "end2end-obb", "torchvision"])
def test_one_object_in_every_layout(layout):
    outputs = outputs_of(layout)
    assert choose_layout(layout, [o.shape for o in outputs], n_classes=3, name="d") == layout
    (boxes, score, label), *rest = rows_of(outputs, layout, n_classes=3, name="d")
    assert not rest
    assert score == pytest.approx([0.3, 0.8])
    assert label.tolist() == [0, 2]
    assert boxes[1] == pytest.approx([25, 25, 30, 10, 0.25] if layout.endswith("obb") else UPRIGHT)


@pytest.mark.parametrize(
    ("shapes", "n_classes", "layout"),
    [
        ([(1, 84, 8400)], 80, "yolov8"),
        ([(1, 25200, 85)], 80, "yolov5"),
        ([(1, 25200, 6)], 1, "yolov5"),
        ([("batch", 20, "anchors")], 15, "yolov8-obb"),
        ([(1, 300, 6)], 15, "end2end"),
        ([(1, 300, 7)], 15, "end2end-obb"),
        ([("n", 4), ("n",), ("n",)], 4, "torchvision"),
    ],
)
def test_shapes_tell_the_layout(shapes, n_classes, layout):
    assert choose_layout(None, shapes, n_classes=n_classes, name="d") == layout


def test_shapes_that_fit_several_layouts_or_none():
    with pytest.raises(ConfigError, match="yolov5 or end2end: say which by --detector-layout"):
        choose_layout(None, [(1, 300, 6)], n_classes=1, name="d")
    assert choose_layout("end2end", [(1, 300, 6)], n_classes=1, name="d") == "end2end"
    with pytest.raises(DetectorError, match="none of"):
        choose_layout(None, [(1, 84, 8400)], n_classes=3, name="d")
    with pytest.raises(DetectorError, match="not yolov8 with 3 classes"):
        choose_layout("yolov8", [(1, 84, 8400)], n_classes=3, name="d")
    with pytest.raises(DetectorError, match=r"returned \[1, 9, 2\]"):
        rows_of([np.zeros((1, 9, 2))], "yolov8", n_classes=3, name="d")


def test_masks_beside_the_boxes_of_a_segmentation_model_are_left_out():
    boxes = np.concatenate([outputs_of("yolov8")[0], np.ones((1, 32, 2))], 1)
    outputs = [boxes, np.zeros((1, 32, 32, 32))]
    assert choose_layout("yolov8", [o.shape for o in outputs], n_classes=3, name="d") == "yolov8"
    found = rows_of(outputs, "yolov8", n_classes=3, name="d")[0]
    assert found[1] == pytest.approx([0.3, 0.8])


def test_a_function_of_a_patch_and_one_of_a_batch():
    one = from_function(lambda _: ([UPRIGHT], [0.8], [2]), SPEC).find(PATCHES, min_score=0.1)
    assert len(one) == 2
    assert one[0].boxes[0] == pytest.approx([25, 25, 30, 10, 0])
    batched = from_function(
        lambda patches: [(torch.tensor([UPRIGHT]), torch.tensor([0.8]), torch.tensor([2])) for _ in patches],
        SPEC,
        batched=True,
    )
    assert batched.find(PATCHES, min_score=0.1)[1].boxes == pytest.approx(one[1].boxes)
    none = from_function(lambda _: ([], [], []), SPEC).find(PATCHES, min_score=0.1)
    assert [part.boxes.shape for part in none] == [(0, 5)] * 2


def test_a_tall_box_is_turned_and_keeps_its_place():
    found = from_function(lambda _: ([[10, 20, 20, 50]], [0.8], [0]), SPEC).find(PATCHES[:1], min_score=0.1)[0]
    assert found.boxes[0] == pytest.approx([15, 35, 30, 10, -np.pi / 2])


def test_what_is_not_finite_or_has_no_area_is_dropped_and_counted():
    boxes = [UPRIGHT, [np.nan, 0, 5, 5], UPRIGHT, [9, 9, 3, 12], [0, 0, np.inf, 4], UPRIGHT]
    score = [0.8, 0.9, np.nan, 0.9, 0.9, 0.01]
    found = from_function(lambda _: (boxes, score, [0] * 6), SPEC).find(PATCHES[:1], min_score=0.1)[0]
    assert found.score.tolist() == [0.8]
    assert found.n_invalid == 4


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (([UPRIGHT], [7.3], [0]), "score of 7.3"),
        (([UPRIGHT], [0.8], [3]), "labels from 3 to 3"),
        (([UPRIGHT], [0.8], [0.5]), "whole numbers"),
        (([[1, 2, 3, 4, 5]], [0.8], [0]), r"boxes \[1, 5\]"),
        (([UPRIGHT], [0.8, 0.9], [0]), "2 scores"),
    ],
)
def test_what_makes_no_sense_is_refused(returned, says):
    with pytest.raises(DetectorError, match=says):
        from_function(lambda _: returned, SPEC).find(PATCHES[:1], min_score=0.1)


def test_a_batch_that_loses_a_patch_is_refused():
    with pytest.raises(DetectorError, match="1 results for 2 patches"):
        from_function(lambda _: [([], [], [])], SPEC, batched=True).find(PATCHES, min_score=0.1)


@pytest.mark.parametrize(
    "changes",
    [
        {"tile_px": 63},
        {"tile_px": 101},
        {"pixel_size_m": float("nan")},
        {"classes": ()},
        {"overlap": 0.5},
        {"n_bands": 4, "bands": ("1",)},
        {"min_score": 1.5},
    ],
)
def test_specifications_that_cannot_be_are_refused(changes):
    values = {"name": "d", "classes": CLASSES, "pixel_size_m": 0.5, "tile_px": 128, "scaling": BYTES}
    with pytest.raises(ConfigError, match="detector d"):
        DetectorSpec(**{**values, **changes})


@given(st.integers(0, 10_000), st.floats(0.05, 0.95))
def test_suppression_of_upright_boxes_is_that_of_torchvision(seed, iou):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    centre, side = rng.uniform(0, 60, (n, 2)), rng.uniform(4, 30, (n, 2))
    corners = np.concatenate([centre - side / 2, centre + side / 2], 1)
    boxes = np.column_stack([centre, side, np.zeros(n)])
    score, label = rng.permutation(n) / n, rng.integers(0, 2, n)
    kept = suppress(boxes, score, label, iou=iou, limit=1000)
    expected = batched_nms(torch.from_numpy(corners), torch.from_numpy(score), torch.from_numpy(label), iou)
    assert kept.tolist() == expected.tolist()


def test_suppression_sees_the_angle_and_stops_at_the_limit():
    cross = np.array([[50, 50, 40, 4, 0.0], [50, 50, 40, 4, np.pi / 2], [51, 50, 40, 4, 0.0]])
    label = np.zeros(3, np.int64)
    assert suppress(cross, np.array([0.9, 0.8, 0.7]), label, iou=0.3, limit=9).tolist() == [0, 1]
    assert suppress(cross, np.array([0.9, 0.8, 0.95]), label, iou=0.3, limit=1).tolist() == [2]
