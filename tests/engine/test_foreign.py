"""Detectors of other makers inside the drive: places, budgets, maps, failures."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import rasterio
from affine import Affine
from exact import exact_config, exact_model
from networks import constant_network, deepness, moments_network, save
from scipy import ndimage
from scipy.spatial import cKDTree
from test_planted_targets import CASES, TARGET, UTM, plant

from geopdn.budget import Budget
from geopdn.detectors import DetectorSpec, Scaling, from_function
from geopdn.detectors.card import Card
from geopdn.detectors.onnx_file import load_onnx
from geopdn.engine import DetectOptions, Guide, detect_with, saliency_of
from geopdn.engine.foreign import on_grid, window_kind
from geopdn.engine.overview_pass import SceneMap
from geopdn.errors import BandError, ConfigError
from geopdn.geometry.ground import map_to_pixel, pixel_to_map
from geopdn.geometry.window import Size, Window
from geopdn.ledger import Ledger
from geopdn.scene import Scene
from geopdn.scene.resample import resample

TRANSFORM = Affine(0.5, 0, 500000, 0, -0.5, 5000000)


def spec_of(*, high, pixel_size_m, tile=320, **changes):
    values = {
        "name": "moments",
        "classes": ("target",),
        "pixel_size_m": pixel_size_m,
        "tile_px": tile,
        "scaling": Scaling("stored", (0.0,), (float(high),)),
        "n_bands": 1,
        "overlap": 0.2,
    }
    return DetectorSpec(**{**values, **changes})


def moments(patch):
    """Bright components by the centroids of their light, faint edges included, as corners."""
    light = np.maximum(patch[0].astype(np.float64) - 0.06, 0)
    labels, n = ndimage.label(light > 0.35)
    boxes = []
    for rows, cols in ndimage.find_objects(labels):
        top, left = max(rows.start - 1, 0), max(cols.start - 1, 0)
        part = light[top : rows.stop + 1, left : cols.stop + 1]
        y, x = (np.array(ndimage.center_of_mass(part)) + 0.5 + (top, left)).tolist()
        half = np.sqrt(part.sum() / part.max()) / 2
        boxes.append([x - half, y - half, x + half, y + half])
    return boxes, [0.9] * n, [0] * n


def offsets(result, truth, transform):
    """Of what was found from the nearest target, in scene pixels; every target found once."""
    found = pixel_to_map(result.detections.boxes[:, :2], result.frame.transform)
    assert len(found) == len(truth)
    _, nearest = cKDTree(truth).query(found)
    assert sorted(nearest) == list(range(len(truth)))
    return map_to_pixel(found, transform) - map_to_pixel(truth[nearest], transform)


@pytest.mark.parametrize("guided", [True, False], ids=["guided", "alone"])
@pytest.mark.parametrize("zoom", [1.0, 0.7, 1.6])
@pytest.mark.parametrize("case", ["north_up", "rotated", "south_up", "non_square", "geographic", "web_mercator"])
def test_planted_targets_come_back_at_their_place(case, zoom, guided, tmp_path):
    crs, transform, dtype, high, pixel_size_m = CASES[case]
    path = tmp_path / "scene.tif"
    truth = plant(path, crs=crs, transform=transform, dtype=dtype, high=high, seed=7)
    model = exact_model(exact_config(bands=("1",), high=float(high), pixel_size_m=pixel_size_m))
    detector = from_function(moments, spec_of(high=high, pixel_size_m=pixel_size_m * zoom))
    with Scene.open(path) as scene:
        view = resample(scene, pixel_size_m=pixel_size_m * zoom)
        guide = Guide(model, resample(scene, pixel_size_m=pixel_size_m)) if guided else None
        budget = Budget(recall=0.999) if guided else Budget(full=True)
        result = detect_with(detector, view, DetectOptions(budget=budget), guide=guide)
    offset = offsets(result, truth, transform)
    assert math.hypot(*offset.mean(0)) < 0.02
    assert np.abs(offset).max() < 0.1
    assert result.facts["detector"] == "moments"
    assert result.facts["path"] == ("sparse" if guided else "scan")
    assert result.facts["model"] == ("exact" if guided else None)
    assert {window.kind for window in result.windows} == {"320"}


@pytest.mark.parametrize("layout", ["yolov5", "yolov8"])
def test_an_onnx_file_finds_planted_targets(tmp_path, layout):
    crs, transform, dtype, high, _ = CASES["rotated"]
    path = tmp_path / "scene.tif"
    truth = plant(path, crs=crs, transform=transform, dtype=dtype, high=high, seed=8)
    keys = deepness(resolution=80, det_type='"YOLO_v8"' if layout == "yolov8" else '"YOLO_v7"')
    network = moments_network(tile=256, side=TARGET * 0.5 / 0.8, layout=layout)
    detector, _ = load_onnx(save(network, tmp_path / "d.onnx", **keys), stated=Card())
    with rasterio.open(path) as one, rasterio.open(tmp_path / "rgb.tif", "w", **{**one.profile, "count": 3}) as three:
        three.write(np.repeat(one.read(), 3, axis=0))
    model = exact_model(exact_config(bands=("1",), high=float(high), pixel_size_m=0.5))
    with Scene.open(path) as scene, Scene.open(tmp_path / "rgb.tif") as rgb:
        options = DetectOptions(budget=Budget(recall=0.999))
        result = detect_with(detector, resample(rgb, pixel_size_m=0.8), options, guide=Guide(model, scene))
    offset = offsets(result, truth, transform)
    assert math.hypot(*offset.mean(0)) < 0.02
    assert result.detections.boxes[:, 2].mean() == pytest.approx(TARGET * 0.5 / 0.8, abs=0.3)


def sparse_scene(path, *, side=4096):
    image = np.zeros((side, side), np.uint8)
    places = [(700, 3000), (720, 3040), (3600, 200)]
    for row, col in places:
        image[row : row + TARGET, col : col + TARGET] = 255
    profile = {"driver": "GTiff", "count": 1, "height": side, "width": side, "dtype": "uint8", "tiled": True}
    with rasterio.open(path, "w", crs=UTM, transform=TRANSFORM, compress="deflate", **profile) as out:
        out.write(image, 1)
    return places


def test_the_saliency_spares_the_detector_most_of_the_scene(tmp_path):
    path = tmp_path / "scene.tif"
    sparse_scene(path)
    model = exact_model(exact_config(bands=("1",), high=255.0, pixel_size_m=0.5))
    detector = from_function(moments, spec_of(high=255, pixel_size_m=0.8))
    runs = []
    with Scene.open(path) as scene:
        view, own = resample(scene, pixel_size_m=0.8), saliency_of(scene, model)
        for budget in (Budget(recall=0.99), Budget(recall=0.99), Budget(windows=1), Budget(share=0.02)):
            options = DetectOptions(budget=budget, keep_saliency=True, audit=4 if budget.windows else 0)
            runs.append(detect_with(detector, view, options, guide=Guide(model, scene)))
    recall, again, one, share = runs
    assert len(recall.detections) == 3
    assert recall.facts["share"] < 0.05
    assert recall.facts["estimated_recall"] > 0.98
    assert np.array_equal(recall.detections.boxes, again.detections.boxes)
    assert recall.facts == again.facts
    assert len(one.detections) == 2  # the two that lie together
    assert one.facts["audit"]["windows"] == 4
    assert 0 < share.facts["share"] <= 0.02
    assert recall.saliency.sum() == pytest.approx(own.saliency.sum(), rel=1e-4)
    row, col = np.unravel_index(recall.saliency.argmax(), recall.saliency.shape)
    place = recall.frame.transform @ ((col + 0.5) * recall.cell_px, (row + 0.5) * recall.cell_px)
    x, y = ~TRANSFORM @ place
    assert min(math.hypot(x - c - 6, y - r - 6) for r, c in ((700, 3000), (720, 3040), (3600, 200))) < 32


def test_objects_longer_than_a_tile_are_joined(tmp_path):
    path = tmp_path / "scene.tif"
    image = np.zeros((1000, 1000), np.uint8)
    image[500:520, 150:870] = 255
    image[200:840, 420:430] = 255
    image[480:540, 400:450] = 0  # the two do not touch: each crosses several tiles
    profile = {"driver": "GTiff", "count": 1, "height": 1000, "width": 1000, "dtype": "uint8"}
    with rasterio.open(path, "w", crs=UTM, transform=TRANSFORM, **profile) as out:
        out.write(image, 1)

    def outlines(patch):
        """Bounds of bright components, a pixel inside of the tile, as networks give them."""
        labels, n = ndimage.label(patch[0] > 0.35)
        side = patch.shape[1] - 1
        found = [
            [max(cols.start, 1), max(rows.start, 1), min(cols.stop, side), min(rows.stop, side)]
            for rows, cols in ndimage.find_objects(labels)
        ]
        return found, [0.9] * n, [0] * n

    with Scene.open(path) as scene:
        result = detect_with(from_function(outlines, spec_of(high=255, pixel_size_m=0.5, tile=256)), scene)
    boxes = result.detections.boxes[np.lexsort(result.detections.boxes[:, :2].T)]
    truth = [(425, 340, 280, 10), (275, 510, 250, 20), (660, 510, 420, 20), (425, 690, 300, 10)]
    assert boxes[:, :4] == pytest.approx(np.array(truth, float), abs=1e-6)


def test_an_area_of_interest_holds_without_a_guide(tmp_path):
    path = tmp_path / "scene.tif"
    sparse_scene(path)
    detector = from_function(moments, spec_of(high=255, pixel_size_m=0.5, tile=512))
    with Scene.open(path) as scene:
        result = detect_with(detector, scene, inside=lambda points: points[:, 0] < 1024)
    assert len(result.detections) == 1
    assert 0.2 < result.facts["share"] < 0.4
    assert result.facts["expected_total"] is None
    assert result.facts["overview"] == "none"


def test_a_scene_smaller_than_a_tile_is_looked_at_whole(tmp_path):
    path = tmp_path / "scene.tif"
    image = np.zeros((90, 140), np.uint8)
    image[50:62, 80:92] = 255
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=90, width=140, dtype="uint8", crs=UTM, transform=TRANSFORM
    ) as out:
        out.write(image, 1)
    model = exact_model(exact_config(bands=("1",), high=255.0, pixel_size_m=0.5))
    detector = from_function(moments, spec_of(high=255, pixel_size_m=0.5))
    with Scene.open(path) as scene:
        result = detect_with(detector, scene, DetectOptions(budget=Budget(share=0.1)), guide=Guide(model, scene))
    assert result.detections.boxes[:, :2] == pytest.approx(np.array([[86.0, 56.0]]))
    assert (result.facts["path"], result.facts["share"], result.facts["budget"]) == ("scan", 1.0, "full")


def test_percentiles_are_taken_from_the_scene(tmp_path):
    path = tmp_path / "scene.tif"
    values = np.random.default_rng(0).integers(1000, 3000, (600, 600)).astype(np.uint16)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=600, width=600, dtype="uint16", crs=UTM, transform=TRANSFORM
    ) as out:
        out.write(values, 1)
    seen = []

    def look(patch):
        seen.append(patch)
        return [], [], []

    scaling = Scaling("percentiles", (10.0,), (90.0,), top=255.0, clip=True)
    with Scene.open(path) as scene:
        result = detect_with(from_function(look, spec_of(high=1, pixel_size_m=0.5, scaling=scaling)), scene)
    low, high = np.percentile(values, [10, 90])
    assert result.facts["stretch"]["low"] == pytest.approx([low], rel=0.01)
    patches = np.stack(seen)
    assert (patches.min(), patches.max()) == (0.0, 255.0)
    assert result.facts["stretch"]["high"] == pytest.approx([high], rel=0.01)


def test_boxes_that_are_not_finite_are_counted(tmp_path):
    sparse_scene(tmp_path / "scene.tif", side=600)
    rows = np.full((1, 3, 6), np.nan, np.float32)
    network = constant_network([rows], shape=(1, 1, 256, 256))
    path = save(network, tmp_path / "d.onnx", det_type='"YOLO_v8"')
    card = Card(classes=("x",), pixel_size_m=0.5, layout="end2end")
    detector, _ = load_onnx(path, stated=card)
    with Scene.open(tmp_path / "scene.tif") as scene:
        result = detect_with(detector, scene)
    assert len(result.detections) == 0
    assert result.facts["n_invalid"] == 3 * result.facts["n_windows"] > 0


def test_a_ledger_gives_the_same_result_without_the_detector(tmp_path, monkeypatch):
    sparse_scene(tmp_path / "scene.tif", side=600)
    rows = np.array([[[50, 60, 90, 95, 0.8, 0], [np.nan, 0, 1, 1, 0.9, 0]]], np.float32)
    path = save(constant_network([rows], shape=(1, 1, 256, 256)), tmp_path / "d.onnx", det_type='"YOLO_v8"')
    detector, _ = load_onnx(path, stated=Card(classes=("x",), pixel_size_m=0.5, layout="end2end"))
    with Scene.open(tmp_path / "scene.tif") as scene:
        whole = detect_with(detector, scene)
        with Ledger.open(tmp_path / "o.gpkg", resume=False) as ledger:
            detect_with(detector, scene, ledger=ledger)
            n_windows = ledger.n_windows
        monkeypatch.setattr(type(detector), "find", None)
        with Ledger.open(tmp_path / "o.gpkg", resume=True) as ledger:
            again = detect_with(detector, scene, ledger=ledger)
    assert n_windows == len(whole.windows) > 1
    assert again.facts == whole.facts
    assert again.facts["n_invalid"] == n_windows
    assert again.windows == whole.windows
    for column in fields(whole.raw):
        np.testing.assert_array_equal(getattr(again.raw, column.name), getattr(whole.raw, column.name))
    assert len(again.raw) > 0


def test_what_cannot_work_is_refused(tmp_path):
    path = tmp_path / "scene.tif"
    sparse_scene(path)
    model = exact_model(exact_config(bands=("1",), high=255.0, pixel_size_m=0.5))
    detector = from_function(moments, spec_of(high=255, pixel_size_m=0.5))
    three = from_function(moments, spec_of(high=255, pixel_size_m=0.5, n_bands=3))
    with Scene.open(path) as scene:
        with pytest.raises(ConfigError, match="needs a model that says where"):
            detect_with(detector, scene, DetectOptions(budget=Budget(share=0.2)))
        with pytest.raises(BandError, match="takes 3 bands"):
            detect_with(three, scene)
        moved = TRANSFORM @ Affine.translation(9, 0)
        plant(tmp_path / "other.tif", crs=UTM, transform=moved, dtype="uint8", high=255, seed=1)
        with Scene.open(tmp_path / "other.tif") as other, pytest.raises(ValueError, match="not the same scene"):
            detect_with(detector, scene, DetectOptions(), guide=Guide(model, other))


@pytest.mark.parametrize("tile", [64, 100, 416, 640, 1024, 4096])
@pytest.mark.parametrize("cell", [3.0, 20.0, 32.0, 71.7, 900.0])
@pytest.mark.parametrize("overlap", [0.0, 0.15, 0.4])
def test_cores_are_whole_cells_and_halos_at_least_what_was_asked_for(tile, cell, overlap):
    spec = spec_of(high=1, pixel_size_m=1.0, tile=tile, overlap=overlap)
    kind, cell_px = window_kind(spec, cell_px=cell)
    assert kind.tensor == tile
    assert kind.core % cell_px == 0
    assert kind.core // cell_px >= 2
    assert kind.core + 2 * kind.halo == tile
    assert spec.halo_px <= kind.halo <= spec.halo_px + max(min(cell, 256), 8) / 2 + 1


def test_damage_met_by_the_overview_is_brought_to_the_grid_of_the_detector():
    own = SceneMap(
        rate=np.ones((1, 2, 2), np.float32),
        grid=None,
        valid=np.ones((2, 2), np.bool_),
        statistics=True,
        source="computed",
        cell_px=32,
        unread=((Window(2, 4, 2, 2, 3), "broken"),),
    )
    moved = on_grid(own, cell=(24.0, 48.0), cell_px=16, size=Size(48, 96))
    assert moved.unread == ((Window(12, 48, 12, 24), "broken"),)
    assert moved.rate.sum() == pytest.approx(4.0)
    assert moved.valid.all()
