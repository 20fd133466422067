"""`geopdn configure`: what it prints, writes and refuses; and from own scenes to detections in three commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import geopandas
import pandas as pd
import pyogrio
import pytest
from own_scenes import boxes_at, folder_with, write_labels

from geopdn.config_file import load_train_config

if TYPE_CHECKING:
    from pathlib import Path

FOUR = {f"port{k}": {"tug": 6, "ferry": 4} for k in range(4)}


def test_it_prints_what_it_saw_and_what_comes_next(cli, tmp_path):
    folder_with(tmp_path, FOUR)
    done = cli("configure", "scenes", "labels.gpkg", "--label-field", "kind", "-o", "my.yaml")
    assert done.code == 0
    lines = done.out.splitlines()
    rows = dict(line.split("  ", 1) for line in lines[:8])
    assert rows["scenes"].strip() == "4, pixels of 10 m, bands red, green, blue"
    assert rows["tug"].strip() == "24 objects, 120 to 120 m long, half under 120 m (12 to 12 px)"
    assert rows["ferry"].strip().startswith("16 objects")
    assert rows["windows"].strip() == "512 px at 1/1, 256 px at 1/1; overview at 1/4"
    assert rows["validation"].strip().startswith("1 scene, 10 objects: port")
    assert lines[-2:] == ["  geopdn train my.yaml", "  geopdn detect SCENE --model runs/my/my.safetensors"]
    assert "warning: class 'tug' has 12 objects in the training scenes" in done.err
    config = load_train_config(tmp_path / "my.yaml")
    assert config.name == "my"
    assert config.model.classes == ("ferry", "tug")


def test_problems_of_labels_stop_it_and_leave_no_file(refused, tmp_path):
    folder_with(tmp_path, FOUR)
    write_labels(tmp_path / "wrong.gpkg", boxes_at(4), crs=32633)
    line = refused(3, "configure", "scenes", "wrong.gpkg", "-o", "my.yaml")
    assert "none of its 4 labels touches any of the 4 scenes" in line
    assert "read as EPSG:32631" in line
    write_labels(tmp_path / "points.gpkg", [box.centroid for box in boxes_at(4)])
    assert "--point-size" in refused(3, "configure", "scenes", "points.gpkg", "-o", "my.yaml")
    assert "no column 'type'" in refused(
        3, "configure", "scenes", "labels.gpkg", "-o", "my.yaml", "--label-field", "type"
    )


def test_wrong_arguments(refused, tmp_path):
    folder_with(tmp_path, FOUR)
    assert "last, their labels" in refused(2, "configure", "scenes", "-o", "my.yaml")
    assert ".yaml" in refused(2, "configure", "scenes", "labels.gpkg", "-o", "my.txt")
    assert "does not exist" in refused(3, "configure", "scenes", "gone.gpkg", "-o", "my.yaml")
    assert "holds no scene" in refused(2, "configure", tmp_path, "labels.gpkg", "-o", "my.yaml")
    (tmp_path / "my.yaml").write_text("mine")
    assert "--overwrite" in refused(6, "configure", "scenes", "labels.gpkg", "-o", "my.yaml")
    assert (tmp_path / "my.yaml").read_text() == "mine"


@pytest.fixture
def harbours(tmp_path: Path) -> Path:
    """Four simulated harbours in a folder, and one GeoPackage of two kinds of vessels, in degrees."""
    from geopdn.geometry.window import Size
    from geopdn.scene.simulate import simulate
    from geopdn.scene.simulation import Simulation

    (tmp_path / "scenes").mkdir()
    tables = []
    for k in range(4):
        simulation = Simulation(
            kind="harbour", size=Size(512, 512), seed=k, n_objects=16, pixel_size_m=10.0, occupied_share=0.3,
            origin=(431_000.0 + 20_000 * k, 4_870_000.0),
        )  # fmt: skip
        truth = tmp_path / f"truth{k}.gpkg"
        simulate(simulation, tmp_path / "scenes" / f"harbour{k}.tif", truth=truth)
        tables.append(geopandas.read_file(truth, layer="labels"))
    table = pd.concat(tables)
    table["kind"] = ["large" if length > 100 else "small" for length in table["length_m"]]
    table[["kind", "geometry"]].to_crs(4326).to_file(tmp_path / "vessels.gpkg", layer="drawn by hand")
    return tmp_path


@pytest.mark.slow
def test_from_own_scenes_to_detections_in_three_commands(cli, harbours):
    assert cli("configure", "scenes", "vessels.gpkg", "--label-field", "kind", "-o", "my.yaml").code == 0
    config = load_train_config(harbours / "my.yaml")
    assert config.model.bands == ("B04", "B03", "B02", "B08", "B11")
    assert config.model.has_heading

    trained = cli("train", "my.yaml", "--steps", "2")
    assert trained.code == 0, trained.err
    assert "windows at 1/1 and an overview at 1/4 suit them" in trained.err
    assert "Wrote runs/my/my.safetensors" in trained.out
    assert "Validation places, full scan, large: " in trained.out

    from geopdn.model.weights import load_weights

    header = load_weights(harbours / "runs" / "my" / "my.safetensors").header
    assert header.model.classes == ("large", "small")
    assert (header.training["steps"], header.training["scenes"]) == (2, 2)
    assert header.scores["places"] == list(config.data.validation)
    assert header.scores["full"]["objects"] == 16
    assert sum(of_class["objects"] for of_class in header.scores["full"]["classes"].values()) == 16

    scene = f"scenes/{config.data.validation[0]}.tif"
    found = cli("detect", scene, "--model", "runs/my/my.safetensors", "-o", "found.gpkg", "--min-score", "0")
    assert found.code == 0, found.err
    assert {"detections", "windows", "run"} <= set(pyogrio.list_layers(harbours / "found.gpkg")[:, 0])
    windows = geopandas.read_file(harbours / "found.gpkg", layer="windows")
    assert windows.crs.to_epsg() == 32631
    assert len(windows) > 0

    scored = cli("evaluate", "found.gpkg", "vessels.gpkg", "--label-field", "kind", "--iou", "0.3", "--json")
    assert scored.code == 0, scored.err
    assert scored.record["n_truth"] == 16
