"""Files of geopdn's own: the header of the weights says what other keys cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest
from networks import constant_network, deepness, save

from geopdn.config import ModelConfig, RadiometryConfig, WindowKind
from geopdn.detectors.card import Card
from geopdn.detectors.exported import exported_card
from geopdn.detectors.onnx_file import load_onnx
from geopdn.errors import DetectorError


def keys_of(*, min_score=0.25, **changes):
    values = {
        "classes": ("vessel",), "bands": ("B04", "B03", "B02", "B08", "B11"), "pixel_size_m": 8.0,
        "radiometry": RadiometryConfig(kind="fixed", low=(0.0,), high=(0.35,), dtypes=("uint16",)),
        "kinds": (WindowKind(extent=512, level=1, halo=64),),
    }  # fmt: skip
    config = ModelConfig(**{**values, **changes})
    record = {"model": config.model_dump(mode="json"), "min_score": min_score}
    return {"geopdn": json.dumps(record), "geopdn_part": "detector"}


def test_the_header_says_bands_physical_values_and_level():
    card = exported_card(keys_of(), name="v.onnx")
    assert (card.says, card.classes, card.bands) == (
        ("geopdn header",),
        ("vessel",),
        ("B04", "B03", "B02", "B08", "B11"),
    )
    assert (card.pixel_size_m, card.tile_px, card.overlap, card.min_score) == (16.0, 256, 0.25, 0.25)
    scaling = card.scaling
    assert (scaling.kind, scaling.low, scaling.high, scaling.dtypes) == ("physical", (0.0,), (0.35,), ("uint16",))
    assert card.layout == "yolov8-obb"
    stretch = RadiometryConfig(kind="percentile", low=(2.0,), high=(98.0,))
    other = exported_card(keys_of(radiometry=stretch, has_heading=False), name="v.onnx")
    assert (other.scaling.kind, other.scaling.low, other.layout) == ("percentiles", (2.0,), "yolov5")
    wide = exported_card(keys_of(kinds=(WindowKind(extent=256, level=0, halo=64),)), name="v.onnx")
    assert wide.overlap == 0.4  # a detector's may not be wider


def test_it_goes_before_deepness_and_after_options(tmp_path):
    model = constant_network([np.zeros((1, 6, 9), np.float32)], shape=(1, 5, 256, 256))
    path = save(model, tmp_path / "v.onnx", **deepness(det_type='"YOLO_v5"'), **keys_of())
    detector, known = load_onnx(path, stated=Card(pixel_size_m=9.0))
    assert known.says == ("geopdn header", "Deepness keys")
    assert (detector.spec.pixel_size_m, detector.spec.classes, detector.spec.n_bands) == (9.0, ("vessel",), 5)
    assert (detector.layout, detector.spec.oriented, detector.iou) == ("yolov8-obb", True, 0.45)


def test_files_of_others_have_no_such_card():
    assert exported_card({}, name="x.onnx") == Card()
    assert exported_card({"geopdn": "{}"}, name="x.onnx") == Card()
    assert exported_card({"geopdn_part": "detector"}, name="x.onnx") == Card()


@pytest.mark.parametrize(
    ("text", "part", "says"),
    [
        ("{}", "global", "part 'detector'"),
        ("{", "detector", "cannot be understood"),
        ("[]", "detector", "cannot be understood"),
        ("{}", "detector", "cannot be understood"),
        (json.dumps({"model": {"classes": ["a"]}, "min_score": 0.5}), "detector", "cannot be understood"),
        ("[" * 100_000, "detector", "cannot be understood"),
        ("x" * 5_000_000, "detector", "over 4000000 characters"),
    ],
)
def test_headers_that_are_none_are_refused(text, part, says):
    with pytest.raises(DetectorError, match=says):
        exported_card({"geopdn": text, "geopdn_part": part}, name="x.onnx")
