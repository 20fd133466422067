"""Faults 86 to 89: what a score may not hide."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from planted import PLACES, TARGET, UTM


def detections(path, places, score=0.9):
    """A file of detections over the squares at those places."""
    boxes = [shapely.box(*(UTM @ (col, row + TARGET)), *(UTM @ (col + TARGET, row))) for row, col in places]
    values = {"label": ["target"] * len(boxes), "score": np.full(len(boxes), score)}
    geopandas.GeoDataFrame(values, geometry=boxes, crs=32631).to_file(path, layer="detections")
    return path


def labels(path, places, crs=32631):
    boxes = [shapely.box(*(UTM @ (col, row + TARGET)), *(UTM @ (col + TARGET, row))) for row, col in places]
    table = geopandas.GeoDataFrame({"label": ["target"] * len(boxes)}, geometry=boxes, crs=32631)
    table.to_crs(crs).to_file(path, layer="labels")
    return path


@pytest.mark.filterwarnings("ignore:You are attempting to write an empty:UserWarning")
def test_86_nothing_there_and_nothing_found(cli, scene, tmp_path):
    found, there = detections(tmp_path / "d.gpkg", PLACES), labels(tmp_path / "l.gpkg", PLACES)
    nothing = detections(tmp_path / "none.gpkg", [(5, 5)])
    table = geopandas.read_file(nothing)
    table[:0].to_file(nothing, layer="detections")
    done = cli("evaluate", nothing, there, "--json")
    assert (done.code, done.record["ap"], done.record["recall"]) == (0, 0.0, 0.0)
    empty = labels(tmp_path / "none.labels.gpkg", PLACES)
    geopandas.read_file(empty)[:0].to_file(empty, layer="labels")
    done = cli("evaluate", found, empty, "--scene", scene, "--json")
    assert done.code == 0, done.err
    assert done.record["ap"] is None
    assert done.record["ap_reason"]


def test_87_labels_of_another_system_outside_and_on_nodata(cli, plant, tmp_path):
    path = plant(tmp_path / "scene.tif", nodata=0)
    with rasterio.open(path, "r+") as target:
        image = target.read()
        image[image == 0] = 1
        image[:, :200] = 0  # over the first two
        target.write(image)
    outside = (-500, -500)
    there = labels(tmp_path / "l.gpkg", [*PLACES, outside], crs=4326)
    found = detections(tmp_path / "d.gpkg", PLACES[2:])
    blind = json.loads(cli("evaluate", found, there, "--json").out)
    assert blind["recall"] == pytest.approx(3 / 6)
    seen = cli("evaluate", found, there, "--scene", path, "--json")
    assert seen.code == 0, seen.err
    record = seen.record
    assert (record["recall"], record["n_truth"], record["n_outside"]) == (1.0, 3, 1)
    assert (record["n_unseen"], record["n_ignored"]) == (2, 2)
    assert "of the ignored: without pixels | 2" in " ".join(cli("evaluate", found, there, "--scene", path).out.split())


def test_88_more_than_a_hundred_detections_count(cli, tmp_path):
    places = [(20 * row, 20 * col) for row in range(15) for col in range(15)]
    found, there = detections(tmp_path / "d.gpkg", places), labels(tmp_path / "l.gpkg", places)
    record = cli("evaluate", found, there, "--json").record
    assert (record["n_detections"], record["recall"], record["ap"]) == (225, 1.0, 1.0)
