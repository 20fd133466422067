"""What files say of themselves, in the forms that their communities write."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import deepness, ultralytics

from geopdn.detectors.card import Card, complete, first_said
from geopdn.detectors.metadata import ULTRALYTICS_KEYS, card_of
from geopdn.detectors.mlm import read_item
from geopdn.detectors.values import BYTES, STORED, Scaling
from geopdn.errors import ConfigError, DetectorError, GeopdnError


def texts(keys):
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in keys.items()}


def test_deepness_keys():
    card = card_of(texts(deepness(tile_size=512, resolution=30)), name="a.onnx")
    assert card == Card(
        says=("Deepness keys",),
        classes=("red", "blue"),
        pixel_size_m=0.3,
        tile_px=512,
        scaling=BYTES,
        overlap=0.25,
        min_score=0.4,
        layout="yolov8",
        iou=0.45,
    )


def test_deepness_standardization_and_the_older_name_of_the_tile_size():
    keys = deepness(tiles_size=640, standardization_mean=[0.5, 0.4, 0.3], standardization_std=[0.2, 0.2, 0.2])
    card = card_of(texts(keys), name="a.onnx")
    assert card.tile_px == 640
    assert card.scaling == Scaling(
        "stored", (0.0,), (255.0,), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), dtypes=("uint8",)
    )


@pytest.mark.parametrize(
    ("det_type", "layout"),
    [
        ("YOLO_v5_or_v7_default", "yolov5"),
        ("YOLO_v8", "yolov8"),
        ("YOLO_v9", "yolov8"),
        ("YOLO_Ultralytics_segmentation", "yolov8"),
        ("YOLO_Ultralytics_obb", "yolov8-obb"),
        ("retinanet", "torchvision"),
    ],
)
def test_detector_types_of_deepness_and_geodeep(det_type, layout):
    assert card_of(texts(deepness(det_type=json.dumps(det_type))), name="a.onnx").layout == layout
    assert card_of({"det_type": det_type}, name="a.onnx").layout == layout  # a bare word


def test_geodeep_adds_its_keys_to_those_of_ultralytics_and_goes_before_them():
    card = card_of({**texts(deepness()), **ultralytics(names="{0: 'x', 1: 'y'}")}, name="a.onnx")
    assert card.says == ("Deepness keys", "Ultralytics keys")
    assert card.classes == ("red", "blue")
    assert card.tile_px == 256


@pytest.mark.parametrize(
    ("changes", "layout"),
    [
        ({}, "yolov8"),
        ({"task": "obb"}, "yolov8-obb"),
        ({"task": "segment"}, "yolov8"),
        ({"end2end": "True"}, "end2end"),
        ({"task": "obb", "args": "{'batch': 1, 'nms': True}"}, "end2end-obb"),
        ({"task": None}, None),  # YOLOv5's exporter, and YOLOv9's: the shape tells
    ],
)
def test_ultralytics_keys(changes, layout):
    card = card_of(ultralytics(**changes), name="a.onnx")
    assert (card.classes, card.tile_px, card.pixel_size_m, card.layout) == (("red", "blue"), 256, None, layout)


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        (deepness(model_type='"Segmentor"'), "'Segmentor'"),
        (deepness(det_type='"DETR"'), "det_type 'DETR'"),
        (deepness(class_names={"0": "a", "2": "b"}), "without gaps"),
        (deepness(class_names={"a": "b"}), "without gaps"),
        (deepness(resolution="fine"), "resolution"),
        (deepness(resolution="1e999"), "expected numbers"),
        (deepness(standardization_std=[0.0]), "std > 0"),
        (ultralytics(names="__import__('os').system('true')"), "expected JSON or a Python literal"),
        (ultralytics(names="{0: 'a'" + "," * 10), "expected JSON or a Python literal"),
        (ultralytics(names="(" * 5000 + ")" * 5000), "expected JSON or a Python literal"),
        (ultralytics(names="['" + "a" * 300_000 + "']"), "over 200000 characters"),
        (ultralytics(names="{}"), "class names"),
        (ultralytics(names="{0: '\\x1b[2J'}"), "class names"),
        (ultralytics(task="pose"), "'pose'"),
        (ultralytics(imgsz="[640, 480]"), "square"),
    ],
)
def test_what_cannot_be_understood_is_refused(metadata, says):
    with pytest.raises(DetectorError, match=r"a\.onnx") as error:
        card_of(texts(metadata), name="a.onnx")
    assert says in str(error.value)


@given(st.dictionaries(st.sampled_from((*texts(deepness()), *ULTRALYTICS_KEYS)), st.text(max_size=40)))
def test_any_metadata_gives_a_card_or_one_of_our_errors(metadata):
    try:
        card = card_of(metadata, name="a.onnx")
    except GeopdnError:
        return
    assert card.classes is None or all(card.classes)


def test_the_first_that_says_something_is_believed():
    card = first_said(Card(tile_px=640), Card(says=("x",), tile_px=512, overlap=0.0), Card(overlap=0.2))
    assert (card.tile_px, card.overlap, card.says) == (640, 0.0, ("x",))


def test_missing_facts_are_named_with_their_options():
    card = card_of(ultralytics(imgsz=None), name="a.onnx")
    with pytest.raises(ConfigError) as error:
        complete(card, name="a.onnx", oriented=False)
    assert "--detector-pixel-size" in str(error.value)
    assert "--detector-tile" in str(error.value)
    assert "--detector-classes" not in str(error.value)
    with pytest.raises(ConfigError, match="no metadata that geopdn knows"):
        complete(Card(), name="a.onnx", oriented=False)


def mlm_item(**changes):
    """A STAC item as the extension's version 1.4 describes it."""
    given = {
        "name": "rgb",
        "bands": ["B04", {"name": "B03"}, "B02"],
        "input": {"shape": [-1, 3, 256, 256], "dim_order": ["batch", "bands", "height", "width"]},
        "value_scaling": [{"type": "min-max", "minimum": 0, "maximum": high} for high in (3000, 3100, 3200)],
        **changes.pop("input_changes", {}),
    }
    output = {
        "name": "boxes",
        "tasks": ["object-detection"],
        "classification:classes": [{"value": 1, "name": "blue"}, {"value": 0, "name": "red"}],
    }
    properties = {"gsd": 10, "mlm:input": [given], "mlm:output": [output], **changes}
    return {"type": "Feature", "properties": properties, "assets": {}}


def write_item(path, **changes):
    path.write_text(json.dumps(mlm_item(**changes)))
    return path


def test_a_stac_item_states_bands_values_classes_and_pixel_size(tmp_path):
    assert read_item(write_item(tmp_path / "item.json")) == Card(
        says=("STAC MLM item",),
        classes=("red", "blue"),
        pixel_size_m=10.0,
        tile_px=256,
        bands=("B04", "B03", "B02"),
        n_bands=3,
        scaling=Scaling("stored", (0.0,) * 3, (3000.0, 3100.0, 3200.0)),
    )


@pytest.mark.parametrize(
    ("stated", "scaling"),
    [
        (
            [{"type": "z-score", "mean": 1300, "stddev": 250}],
            Scaling("stored", (0.0,), (1.0,), mean=(1300.0,), std=(250.0,)),
        ),
        ({"type": "scale", "value": 10000}, Scaling("stored", (0.0,), (10000.0,))),
        ({"type": "offset", "value": 1000}, Scaling("stored", (0.0,), (1.0,), mean=(1000.0,))),
        ([{"type": None}], STORED),
        (
            [{"type": "min-max", "minimum": 0, "maximum": 1}],
            Scaling("stored", (0.0,), (1.0,), dtypes=("float32", "float64")),
        ),
        (None, STORED),
    ],
)
def test_scalings_of_a_stac_item(tmp_path, stated, scaling):
    assert read_item(write_item(tmp_path / "i.json", input_changes={"value_scaling": stated})).scaling == scaling


def test_statistics_of_values_from_zero_to_one_are_not_meant_for_integers(tmp_path):
    imagenet = [
        {"type": "z-score", "mean": m, "stddev": s} for m, s in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
    ]
    scaling = read_item(write_item(tmp_path / "i.json", input_changes={"value_scaling": imagenet})).scaling
    assert scaling.dtypes == ("float32", "float64")
    assert (scaling.mean, scaling.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_an_input_without_bands_still_says_how_many_it_has(tmp_path):
    card = read_item(write_item(tmp_path / "i.json", input_changes={"bands": []}))
    assert (card.bands, card.n_bands) == (None, 3)


def test_scaling_that_only_code_tells_is_not_guessed(tmp_path):
    function = {"format": "python", "expression": "os:system"}
    for extra in ({"pre_processing_function": function}, {"value_scaling": None, "norm_type": "z-score"}):
        assert read_item(write_item(tmp_path / "i.json", input_changes=extra)).scaling is None


def test_the_pixel_size_may_stand_with_the_bands(tmp_path):
    path = tmp_path / "i.json"
    item = mlm_item(gsd=None)
    item["assets"] = {"model": {"bands": [{"name": "B04", "gsd": 10}, {"name": "B03", "gsd": 10}]}}
    path.write_text(json.dumps(item))
    assert read_item(path).pixel_size_m == 10.0
    item["assets"]["model"]["bands"][0]["gsd"] = 20
    path.write_text(json.dumps(item))
    assert read_item(path).pixel_size_m is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mlm:input": []}, "0 inputs"),
        ({"mlm:output": [{"tasks": ["classification"]}]}, "classification"),
        ({"input_changes": {"bands": [{"name": "ndvi", "format": "x", "expression": "a/b"}]}}, "computed"),
        ({"input_changes": {"value_scaling": [{"type": "clip"}] * 3}}, "'clip'"),
        ({"input_changes": {"value_scaling": {"type": "min-max", "minimum": 5, "maximum": 5}}}, "low < high"),
        ({"input_changes": {"input": {"shape": [1], "dim_order": ["batch", "height"]}}}, "cannot be understood"),
        ({"input_changes": {"value_scaling": {"type": "scale"}}}, "cannot be understood"),
    ],
)
def test_items_that_cannot_be_followed_are_refused(tmp_path, changes, says):
    with pytest.raises(DetectorError, match=r"i\.json") as error:
        read_item(write_item(tmp_path / "i.json", **changes))
    assert says in str(error.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense", "[" * 100_000])
def test_files_that_are_no_items_are_refused(tmp_path, content):
    (tmp_path / "i.json").write_text(content)
    with pytest.raises(DetectorError, match="STAC item"):
        read_item(tmp_path / "i.json")
    with pytest.raises(DetectorError, match="cannot be read"):
        read_item(tmp_path / "missing.json")
