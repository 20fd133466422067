"""The other commands: what they print and write, against what is known of the scene."""

from __future__ import annotations

import json
import shutil

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from planted import PLACES, TARGET, UTM, tiny_config

from geopdn.api.quicklook import spread
from geopdn.budget import window_cost
from geopdn.cli.info import orientation
from geopdn.cli.train import find_config
from geopdn.config_file import load_train_config
from geopdn.detections import Detections
from geopdn.errors import ConfigError


def test_info_describes_the_scene_and_the_cost(cli, exact, shipped, scene, tmp_path):
    record = cli("info", scene, "--json").record
    with rasterio.open(scene) as oracle:
        assert (record["width"], record["height"]) == (oracle.width, oracle.height)
        assert record["transform"] == list(oracle.transform[:6])
        assert record["crs_code"] == "EPSG:32631" == str(oracle.crs)
        assert record["block"] == list(oracle.block_shapes[0])
    assert record["bands"] == ["red", "green", "blue"]
    assert record["pixel_size_m"] == pytest.approx([0.5, 0.5], rel=1e-3)
    assert record["orientation"] == "north-up"
    assert (record["overviews"], record["sidecar"]) == ([], False)
    (cost,) = record["models"]
    assert cost["scan_windows"] == 4 * 4  # cores of 192 px on 700 px
    looking = tiny_config().overview_ms_per_mpx * 700**2 / 64 / 1e9
    assert cost["scan_seconds"] == round(looking + 16 * window_cost(tiny_config().kinds[0]) / 1000, 1)
    assert cost["typical_windows"] == 4  # a quarter, as the header's scores say
    text = cli("info", scene).out
    assert "700 x 700 px, 0.5 Mpx" in text
    assert "WGS 84 / UTM zone 31N (EPSG:32631), north-up" in text
    assert "geopdn prepare" in text
    assert "full scan: 16 windows of 256 px" in text
    assert max(map(len, text.splitlines())) <= 120


def test_info_times_the_network_when_asked(cli, exact, shipped, scene, monkeypatch):
    plain = tiny_config()
    kinds = tuple(kind.model_copy(update={"network_ms": 5000.0}) for kind in plain.kinds)
    slow = plain.model_copy(update={"kinds": kinds})
    monkeypatch.setattr("geopdn.train.costs.measure_costs", lambda _, **__: slow)
    (nominal,) = cli("info", scene, "--json").record["models"]
    (measured,) = cli("info", scene, "--json", "--measure").record["models"]
    assert (nominal["measured"], measured["measured"]) == (False, True)
    assert nominal["scan_seconds"] < 20
    assert measured["scan_seconds"] == pytest.approx(16 * window_cost(kinds[0]) / 1000, abs=0.1)
    assert "nominal seconds" in cli("info", scene).out
    assert "measured on this machine" in cli("info", scene, "--measure").out


def test_info_says_why_a_model_does_not_fit(cli, shipped, plant, tmp_path):
    path = plant(
        tmp_path / "poor.tif", count=2, dtype="uint16", nodata=7, crs=None, transform=Affine.identity(),
    )  # fmt: skip
    record = cli("info", path, "--json").record
    assert record["crs"] is None
    assert record["models"] == []
    assert record["misfits"] == {"tiny": "takes the bands [red, green, blue], the scene has [1, 2]"}
    text = cli("info", path).out
    assert "value 7" in text
    assert "--pixel-output" in text


@pytest.mark.parametrize(
    ("transform", "kind"),
    [
        (UTM, "north-up"),
        (Affine(1, 0, 0, 0, 1, 0), "south-up"),
        (Affine(-1, 0, 0, 0, -1, 0), "mirrored"),
        (Affine.rotation(20) @ UTM, "rotated"),
    ],
)
def test_orientation(transform, kind):
    assert orientation(transform) == kind


def test_prepare_writes_what_info_and_detect_then_use(cli, exact, shipped, scene, tmp_path, refused):
    before = scene.read_bytes()
    done = cli("prepare", scene)
    assert done.code == 0
    assert done.out == f"Wrote {tmp_path / 'scene.geopdn-overview.tif'}.\n"
    assert scene.read_bytes() == before
    assert cli("info", scene, "--json").record["sidecar"] is True
    assert "exists" in refused(6, "prepare", scene)
    assert cli("prepare", scene, "--overwrite", "-q").out == ""
    assert cli("detect", scene, "-q").code == 0
    run = geopandas.read_file("scene.detections.gpkg", layer="run")
    assert run["overview"].iloc[0] == "sidecar"
    assert bool(run["overview_statistics"].iloc[0])


def test_saliency_writes_the_expected_counts(cli, exact, scene, tmp_path):
    done = cli("saliency", scene, "-o", "s.tif", "--model", exact)
    assert done.code == 0, done.err
    assert done.out.endswith("Wrote s.tif.\n")
    with rasterio.open(tmp_path / "s.tif") as raster:
        rates = raster.read(1)
        assert raster.transform == UTM @ Affine.scale(32)
        assert raster.crs.to_epsg() == 32631
    assert rates.shape == (22, 22)
    bright = {(int(row), int(col)) for row, col in np.argwhere(rates > 0.2)}
    touched = {((row + dy) // 32, (col + dx) // 32) for row, col in PLACES for dy in (0, TARGET) for dx in (0, TARGET)}
    assert bright <= touched
    assert len(bright) >= len(PLACES)
    assert not (tmp_path / "scene.detections.gpkg").exists()


def test_evaluate_scores_perfect_detections_as_perfect(cli, exact, scene, truth, tmp_path):
    assert cli("detect", scene, "--model", exact, "--budget", "full", "-q").code == 0
    done = cli("evaluate", "scene.detections.gpkg", truth, "--scene", scene, "--json", "-o", "report.md")
    assert done.code == 0, done.err
    assert (done.record["ap"], done.record["recall"], done.record["precision"]) == (1.0, 1.0, 1.0)
    assert done.record["n_truth"] == len(PLACES)
    report = (tmp_path / "report.md").read_text()
    assert "| recall, all detections | 1.000 |" in report
    assert cli("evaluate", "scene.detections.gpkg", truth).out == report
    assert cli("evaluate", "scene.detections.gpkg", truth, "-o", "report.json").code == 0
    assert json.loads((tmp_path / "report.json").read_text())["ap"] == 1.0


def test_evaluate_refuses_what_it_cannot_use(refused, truth, tmp_path):
    assert "missing.gpkg is not a file" in refused(3, "evaluate", "missing.gpkg", truth)
    assert "--iou 2" in refused(2, "evaluate", truth, truth, "--iou", "2")
    assert "is the input" in refused(
        2, "evaluate", truth, shutil.copy(truth, tmp_path / "copy.json"), "-o", tmp_path / "copy.json", "--overwrite"
    )


def test_models_lists_what_is_shipped(cli, shipped):
    text = cli("models").out
    for part in ("tiny", "target (upright boxes)", "red, green, blue, pixels of 0.5 m", "noise", "CC0-1.0", "AP 0.50"):
        assert part in text
    (record,) = cli("models", "--json").record
    assert record["name"] == "tiny"
    assert record["bytes"] == (shipped / "tiny.safetensors").stat().st_size
    (shipped / "tiny.safetensors").unlink()
    assert cli("models", "--json").record == []
    assert "No models are shipped" in cli("models").out


def test_simulate_writes_a_scene_with_its_truth(cli, tmp_path, refused):
    done = cli(
        "simulate", "airport", "-o", "sim.tif", "--size", 600, "--seed", 4, "--objects", 3, "--origin", 1000, 2000
    )
    assert done.code == 0, done.err
    assert done.out == "Wrote sim.tif and sim.truth.gpkg.\n"
    with rasterio.open(tmp_path / "sim.tif") as raster:
        assert (raster.shape, raster.count, raster.dtypes[0]) == ((600, 600), 3, "uint8")
        assert (raster.transform.c, raster.transform.f) == (1000, 2000)
    assert len(geopandas.read_file("sim.truth.gpkg", layer="labels")) == 3
    assert "'sim.tif' exists" in refused(6, "simulate", "airport", "-o", "sim.tif")
    assert "'moon'" in refused(2, "simulate", "moon", "-o", "other.tif")


def test_training_configurations_are_found_by_name(tmp_path, refused):
    assert load_train_config(find_config("aircraft-50cm")).name == "aircraft-50cm"
    mine = tmp_path / "aircraft-50cm"
    mine.write_text("x")
    assert find_config(str(mine)) == mine
    with pytest.raises(ConfigError, match=r"neither a file nor a shipped one \(aircraft-50cm, "):
        find_config("nothing")
    (tmp_path / "bad.yaml").write_text("name: bad\nmodle: 3\n")
    assert "did you mean 'model'" in refused(2, "train", "bad.yaml")


def test_train_reports_what_was_written(cli, monkeypatch, tmp_path):
    from geopdn.train import fit

    seen = {}

    def fake(path, *, output, resume, steps, all_places, start, progress, say):
        seen.update(path=path, output=output, resume=resume, steps=steps, all_places=all_places, start=start)
        say("a stage")
        scores = {"split": "validation", "full": {"ap": 0.5, "f1": None}}
        return fit.TrainResult(output / "w.safetensors", output / "curve.png", scores)

    monkeypatch.setattr(fit, "train", fake)
    done = cli("train", "aircraft-50cm", "--steps", 7, "--resume", "--from", "earlier.safetensors")
    assert (seen["output"].as_posix(), seen["resume"], seen["steps"]) == ("runs/aircraft-50cm", True, 7)
    assert seen["start"] == "earlier.safetensors"
    assert done.err == "a stage\n"
    assert done.out.splitlines() == [
        "Wrote runs/aircraft-50cm/w.safetensors and runs/aircraft-50cm/curve.png.",
        "Validation places, full scan: ap 0.5.",
    ]


def test_close_ups_are_spread_over_the_scene():
    boxes = np.zeros((9, 5))
    boxes[:, :2] = [(0, 0), (1, 0), (2, 0), (100, 0), (101, 0), (0, 100), (100, 100), (50, 50), (51, 50)]
    ints = np.zeros(9, np.int64)
    found = Detections(boxes, np.linspace(1, 0.5, 9), ints, ints, ints, np.zeros(9, bool))
    chosen = spread(found)
    assert chosen[0] == 0
    assert len(chosen) == 6
    assert {tuple(np.round(boxes[i, :2] / 50).astype(int)) for i in chosen} == {(0, 0), (2, 0), (0, 2), (2, 2), (1, 1)}
    assert spread(Detections.empty()) == []
