"""SAHI on the same network: it finds what is there, by its own slices and merging."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from exact import exact_config, exact_model

from geopdn.errors import ConfigError
from geopdn.evaluate.bench import run_bench
from geopdn.evaluate.labelled import Labelled

pytest.importorskip("sahi", reason="SAHI is not installed (the extra `bench`)")

TRANSFORM = Affine(0.5, 0, 500000, 0, -0.5, 5000000)
PLACES = [(100, 120), (700, 90), (445, 450), (1000, 1002)]


def write(folder, *, dtype="uint8"):
    image = np.full((3, 1100, 1300), 10, dtype)
    for row, col in PLACES:
        image[:, row : row + 12, col : col + 12] = 255
    path = folder / "scene.tif"
    profile = {"driver": "GTiff", "count": 3, "height": 1100, "width": 1300, "dtype": dtype, "photometric": "rgb"}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=TRANSFORM, **profile) as target:
        target.write(image)
    boxes = [shapely.box(*(TRANSFORM @ (col, row + 12)), *(TRANSFORM @ (col + 12, row))) for row, col in PLACES]
    geopandas.GeoDataFrame({"label": ["target"] * 4}, geometry=boxes, crs=32631).to_file(folder / "scene.gpkg")
    return Labelled(path, folder / "scene.gpkg")


@pytest.fixture(scope="module")
def model():
    return exact_model(exact_config(bands=("1", "2", "3"), high=255.0, pixel_size_m=0.5))


def test_sahi_finds_all_targets_with_the_same_network(tmp_path, model):
    rows = run_bench([write(tmp_path)], model, chosen=(), shares=(), with_sahi=True)
    assert [row.strategy for row in rows] == ["full scan", "SAHI"]
    for row in rows:
        assert (row.ap, row.recall, row.share) == (1, 1, 1)
    assert rows[1].windows == 9  # slices of 512 px that overlap by 64 on 1300 x 1100 px


def test_scenes_that_sahi_cannot_take_are_refused(tmp_path, model):
    with pytest.raises(ConfigError, match="8-bit"):
        run_bench([write(tmp_path, dtype="uint16")], model, chosen=(), shares=(), with_sahi=True)
