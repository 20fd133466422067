"""Parts as ONNX: onnxruntime answers as torch does, whatever the size; files say what they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from geopdn.config import ModelConfig, RadiometryConfig, WindowKind
from geopdn.detectors.layouts import rows_of
from geopdn.errors import ConfigError, ExportError
from geopdn.model import export, parts
from geopdn.model.compare import box_difference, difference
from geopdn.model.detector_keys import detector_keys
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.weights import LoadedModel, WeightsHeader
from geopdn.scene import radiometry

CLASSES = ("plane", "ship")


def config_of(**changes):
    values = {
        "classes": CLASSES,
        "bands": ("red", "green", "blue"),
        "pixel_size_m": 0.5,
        "radiometry": RadiometryConfig(kind="fixed", low=(0.0,), high=(255.0,), dtypes=("uint8",)),
        "kinds": (WindowKind(extent=384, level=1, halo=32), WindowKind(extent=256, level=0, halo=32)),
        "has_heading": False, "neck": 16, "grid": 16, "dim": 32, "heads": 2, "hidden": 16,
    }  # fmt: skip
    return ModelConfig(**{**values, **changes})


def model_of(config):
    """Random weights in which nothing is the identity: norms, curves, the grid's influence, fusion."""
    torch.manual_seed(1)
    net = PatchDriveNet(config=config).eval()
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            for tensor in (part.running_mean, part.running_var, part.weight.data, part.bias.data):
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    net.score_curves.calibration.normal_(0, 0.5)
    net.saliency_head.calibration.normal_(0, 0.2)
    for layer in (net.head.film, net.fusion.out):
        torch.nn.init.normal_(layer.weight, std=0.2)
    with torch.inference_mode():  # scores over their whole range, offsets and sides of some cells
        features = net.highres_stream(torch.rand(2, len(config.bands), 128, 128)).head
        for branch, spread, centre in ((net.head.score, 2.0, -2.0), (net.head.box, 0.5, 0.0)):
            last, inner = branch[-1], branch[0](features)
            torch.nn.init.normal_(last.weight)
            last.weight /= torch.nn.functional.conv2d(inner, last.weight).std() / spread
            last.bias.copy_(centre - torch.nn.functional.conv2d(inner, last.weight).mean((0, 2, 3)))
    header = WeightsHeader(name="tiny", model=config, min_score=0.4, licence="CC0-1.0")
    return LoadedModel(net=net, header=header, digest="0123456789abcdef")


@pytest.fixture(scope="module")
def model():
    return model_of(config_of())


@pytest.fixture(scope="module")
def exported(model):
    """Every part, exported once."""
    return {name: export.export_part(model, name) for name in parts.PARTS}


@pytest.fixture(scope="module")
def oriented():
    """A model of oriented boxes in reflectance of five bands, and its detector."""
    stretch = RadiometryConfig(kind="fixed", low=(0.0,), high=(0.35,))
    model = model_of(config_of(has_heading=True, head_stride=2, bands=("a", "b", "c", "d", "e"), radiometry=stretch))
    return model, export.export_part(model, "detector")


def run(part, **inputs):
    session = onnxruntime.InferenceSession(part.content, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(x) for x in session.run(None, {key: value.numpy() for key, value in inputs.items()})]


def metadata(part):
    return {item.key: item.value for item in onnx.load_from_string(part.content).metadata_props}


@pytest.mark.parametrize(("n", "height", "width"), [(1, 48, 160), (4, 64, 32)])
def test_the_global_stream_answers_as_torch_on_any_size(model, exported, n, height, width):
    overview = torch.rand(n, 11, height, width)
    rate, dispersion, grid = run(exported["global"], overview=overview)
    with torch.inference_mode():
        features, saliency = model.net.look(overview)
    assert difference(saliency.rate, rate) < 1e-4
    assert difference(saliency.dispersion, dispersion) < 1e-4
    assert difference(features.grid, grid) < 1e-4
    assert exported["global"].outputs["rate"] == ("n", 3, "4*rows", "4*cols")
    assert exported["global"].outputs["grid"] == ("n", 16, "rows", "cols")


@pytest.mark.parametrize(("n", "side"), [(1, 512), (5, 128)])
def test_the_high_resolution_stream_answers_as_torch_on_any_size(model, exported, n, side):
    windows, context = torch.rand(n, 3, side, side), torch.randn(n, 16)
    answer = run(exported["highres"], windows=windows, context=context)
    with torch.inference_mode():
        features, maps = model.net.inspect(windows, context)
        without = model.net.inspect(windows, None)[1].logits
    truth = (maps.logits, maps.regression, features.tokens, features.pooled)
    assert all(difference(a, b) < 1e-4 for a, b in zip(truth, answer, strict=True))
    assert difference(maps.logits, without) > 1e-3  # the context matters here
    zero = run(exported["highres"], windows=windows, context=torch.zeros(n, 16))[0]
    assert difference(without, zero) < 1e-4


@pytest.mark.parametrize(("n", "height", "width"), [(16, 5, 23), (80, 20, 4)])
def test_fusion_answers_as_torch_on_any_size(model, exported, n, height, width):
    grid, tokens = torch.randn(1, 16, height, width), torch.randn(1, n, 32)
    places = torch.rand(1, n, 3) * torch.tensor([width, height, 3.0])
    fused = run(exported["fusion"], grid=grid, tokens=tokens, places=places)[0]
    with torch.inference_mode():
        truth = model.net.fusion(grid, tokens, places)
    assert difference(truth, fused) < 1e-4
    assert difference(truth, grid) > 1e-3


def found_by(model, part, layout, image, *, least=0.05):
    """Boxes and scores, best first, of the file and of the network itself."""
    boxes, score, label = rows_of(
        [run(part, images=image)[0].numpy()], layout, n_classes=len(model.header.model.classes), name="tiny"
    )[0]
    keep = np.flatnonzero(score > least)
    order = keep[np.argsort(-score[keep], kind="stable")]
    with torch.inference_mode():
        maps = model.net.inspect(image, None)[1]
        truth = model.net.detect_at(maps, model.header.model.kinds[0].level, min_score=0.05)
    best = np.argsort(-truth.score, kind="stable")
    return (boxes[order], score[order], label[order]), tuple(
        x[best].astype(np.float64) for x in (truth.boxes, truth.score, truth.label)
    )


def test_the_detector_finds_what_the_network_finds(model, exported):
    image = torch.rand(1, 3, 192, 192, generator=torch.Generator().manual_seed(5))
    (boxes, score, label), (true_boxes, true_score, true_label) = found_by(model, exported["detector"], "yolov5", image)
    best = {}  # of two classes at one place the layout keeps the better one
    for box, value, kind in zip(true_boxes, true_score, true_label, strict=True):
        best.setdefault(tuple(box[:2].round(3)), (box, value, kind))
    assert len(score) == len(best) > 20
    assert set(label) == {0, 1}
    for box, value, kind in zip(boxes, score, label, strict=True):
        centre = (box[:2] + box[2:]) / 2
        truth = min(best.values(), key=lambda item: np.hypot(*(item[0][:2] - centre)))
        assert centre == pytest.approx(truth[0][:2], abs=0.01)
        assert box[2:] - box[:2] == pytest.approx(truth[0][2:4], rel=1e-3)
        assert (value, kind) == (pytest.approx(truth[1], abs=1e-4), truth[2])
    rows = run(exported["detector"], images=image)[0][0]  # Deepness and GeoDeep read the fifth number as the score
    assert torch.equal(rows[:, 4], (rows[:, 4:5] * rows[:, 5:]).amax(1))


def test_oriented_boxes_keep_their_heading(oriented):
    model, part = oriented
    image = torch.rand(1, 5, 192, 192, generator=torch.Generator().manual_seed(6))
    assert part.outputs == {"output": (1, 7, 96 * 96)}
    (boxes, score, label), (true_boxes, true_score, true_label) = found_by(model, part, "yolov8-obb", image, least=0.5)
    centres = true_boxes[:, :2]
    assert len(score) > 20
    for box, value, kind in zip(boxes, score, label, strict=True):
        near = np.flatnonzero((np.hypot(*(centres - box[:2]).T) < 0.01) & (true_label == kind))
        assert len(near) == 1
        assert box[:4] == pytest.approx(true_boxes[near[0], :4], rel=1e-3)
        assert np.sin(box[4] - true_boxes[near[0], 4]) == pytest.approx(0, abs=1e-2)
        assert value == pytest.approx(true_score[near[0]], abs=1e-4)


def test_values_are_kept_where_the_radiometry_keeps_them(model, exported):
    assert parts.UPPER == radiometry.UPPER
    bright = torch.full((1, 3, 192, 192), 2.0)
    bright[:, :, 50:90, 60:100] = -1.0
    kept = run(exported["detector"], images=bright.clamp(0, parts.UPPER))[0]
    assert torch.equal(run(exported["detector"], images=bright)[0], kept)


def test_files_say_what_they_are_and_nothing_of_the_machine(model, exported):
    for name, part in exported.items():
        keys = metadata(part)
        assert (keys["geopdn_part"], keys["license"], keys["geopdn_weights"]) == (name, "CC0-1.0", model.digest)
        assert json.loads(keys["geopdn"]) == json.loads(model.header.to_json())
        assert ("det_type" in keys) == (name == "detector")
        assert b"site-packages" not in part.content
        assert str(Path(export.__file__).parents[1]).encode() not in part.content
        assert part.difference < 5e-5  # 1e-5 or less with AVX2, 1.4e-5 with AVX-512
    keys = {key: json.loads(value) for key, value in metadata(exported["detector"]).items() if key in KEYS}
    assert keys == KEYS


KEYS = {
    "model_type": "Detector",
    "class_names": {"0": "plane", "1": "ship"},
    "resolution": 100.0,  # cm: 0.5 m at level 1
    "tile_size": 192,
    "tiles_overlap": pytest.approx(100 * 64 / 384),
    "det_conf": 0.4,
    "det_iou_thresh": 0.3,
    "det_type": "YOLO_v5_or_v7_default",
    "standardization_mean": [0.0, 0.0, 0.0],
    "standardization_std": [1.0, 1.0, 1.0],
}


def test_values_that_are_no_bytes_have_no_standardization(oriented):
    keys = metadata(oriented[1])
    assert json.loads(keys["det_type"]) == "YOLO_Ultralytics_obb"
    assert not {"standardization_mean", "standardization_std"} & set(keys)


@pytest.mark.parametrize(
    ("kind", "low", "high", "dtypes", "mean", "std"),
    [
        ("fixed", (51.0,), (204.0,), ("uint8",), [0.2] * 3, [0.6] * 3),
        ("fixed", (0.0, 51.0, 0.0), (255.0, 102.0, 51.0), ("uint8",), [0, 0.2, 0], [1, 0.2, 0.2]),
        ("fixed", (0.0,), (255.0,), (), [0] * 3, [1] * 3),
        ("fixed", (0.0,), (3000.0,), ("uint16",), None, None),
        ("percentile", (2.0,), (98.0,), (), None, None),
    ],
)
def test_limits_of_bytes_become_mean_and_deviation(kind, low, high, dtypes, mean, std):
    config = config_of(radiometry=RadiometryConfig(kind=kind, low=low, high=high, dtypes=dtypes))
    keys = detector_keys(WeightsHeader(name="tiny", model=config))
    for name, expected in (("standardization_mean", mean), ("standardization_std", std)):
        assert (json.loads(keys[name]) if name in keys else None) == (expected and pytest.approx(expected))


def test_the_same_weights_give_the_same_bytes(model, exported):
    assert export.export_part(model, "fusion").content == exported["fusion"].content


def test_what_answers_otherwise_is_refused(model, exported, monkeypatch):
    other = model_of(config_of())
    with torch.no_grad():
        other.net.head.box[-1].weight *= 1.01
    with pytest.raises(ExportError, match=r"its output regression differs from torch's by 0\.0"):
        export._compared(exported["highres"].content, parts.part_of(other.net, "highres"), where="part highres")
    with pytest.raises(ExportError, match="its output output differs"):
        export._compared(exported["detector"].content, parts.part_of(other.net, "detector"), where="part detector")
    with pytest.raises(ExportError, match="onnxruntime cannot run"):
        export._compared(b"nothing", parts.part_of(model.net, "fusion"), where="part fusion")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert export._compared(b"nothing", parts.part_of(model.net, "fusion"), where="part fusion") is None


def test_a_network_that_cannot_be_traced_is_one_line(model, monkeypatch):
    def traced(part):
        raise RuntimeError("graph " * 100_000)

    monkeypatch.setattr(export, "_traced", traced)
    with pytest.raises(ExportError, match="part fusion of tiny cannot be written as ONNX: graph") as caught:
        export.export_part(model, "fusion")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_missing_packages_are_named(model, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"{package}, which is not installed: pip install 'geopdn\[onnx\]'"):
        export.export_part(model, "fusion")


def test_an_unknown_part_is_refused(model):
    with pytest.raises(ConfigError, match="'head' is no part of a model: expected one of global, highres"):
        parts.part_of(model.net, "head")


def test_differences_between_answers():
    a = torch.tensor([1.0, -4.0])
    assert difference(a, a + 0.4) == pytest.approx(0.1)
    assert difference(a, torch.tensor([float("nan"), 0.0])) == float("inf")
    assert difference(a, a[:1]) == float("inf")
    rows = torch.rand(1, 2000, 6) + 1
    other = rows.clone()
    other[0, 7, 4:] = 0  # a peak in one only
    assert box_difference(rows, other, has_heading=False) == 0
    other[0, :9, 4:] = 0
    assert box_difference(rows, other, has_heading=False) == float("inf")
    turned = rows.transpose(1, 2).clone()
    turned[0, -1] += torch.pi
    assert box_difference(rows.transpose(1, 2), turned, has_heading=True) < 1e-6
    turned[0, -1] += 0.01
    assert box_difference(rows.transpose(1, 2), turned, has_heading=True) == pytest.approx(0.01, rel=0.01)
