"""`geopdn detect --stac` and `geopdn stac`."""

from __future__ import annotations

import json

import pytest
import rasterio


@pytest.fixture
def dated(scene):
    with rasterio.open(scene, "r+") as target:
        target.update_tags(TIFFTAG_DATETIME="2024:05:01 10:30:00")
    return scene


def test_an_item_lies_beside_the_detections(cli, weights, dated, tmp_path):
    done = cli("detect", dated, "--model", weights, "--stac", "--picture", "p.png", "--budget", "2w", "-q")
    assert done.code == 0, done.err
    item = json.loads((tmp_path / "scene.detections.stac.json").read_text())
    assert item["properties"]["datetime"] == "2024-05-01T10:30:00Z"
    assert item["properties"]["mlm:name"] == "tiny"
    assert set(item["assets"]) == {"detections", "model", "overview"}
    assert item["assets"]["detections"]["href"] == "./scene.detections.gpkg"
    assert not item["assets"]["model"]["href"].startswith(("/", "urn:"))
    assert [link["href"] for link in item["links"]] == ["./scene.tif"]


def test_later_from_the_result_the_item_is_the_same(cli, weights, dated, tmp_path):
    assert cli("detect", dated, "--model", weights, "--stac", "--budget", "2w", "-q").code == 0
    first = (tmp_path / "scene.detections.stac.json").read_bytes()
    done = cli("stac", "scene.detections.gpkg", "--model", weights, "-o", "again.json")
    assert (done.code, done.out) == (0, "Wrote again.json.\n")
    assert (tmp_path / "again.json").read_bytes() == first
    done = cli("stac", "scene.detections.gpkg", "-o", "unknown.json")
    assert done.code == 0
    assert "says nothing of the model: name them by --model" in done.err
    assert "mlm:name" not in json.loads((tmp_path / "unknown.json").read_text())["properties"]


def test_shipped_weights_are_named_by_their_digest(cli, shipped, dated, tmp_path):
    assert cli("detect", dated, "--stac", "--budget", "2w", "-q").code == 0
    item = json.loads((tmp_path / "scene.detections.stac.json").read_text())
    assert item["assets"]["model"]["href"].startswith("urn:geopdn:model:tiny:")


def test_a_time_that_is_not_known_is_asked_for_before_the_search(cli, refused, weights, scene, tmp_path):
    text = refused(2, "detect", scene, "--model", weights, "--stac", "-q")
    assert "scene.tif says no acquisition time" in text
    assert cli("detect", scene, "--model", weights, "--budget", "2w", "-q").code == 0
    done = cli("stac", "scene.detections.gpkg", "--model", weights, "--datetime", "2024-05-01T12:30:00+02:00", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")
    item = json.loads((tmp_path / "scene.detections.stac.json").read_text())
    assert item["properties"]["datetime"] == "2024-05-01T10:30:00Z"
    assert "exists" in refused(6, "stac", "scene.detections.gpkg", "--datetime", "2024-05-01")


def test_other_weights_than_the_results_are_refused(cli, refused, weights, dated):
    assert cli("detect", dated, "--model", weights, "--budget", "2w", "-q").code == 0
    assert "name those by --model" in refused(2, "stac", "scene.detections.gpkg", "--model", "aircraft-50cm")
    assert "is not a GeoPackage" in refused(3, "stac", "nothing.gpkg")
