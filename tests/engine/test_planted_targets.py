"""Targets planted at known places of the map come back through the whole engine, in every kind of scene."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rasterio
from affine import Affine
from exact import exact_config, exact_model
from scipy.spatial import cKDTree

from geopdn.budget import Budget
from geopdn.engine import DetectOptions, detect
from geopdn.geometry.ground import map_to_pixel, pixel_to_map
from geopdn.scene import Scene
from geopdn.scene.resample import resample

SIDE = 1800
TARGET = 12
UTM = "EPSG:32631"
CASES = {
    "north_up": (UTM, Affine(0.5, 0, 500000, 0, -0.5, 5000000), "uint8", 255, 0.5),
    "rotated": (
        UTM,
        Affine.translation(500000, 5000000) @ Affine.rotation(20) @ Affine.scale(0.5, -0.5),
        "uint8",
        255,
        0.5,
    ),
    "south_up": (UTM, Affine(0.5, 0, 500000, 0, 0.5, 4990000), "uint8", 255, 0.5),
    "non_square": (UTM, Affine(0.6, 0, 500000, 0, -0.45, 5000000), "uint8", 255, 0.5),
    "geographic": ("EPSG:4326", Affine(1e-4, 0, 2.0, 0, -1e-4, 45.0), "uint8", 255, 10.0),
    "twelve_bits": (UTM, Affine(0.5, 0, 500000, 0, -0.5, 5000000), "uint16", 4095, 0.5),
    "web_mercator": ("EPSG:3857", Affine(10, 0, 300000, 0, -10, 5100000), "uint16", 4095, 7.2),
}


def plant(path, *, crs, transform, dtype, high, seed):
    """A dark scene with bright squares; returns the squares' centres on the map."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, high // 20, (SIDE, SIDE)).astype(dtype)
    corners = []
    while len(corners) < 60:
        row, col = rng.integers(20, SIDE - 40, 2)
        if all(max(abs(row - r), abs(col - c)) > 3 * TARGET for r, c in corners):
            corners.append((row, col))
            image[row : row + TARGET, col : col + TARGET] = high
    profile = {"driver": "GTiff", "count": 1, "height": SIDE, "width": SIDE, "dtype": dtype, "tiled": True}
    with rasterio.open(path, "w", crs=crs, transform=transform, blockxsize=256, blockysize=256, **profile) as out:
        out.write(image, 1)
    pixels = np.array([(col + TARGET / 2, row + TARGET / 2) for row, col in corners])
    return pixel_to_map(pixels, transform)


@pytest.mark.parametrize("budget", [Budget(recall=0.999), Budget(full=True)], ids=["recall", "full"])
@pytest.mark.parametrize("case", CASES)
def test_planted_targets_come_back_at_their_place(case, budget, tmp_path):
    crs, transform, dtype, high, pixel_size_m = CASES[case]
    path = tmp_path / "scene.tif"
    truth = plant(path, crs=crs, transform=transform, dtype=dtype, high=high, seed=5)
    model = exact_model(exact_config(bands=("1",), high=float(high), pixel_size_m=pixel_size_m))
    with Scene.open(path) as scene:
        result = detect(resample(scene, pixel_size_m=pixel_size_m), model, DetectOptions(budget=budget))
    found = pixel_to_map(result.detections.boxes[:, :2], result.frame.transform)
    assert len(found) == len(truth)
    offset = map_to_pixel(found, transform) - map_to_pixel(truth[cKDTree(truth).query(found)[1]], transform)
    assert math.hypot(*offset.mean(0)) < 0.02
    assert np.abs(offset).max() < 0.2


def test_a_scene_of_other_pixel_size_is_resampled_without_a_shift(tmp_path):
    crs, transform, dtype, high, _ = CASES["rotated"]
    path = tmp_path / "scene.tif"
    truth = plant(path, crs=crs, transform=transform, dtype=dtype, high=high, seed=6)
    model = exact_model(exact_config(bands=("1",), high=float(high), pixel_size_m=0.8))
    with Scene.open(path) as scene:
        view = resample(scene, pixel_size_m=0.8)
        assert view.size.width == pytest.approx(SIDE * 0.5 / 0.8, abs=1)
        result = detect(view, model, DetectOptions(budget=Budget(full=True)))
    found = pixel_to_map(result.detections.boxes[:, :2], result.frame.transform)
    assert len(found) == len(truth)
    offset = map_to_pixel(found, transform) - map_to_pixel(truth[cKDTree(truth).query(found)[1]], transform)
    assert math.hypot(*offset.mean(0)) < 0.02


def test_sparse_objects_are_found_without_reading_everything(tmp_path):
    path = tmp_path / "scene.tif"
    image = np.zeros((4096, 4096), np.uint8)
    image[700:712, 3000:3012] = image[720:732, 3040:3052] = 255
    image[3600:3612, 200:212] = 255
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=4096,
        width=4096,
        dtype="uint8",
        tiled=True,
        crs=UTM,
        transform=Affine(0.5, 0, 500000, 0, -0.5, 5000000),
        compress="deflate",
    ) as out:
        out.write(image, 1)
    model = exact_model(exact_config(bands=("1",), high=255.0, pixel_size_m=0.5))
    with Scene.open(path) as scene:
        result = detect(scene, model, DetectOptions(budget=Budget(recall=0.99)))
        again = detect(scene, model, DetectOptions(budget=Budget(recall=0.99)))
    assert len(result.detections) == 3
    assert result.facts["path"] == "sparse"
    assert result.facts["share"] < 0.05
    assert np.array_equal(result.detections.boxes, again.detections.boxes)
    assert result.windows == again.windows
