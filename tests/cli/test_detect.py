"""`geopdn detect` end to end, on scenes where what must be found is known."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from planted import PLACES, SIDE, TARGET, UTM

KEYS = {
    "scene", "output", "model", "detections", "windows", "pixels_total", "pixels_read", "share", "bytes_read",
    "seconds", "peak_memory_mb", "estimated_recall", "audit", "failures",
}  # fmt: skip
TRUTH = np.array([UTM @ (col + TARGET / 2, row + TARGET / 2) for row, col in PLACES])


def places_of(path, **options):
    table = geopandas.read_file(path, **options)
    return table, shapely.get_coordinates(shapely.centroid(table.geometry.values))


def assert_at_truth(found, truth=TRUTH, metres=0.3):
    assert len(found) == len(truth)
    distance = np.hypot(*(found[:, None] - truth[None]).transpose(2, 0, 1))
    assert distance.min(0).max() < metres
    assert distance.min(1).max() < metres


def test_all_targets_are_found_and_written_at_their_place(cli, exact, scene, tmp_path):
    done = cli("detect", scene, "--model", exact, "--json")
    assert done.code == 0, done.err
    record = done.record
    assert set(record) == KEYS
    output = tmp_path / "scene.detections.gpkg"
    assert record["output"] == output.name
    assert record["scene"] == "scene.tif"
    assert record["model"] == "tiny"
    assert record["detections"] == len(PLACES)
    assert record["failures"] == []
    assert record["pixels_total"] == SIDE * SIDE
    assert record["share"] == pytest.approx(record["pixels_read"] / SIDE**2)
    assert record["bytes_read"] > 0
    assert 0 < record["peak_memory_mb"] < 1e5
    table, found = places_of(output, layer="detections")
    assert table.crs.to_epsg() == 32631
    assert set(table["label"]) == {"target"}
    assert_at_truth(found)
    windows = geopandas.read_file(output, layer="windows")
    assert len(windows) == record["windows"]


def test_the_summary_says_what_was_found_and_where_it_went(cli, exact, scene):
    done = cli("detect", scene, "--model", exact, "-o", "out.geojson")
    assert done.code == 0
    assert done.out.startswith("Found 5 targets in scene.tif (700 x 700 px).")
    assert done.out.rstrip().endswith("Wrote out.geojson.")
    assert len(done.out.splitlines()) == 1
    _, found = places_of("out.geojson")
    assert found[:, 0] == pytest.approx(3.0, abs=0.01)  # longitude of 500 000 m east in zone 31
    quiet = cli("detect", scene, "--model", exact, "-o", "quiet.gpkg", "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


@pytest.mark.parametrize("ending", ["gpkg", "geojson"])
def test_the_same_run_gives_the_same_bytes(cli, weights, scene, ending, tmp_path):
    for name in ("a", "b"):
        assert cli("detect", scene, "--model", weights, "-o", f"{name}.{ending}", "--budget", "3w").code == 0
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_several_scenes_go_to_a_folder_and_one_failing_does_not_stop_the_others(cli, exact, scene, plant, tmp_path):
    other = plant(tmp_path / "other.tif")
    done = cli("detect", scene, "missing.tif", other, "--model", exact, "-o", "found", "--json", "--format", "geojson")
    assert done.code == 3
    assert [json.loads(line)["scene"] for line in done.out.splitlines()] == ["scene.tif", "other.tif"]
    assert [line for line in done.err.splitlines() if line.startswith("error")] == [
        "error: missing.tif does not exist: check the path"
    ]
    assert sorted(path.name for path in (tmp_path / "found").glob("*.geojson")) == [
        "other.detections.geojson",
        "scene.detections.geojson",
    ]


def test_a_folder_made_for_nothing_is_removed(cli, weights, tmp_path):
    done = cli("detect", "a.tif", "b.tif", "--model", weights, "-o", "found")
    assert done.code == 3
    assert len(done.err.splitlines()) == 2
    assert not (tmp_path / "found").exists()


def test_only_the_area_of_interest_is_searched(cli, exact, scene, tmp_path):
    west = shapely.box(*(UTM @ (0, SIDE)), *(UTM @ (200, 0)))
    geopandas.GeoDataFrame(geometry=[west], crs=32631).to_crs(4326).to_file(tmp_path / "west.geojson")
    everything = cli("detect", scene, "--model", exact, "-o", "all.gpkg", "--json", "--budget", "full").record
    record = cli(
        "detect", scene, "--model", exact, "-o", "o.gpkg", "--aoi", "west.geojson", "--json", "--budget", "full"
    )
    assert record.record["windows"] < everything["windows"]
    _, found = places_of("o.gpkg", layer="detections")
    assert_at_truth(found, TRUTH[[0]])


def test_an_area_elsewhere_is_refused(refused, exact, scene, tmp_path):
    far = shapely.box(10, 10, 11, 11)
    geopandas.GeoDataFrame(geometry=[far], crs=4326).to_file(tmp_path / "far.geojson")
    assert "does not touch scene.tif" in refused(3, "detect", scene, "--model", exact, "--aoi", "far.geojson", "-q")
    geopandas.GeoDataFrame(geometry=[far.centroid], crs=4326).to_file(tmp_path / "point.geojson")
    assert "has no polygon" in refused(3, "detect", scene, "--model", exact, "--aoi", "point.geojson", "-q")


def test_saliency_and_picture_are_written(cli, exact, scene, tmp_path):
    done = cli("detect", scene, "--model", exact, "--saliency", "s.tif", "--picture", "p.png", "--budget", "2w")
    assert done.code == 0, done.err
    with rasterio.open(tmp_path / "s.tif") as raster:
        rates = raster.read(1)
        assert raster.transform == UTM @ Affine.scale(32)
        top = np.unravel_index(rates.argmax(), rates.shape)
    assert any(top == (row // 32, col // 32) for row, col in PLACES)
    assert (tmp_path / "p.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_bands_are_mapped_by_number_and_pixel_output_needs_no_crs(cli, exact, plant, tmp_path):
    path = plant(tmp_path / "plain.tif", photometric="minisblack", crs=None, transform=Affine.identity())
    done = cli("detect", path, "--model", exact, "--bands", "1,2,3", "--pixel-output", "-o", "o.gpkg")
    assert done.code == 0, done.err
    _, found = places_of("o.gpkg", layer="detections")
    assert_at_truth(found, np.array([(col + TARGET / 2, -row - TARGET / 2) for row, col in PLACES]))


def test_the_shipped_model_that_fits_is_chosen(cli, exact, shipped, scene, tmp_path):
    done = cli("detect", scene)
    assert done.code == 0
    assert done.err.splitlines()[0] == "using the model tiny, the shipped one that fits scene.tif"
    (shipped / "copy.safetensors").write_bytes((shipped / "tiny.safetensors").read_bytes())
    done = cli("detect", scene, "-o", "again.gpkg")
    assert done.code == 2
    assert done.err == "error: the models copy, tiny all fit scene.tif: choose one with --model\n"
    assert not (tmp_path / "again.gpkg").exists()


def test_min_score_keeps_the_better_ones(cli, exact, scene):
    assert cli("detect", scene, "--model", exact, "--min-score", "0.95", "--json").record["detections"] == 0


def test_a_small_scene_is_looked_at_whole(cli, exact, plant, tmp_path, refused):
    path = plant(tmp_path / "small.tif", side=480)
    line = refused(3, "detect", path, "--model", exact, "--saliency", "s.tif", "-q")
    assert "looked at whole" in line
    record = cli("detect", path, "--model", exact, "--json").record
    assert (record["detections"], record["windows"], record["share"]) == (3, 1, 1.0)


def test_progress_is_a_line_for_every_tenth_where_there_is_no_terminal(cli, exact, plant, tmp_path):
    path = plant(tmp_path / "wide.tif", side=1900)
    done = cli("detect", path, "--model", exact, "--budget", "full")
    lines = [line for line in done.err.splitlines() if "windows" in line]
    assert 5 <= len(lines) <= 10
    shares = [int(line.split(":")[1].split("%")[0]) for line in lines]
    assert shares == sorted(set(shares))
    assert lines[-1] == "wide.tif: 100 % (100 of 100 windows, 5 found)"
