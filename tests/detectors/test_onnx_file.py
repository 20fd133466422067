"""ONNX files as detectors: what they find is where it is, what is wrong with them is said."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from networks import constant_network, deepness, moments_network, save, ultralytics
from onnx import TensorProto, helper

from geopdn.detectors.card import Card
from geopdn.detectors.onnx_file import load_onnx
from geopdn.detectors.values import parse_values
from geopdn.errors import ConfigError, DetectorError, ResourceLimitError

TILE = 128
CARD = Card(pixel_size_m=0.5)


def tiles(places, *, side=12, colour=(1.0, 1.0, 1.0)):
    image = np.random.default_rng(0).uniform(0, 0.05, (3, TILE, TILE)).astype(np.float32)
    for row, col in places:
        image[:, row : row + side, col : col + side] = np.array(colour)[:, None, None]
    return image


@pytest.mark.parametrize("layout", ["yolov5", "yolov8"])
@pytest.mark.parametrize("open_batch", [False, True])
def test_squares_are_found_at_their_place_in_batches_of_any_size(tmp_path, layout, open_batch):
    model = moments_network(tile=TILE, side=12, layout=layout, open_batch=open_batch)
    path = save(model, tmp_path / "d.onnx", **ultralytics(task=None, imgsz=str([TILE, TILE])))
    detector, known = load_onnx(path, stated=CARD)
    assert (detector.layout, detector.spec.oriented, known.says) == (layout, False, ("Ultralytics keys",))
    places = [[(20, 40), (80, 70)], [], [(60, 9)]]
    batch = np.stack([tiles(item) for item in places])
    found = detector.find(batch, min_score=0.3)
    for part, item in zip(found, places, strict=True):
        truth = np.array(sorted((col + 6.0, row + 6.0) for row, col in item)).reshape(-1, 2)
        assert part.boxes[np.argsort(part.boxes[:, 0]), :2] == pytest.approx(truth, abs=1e-3)
        assert part.boxes[:, 2:4] == pytest.approx(np.full((len(item), 2), 12.0), abs=1e-2)
        assert part.score == pytest.approx(np.full(len(item), 0.99), abs=1e-3)
    again = detector.find(batch[1:], min_score=0.3)
    assert np.array_equal(again[1].boxes, found[2].boxes)


def test_classes_come_by_their_channel(tmp_path):
    path = save(moments_network(tile=TILE, side=12, layout="yolov8"), tmp_path / "d.onnx", **deepness())
    detector, _ = load_onnx(path, stated=Card())
    both = np.maximum(tiles([(20, 40)], colour=(1, 1, 0.2)), tiles([(80, 70)], colour=(0.2, 1, 1)))
    found = detector.find(both[None], min_score=0.1)[0]
    order = np.argsort(found.boxes[:, 1])
    assert found.label[order].tolist() == [0, 1]
    assert (detector.spec.classes, detector.spec.min_score, detector.spec.overlap) == (("red", "blue"), 0.4, 0.25)


def test_oriented_bars_come_back_with_their_heading(tmp_path):
    model = moments_network(tile=TILE, side=8, layout="yolov8-obb", oriented_length=24)
    path = save(model, tmp_path / "d.onnx", **deepness(det_type='"YOLO_Ultralytics_obb"'))
    detector, _ = load_onnx(path, stated=Card())
    assert detector.spec.oriented
    rows, cols = np.mgrid[:TILE, :TILE] + 0.5
    truth = [(40.0, 30.0, 0.6), (90.0, 95.0, -1.2), (35.0, 90.0, 0.0)]
    image = np.zeros((1, 3, TILE, TILE), np.float32)
    for x, y, angle in truth:
        u = (cols - x) * np.cos(angle) + (rows - y) * np.sin(angle)
        v = -(cols - x) * np.sin(angle) + (rows - y) * np.cos(angle)
        image[0, :, (abs(u) <= 12) & (abs(v) <= 4)] = 1
    found = detector.find(image, min_score=0.3)[0]
    assert len(found.boxes) == 3
    for x, y, angle in truth:
        box = found.boxes[np.hypot(found.boxes[:, 0] - x, found.boxes[:, 1] - y).argmin()]
        assert box[:2] == pytest.approx([x, y], abs=0.2)
        assert box[2:4] == pytest.approx([24, 8], abs=0.7)
        assert abs((box[4] - angle + np.pi / 2) % np.pi - np.pi / 2) < 0.05


def test_nothing_is_suppressed_after_an_end_to_end_network(tmp_path):
    rows = np.array([[[10, 10, 30, 30, 0.9, 0], [11, 10, 31, 30, 0.8, 0], [0, 0, 0, 0, 0, 0]]], np.float32)
    path = save(constant_network([rows]), tmp_path / "d.onnx", **ultralytics(end2end="True", imgsz="[64, 64]"))
    detector, _ = load_onnx(path, stated=CARD)
    found = detector.find(np.zeros((1, 3, 64, 64), np.float32), min_score=0.05)[0]
    assert found.score == pytest.approx([0.9, 0.8])
    assert found.boxes[0] == pytest.approx([20, 20, 20, 20, 0])


def test_three_outputs_of_torchvision(tmp_path):
    outputs = [np.array([[10, 10, 30, 20]], np.float32), np.array([0.7], np.float32), np.array([1])]
    path = save(constant_network(outputs), tmp_path / "d.onnx", **deepness(det_type='"retinanet"'))
    detector, _ = load_onnx(path, stated=Card())
    found = detector.find(np.zeros((2, 3, 64, 64), np.float32), min_score=0.05)
    assert [part.label.tolist() for part in found] == [[1], [1]]
    assert found[1].boxes[0] == pytest.approx([20, 15, 20, 10, 0])


def test_numbers_that_are_not_finite_are_counted(tmp_path):
    rows = np.full((1, 5, 6), np.nan, np.float32)
    rows[0, 2] = [10, 10, 30, 30, 0.9, 0]
    path = save(constant_network([rows]), tmp_path / "d.onnx", **ultralytics(end2end="True"))
    detector, _ = load_onnx(path, stated=Card(pixel_size_m=0.5, tile_px=64))
    found = detector.find(np.zeros((1, 3, 64, 64), np.float32), min_score=0.05)[0]
    assert (len(found.score), found.n_invalid) == (1, 4)


def test_a_network_of_bytes_is_fed_bytes(tmp_path):
    rows = np.array([[[10, 10, 30, 30, 0.9, 0]]], np.float32)
    model = constant_network([rows], kind=TensorProto.UINT8)
    path = save(model, tmp_path / "d.onnx", **ultralytics(end2end="True", imgsz=None))
    detector, _ = load_onnx(path, stated=CARD)
    assert detector.spec.scaling.top == 255
    assert len(detector.find(np.full((1, 3, 64, 64), 300.0, np.float32), min_score=0.05)[0].score) == 1


def test_a_network_of_open_sizes_takes_the_tile_that_is_stated(tmp_path):
    rows = np.array([[[10, 10, 30, 30, 0.9, 0]]], np.float32)
    model = constant_network([rows], shape=(None, 3, None, None))
    path = save(model, tmp_path / "d.onnx", **ultralytics(end2end="True", imgsz=None))
    with pytest.raises(ConfigError, match="--detector-tile"):
        load_onnx(path, stated=CARD)
    detector, _ = load_onnx(path, stated=Card(pixel_size_m=0.5, tile_px=96))
    assert detector.spec.tile_px == 96
    assert len(detector.find(np.zeros((1, 3, 96, 96), np.float32), min_score=0.05)[0].score) == 1
    with pytest.raises(DetectorError, match="1 results for 2 tiles"):  # it says that it takes batches, and does not
        detector.find(np.zeros((2, 3, 96, 96), np.float32), min_score=0.05)


def test_options_go_before_the_item_and_that_before_the_file(tmp_path):
    path = save(moments_network(tile=TILE, side=12, layout="yolov8"), tmp_path / "d.onnx", **deepness())
    described = Card(says=("STAC MLM item",), pixel_size_m=2.0, classes=("a", "b"))
    detector, known = load_onnx(path, stated=Card(says=("options",), pixel_size_m=0.1), described=described)
    assert known.says == ("options", "STAC MLM item", "Deepness keys")
    assert (detector.spec.pixel_size_m, detector.spec.classes, detector.spec.overlap) == (0.1, ("a", "b"), 0.25)
    assert detector.digest == hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_mean_and_standard_deviation_follow_the_values_that_are_stated(tmp_path):
    keys = deepness(standardization_mean=[0.5, 0.4, 0.3], standardization_std=[0.2, 0.2, 0.1])
    path = save(moments_network(tile=TILE, side=12, layout="yolov8"), tmp_path / "d.onnx", **keys)
    detector, _ = load_onnx(path, stated=Card(scaling=parse_values("0..3000")))
    scaling = detector.spec.scaling
    limits = scaling.limits_of(scales=(1.0,) * 3, offsets=(0.0,) * 3)
    line = scaling.bind(scales=(1.0,) * 3, offsets=(0.0,) * 3, limits=limits)
    fed = line.apply(np.full((3, 1, 1), 1500, np.uint16))[:, 0, 0]
    assert fed == pytest.approx([0.0, 0.5, 2.0])


def test_facts_that_contradict_the_network_are_refused(tmp_path):
    path = save(moments_network(tile=TILE, side=12, layout="yolov8"), tmp_path / "d.onnx", **deepness(tile_size=256))
    with pytest.raises(DetectorError, match="takes tiles of 128 px, but tiles of 256 px are stated"):
        load_onnx(path, stated=Card())
    with pytest.raises(DetectorError, match="takes 3 channels, but 1 channels are stated"):
        load_onnx(path, stated=Card(tile_px=TILE, bands=("1",)))
    with pytest.raises(DetectorError, match="not yolov8 with 3 classes"):
        load_onnx(path, stated=Card(tile_px=TILE, classes=("a", "b", "c")))


@pytest.mark.parametrize(
    ("shape", "says"),
    [((1, 64, 64, 3), "channels first"), ((1, 3, 64, 96), "square"), ((3, 64, 64), "expected one of")],
)
def test_inputs_that_cannot_be_fed_are_refused(tmp_path, shape, says):
    model = constant_network([np.zeros((1, 5, 6), np.float32)], shape=shape)
    with pytest.raises(DetectorError, match=says):
        load_onnx(save(model, tmp_path / "d.onnx", **ultralytics(end2end="True", imgsz=None)), stated=CARD)


def test_files_that_are_no_networks_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DetectorError, match=r"missing\.onnx cannot be read"):
        load_onnx(tmp_path / "missing.onnx", stated=CARD)
    with pytest.raises(DetectorError, match="cannot be read"):
        load_onnx(tmp_path, stated=CARD)
    for content in (b"", b"\x80\x04pickle", b"\x00" * 1000):
        (tmp_path / "d.onnx").write_bytes(content)
        with pytest.raises(DetectorError, match=r"cannot be loaded|takes 0 inputs"):
            load_onnx(tmp_path / "d.onnx", stated=CARD)
    monkeypatch.setattr("geopdn.detectors.onnx_file.MAX_FILE_BYTES", 100)
    with pytest.raises(ResourceLimitError):
        load_onnx(tmp_path / "d.onnx", stated=CARD)


def test_operators_of_other_makers_are_refused(tmp_path, capfd):
    node = helper.make_node("Detect", ["images"], ["y"], domain="com.example")
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])
    graph = helper.make_graph([node], "g", [given], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    path = save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "d.onnx")
    with pytest.raises(DetectorError, match="standard operators"):
        load_onnx(path, stated=CARD)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("location", ["../secret.bin", "ABSOLUTE", "link.bin"])
def test_data_outside_the_files_folder_is_refused(tmp_path, location):
    folder = tmp_path / "folder"
    folder.mkdir()
    np.zeros(64, np.float32).tofile(tmp_path / "secret.bin")
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    model = constant_network([np.zeros((1, 5, 6), np.float32)])
    tensor = next(item for item in model.graph.initializer if len(item.dims) == 3)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    place = str(tmp_path / "secret.bin") if location == "ABSOLUTE" else location
    for key, value in (("location", place), ("offset", "0"), ("length", "120")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    path = save(model, folder / "d.onnx", **ultralytics(end2end="True", imgsz="[64, 64]"))
    with pytest.raises(DetectorError, match="External data path"):
        load_onnx(path, stated=CARD)
    (folder / "own.bin").write_bytes((tmp_path / "secret.bin").read_bytes())
    tensor.external_data[0].value = "own.bin"
    path.write_bytes(model.SerializeToString())
    assert load_onnx(path, stated=CARD)[0].spec.tile_px == 64


def test_without_onnxruntime_the_way_to_get_it_is_said(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = save(constant_network([np.zeros((1, 5, 6), np.float32)]), tmp_path / "d.onnx")
    with pytest.raises(ConfigError, match=r"pip install onnxruntime"):
        load_onnx(path, stated=CARD)
