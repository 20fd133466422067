"""The benchmark: a perfect detector on planted squares, so that every number is known."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from exact import exact_config, exact_model

from geopdn.errors import ConfigError, LabelError
from geopdn.evaluate.arithmetic import Arithmetic
from geopdn.evaluate.bench import FULL, TARGET, UNEXPLORED, run_bench, strategies, to_markdown
from geopdn.evaluate.bench_picture import draw_bench
from geopdn.evaluate.labelled import Labelled, labelled
from geopdn.model.patchdrivenet import PatchDriveNet

TRANSFORM = Affine(0.5, 0, 500000, 0, -0.5, 5000000)
PLACES = [(100, 120), (160, 90), (1905, 1400), (1500, 1502), (1303, 300)]
SIDE, TARGET_PX = 2048, 12


@pytest.fixture(scope="module")
def model():
    return exact_model(exact_config(bands=("1",), high=255.0, pixel_size_m=0.5))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    image = np.full((SIDE, SIDE), 10, np.uint8)
    for row, col in PLACES:
        image[row : row + TARGET_PX, col : col + TARGET_PX] = 255
    path = folder / "scene.tif"
    profile = {"driver": "GTiff", "count": 1, "height": SIDE, "width": SIDE, "dtype": "uint8", "tiled": True}
    with rasterio.open(
        path, "w", blockxsize=256, blockysize=256, crs="EPSG:32631", transform=TRANSFORM, **profile
    ) as f:
        f.write(image, 1)
    boxes = [
        shapely.box(*(TRANSFORM @ (col, row + TARGET_PX)), *(TRANSFORM @ (col + TARGET_PX, row))) for row, col in PLACES
    ]
    labels = folder / "scene.truth.gpkg"
    geopandas.GeoDataFrame({"label": ["target"] * len(boxes)}, geometry=boxes, crs=32631).to_file(labels)
    return Labelled(path, labels)


def test_every_strategy_is_run_and_costs_are_what_was_read(model, scene):
    chosen = strategies(model.header.model.kinds)
    rows = run_bench([scene], model, chosen=chosen, shares=(0.05, 0.5), recalls=(0.9,))
    names = [row.strategy for row in rows]
    assert names == [FULL, *(item.name for item in chosen for _ in range(2)), TARGET, UNEXPLORED]
    full = rows[0]
    assert (full.ap, full.f1, full.recall, full.relative_recall, full.share) == (1, 1, 1, 1, 1)
    assert full.windows == 25  # cores of 448 px on 2048 px
    for row in rows[1:-2]:
        assert row.share <= float(row.budget)
        assert row.ap == pytest.approx(row.recall, abs=0.011)  # nothing wrong is ever found; 101 points
        assert row.gmacs <= full.gmacs
    by = {(row.strategy, row.budget): row for row in rows}
    assert by["coverage", "0.05"].recall == 0.8  # four windows of 256 px, and two targets lie in one
    assert by["coverage", "0.05"].windows == 3
    assert by["random", "0.05"].recall < 0.8
    assert by[TARGET, "recall 0.9"].relative_recall >= 0.8
    assert len(to_markdown(rows).splitlines()) == len(rows) + 2


def test_the_picture_is_drawn_and_the_same_each_time(model, scene, tmp_path):
    chosen = strategies(model.header.model.kinds)[:1]
    rows = run_bench([scene], model, chosen=chosen, shares=(0.05, 0.2))
    draw_bench(rows, tmp_path / "a.png", title="test")
    draw_bench(rows, tmp_path / "b.png", title="test")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with rasterio.open(tmp_path / "a.png") as picture:
        assert picture.width > 1000
        assert picture.read(1).std() > 5


def test_nothing_to_measure_is_refused(model):
    with pytest.raises(ConfigError, match="at least one scene"):
        run_bench([], model, chosen=(), shares=())


def test_multiply_adds_are_those_of_the_convolutions():
    net = PatchDriveNet(config=exact_config(bands=("1",), high=255.0, pixel_size_m=0.5)).eval()
    counted = 0

    def count(layer, given, made):
        nonlocal counted
        per_value = layer.weight[0].numel() if isinstance(layer, torch.nn.Conv2d) else layer.in_features
        counted += per_value * made.numel()

    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        net.inspect(torch.zeros(1, 1, 256, 256), None)
    once = counted
    assert Arithmetic(net).of_window(256, 256) == pytest.approx(once / 1e9, rel=0.02)


def test_labels_are_found_by_the_scenes_name(tmp_path):
    (tmp_path / "a.truth.gpkg").touch()
    (tmp_path / "b.gpkg").touch()
    (tmp_path / "b.truth.gpkg").touch()
    scene = tmp_path / "elsewhere" / "a.tif"
    assert labelled(scene, tmp_path).labels.path == tmp_path / "a.truth.gpkg"
    assert labelled(scene.with_name("b.tif"), tmp_path).labels.path == tmp_path / "b.gpkg"
    assert labelled(scene, tmp_path / "b.gpkg").labels.path == tmp_path / "b.gpkg"
    with pytest.raises(LabelError, match=r"c\.gpkg"):
        labelled(scene.with_name("c.tif"), tmp_path)
