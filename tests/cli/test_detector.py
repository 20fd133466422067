"""`geopdn detect --detector`: an ONNX file in the place of the high-resolution stage, end to end."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from networks import constant_network, deepness, moments_network, save, ultralytics
from planted import PLACES, SIDE, TARGET
from test_detect import TRUTH, assert_at_truth, places_of

RGB = "red, green, blue"


@pytest.fixture(scope="module")
def network():
    return moments_network(tile=256, side=TARGET, layout="yolov8")


@pytest.fixture
def squares(network, tmp_path):
    """A detector with Deepness's keys."""
    return save(type(network).FromString(network.SerializeToString()), tmp_path / "squares.onnx", **deepness())


def with_keys(network, path, **keys):
    return save(type(network).FromString(network.SerializeToString()), path, **keys)


def test_without_a_model_it_looks_everywhere_and_says_so(cli, squares, scene, tmp_path):
    done = cli("detect", scene, "--detector", squares, "--json")
    assert done.code == 0, done.err
    assert done.err.splitlines()[:3] == [
        "detector squares.onnx, by its Deepness keys: red, blue; tiles of 256 px, pixels of 0.5 m, output yolov8",
        "no --model: the detector looks everywhere",
        f"scene.tif for squares.onnx: pixels of 0.5 x 0.5 m as they are; bands {RGB}; stored values 0 to 255 as 0..1",
    ]
    assert (done.record["detections"], done.record["share"], done.record["model"]) == (len(PLACES), 1.0, None)
    table, found = places_of(tmp_path / "scene.detections.gpkg", layer="detections")
    assert set(table["label"]) == {"red"}
    assert_at_truth(found, metres=0.01)
    run = geopandas.read_file(tmp_path / "scene.detections.gpkg", layer="run").iloc[0]
    assert (run["detector"], run["n_invalid"], json.loads(run["classes"])) == ("squares.onnx", 0, ["red", "blue"])
    settings = json.loads(run["detector_settings"])
    assert (settings["bands"], settings["tile_px"], settings["overlap"]) == (["red", "green", "blue"], 256, 0.25)
    cli("detect", scene, "--detector", squares, "--detector-values", "0..200", "-o", "other.gpkg")
    other = geopandas.read_file(tmp_path / "other.gpkg", layer="run").iloc[0]
    assert json.loads(other["detector_settings"])["values"]["high"] == [200.0]
    assert other["config_hash"] != run["config_hash"]


def test_a_model_chooses_its_windows(cli, squares, exact, plant, tmp_path):
    path = plant(tmp_path / "wide.tif", side=3000)
    done = cli(
        "detect", path, "--detector", squares, "--model", exact, "--recall", "0.99", "--json", "--saliency", "s.tif"
    )
    assert done.code == 0, done.err
    assert (done.record["detections"], done.record["model"]) == (len(PLACES), "tiny")
    assert done.record["share"] < 0.1
    assert done.record["estimated_recall"] > 0.98
    assert_at_truth(places_of(tmp_path / "wide.detections.gpkg", layer="detections")[1], metres=0.01)
    assert (tmp_path / "s.tif").exists()


def test_a_scene_of_other_pixels_is_resampled_and_places_stay(cli, network, exact, plant, tmp_path):
    path = plant(tmp_path / "fine.tif", transform=Affine(0.3, 0, 500_000, 0, -0.3, 5_000_000), side=1000)
    detector = with_keys(moments_network(tile=256, side=7.2, layout="yolov8"), tmp_path / "d.onnx", **deepness())
    done = cli("detect", path, "--detector", detector, "--model", exact, "-o", "o.gpkg", "--picture", "p.png")
    assert done.code == 0, done.err
    assert "resampled from 0.3 x 0.3 m to 0.5 m" in done.err
    truth = np.array([(500_000 + 0.3 * (col + 6), 5_000_000 - 0.3 * (row + 6)) for row, col in PLACES])
    table, found = places_of("o.gpkg", layer="detections")
    assert_at_truth(found, truth, metres=0.03)
    assert table["length_m"].to_numpy() == pytest.approx(np.full(len(PLACES), 3.6), abs=0.1)
    assert (tmp_path / "p.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_same_run_gives_the_same_bytes(cli, squares, exact, scene, tmp_path):
    for name in ("a", "b"):
        assert cli("detect", scene, "--detector", squares, "--model", exact, "-o", f"{name}.gpkg").code == 0
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()


def test_bands_are_put_in_the_order_of_the_detector(cli, squares, plant, tmp_path):
    path = plant(tmp_path / "bgr.tif", photometric="minisblack")
    with rasterio.open(path, "r+") as out:
        image = out.read()
        image[0, :, :200] //= 2  # band 1 is dimmer in the west: red, if it is fed as the last one
        out.write(image)
    done = cli("detect", path, "--detector", squares, "--detector-bands", "1,2,3", "-o", "a.gpkg")
    assert done.code == 0, done.err
    table, found = places_of("a.gpkg", layer="detections")
    assert sorted(table["label"]) == ["blue", "red", "red", "red", "red"]
    west = np.hypot(*(found - TRUTH[0]).T).argmin()
    assert table["label"][west] == "blue"
    cli("detect", path, "--detector", squares, "--detector-bands", "3,2,1", "-o", "b.gpkg")
    assert set(places_of("b.gpkg", layer="detections")[0]["label"]) == {"red"}


def test_missing_facts_are_demanded_and_taken_from_options(cli, refused, network, plant, tmp_path):
    path = plant(tmp_path / "deep.tif", dtype="uint16", photometric="minisblack")
    bare = with_keys(network, tmp_path / "bare.onnx")
    line = refused(2, "detect", path, "--detector", bare, "-q")
    for option in ("--detector-classes", "--detector-pixel-size", "--detector-values"):
        assert option in line
    assert "--detector-tile" not in line  # the network itself says it
    stated = ["--detector-classes", "a,b", "--detector-pixel-size", "0.5", "--detector-values", "0..255"]
    line = refused(3, "detect", path, "--detector", bare, *stated, "-q")
    assert "does not say which, deep.tif has [1, 2, 3]" in line
    assert "--detector-bands 1,2,3" in line
    done = cli("detect", path, "--detector", bare, *stated, "--detector-bands", "1,2,3", "--json")
    assert done.code == 0, done.err
    assert done.record["detections"] == len(PLACES)


def test_a_stac_item_beside_the_file_is_read_only_when_it_is_named(cli, refused, network, scene, tmp_path):
    bare = with_keys(network, tmp_path / "bare.onnx")
    given = {
        "name": "rgb",
        "bands": ["red", "green", "blue"],
        "input": {"shape": [-1, 3, 256, 256], "dim_order": ["batch", "channel", "height", "width"]},
        "value_scaling": {"type": "min-max", "minimum": 0, "maximum": 255},
    }
    classes = [{"value": 0, "name": "x"}, {"value": 1, "name": "y"}]
    output = {"name": "boxes", "tasks": ["object-detection"], "classification:classes": classes}
    properties = {"gsd": 0.5, "mlm:input": [given], "mlm:output": [output]}
    (tmp_path / "bare.json").write_text(json.dumps({"type": "Feature", "properties": properties}))
    assert "no metadata" in refused(2, "detect", scene, "--detector", bare, "-q")
    done = cli("detect", scene, "--detector", bare, "--detector-item", "bare.json", "--json")
    assert done.code == 0, done.err
    assert "by its STAC MLM item" in done.err
    assert done.record["detections"] == len(PLACES)


def test_oriented_detectors_write_a_heading(cli, scene, tmp_path):
    network = moments_network(tile=256, side=TARGET, layout="yolov8-obb", oriented_length=TARGET)
    detector = save(network, tmp_path / "d.onnx", **ultralytics(task="obb"))
    done = cli("detect", scene, "--detector", detector, "--detector-pixel-size", "0.5", "-o", "o.gpkg")
    assert done.code == 0, done.err
    table, found = places_of("o.gpkg", layer="detections")
    assert_at_truth(found, metres=0.01)
    assert table["heading_deg"].notna().all()
    upright = save(moments_network(tile=256, side=TARGET, layout="yolov8"), tmp_path / "u.onnx", **ultralytics())
    cli("detect", scene, "--detector", upright, "--detector-pixel-size", "0.5", "-o", "u.gpkg")
    assert places_of("u.gpkg", layer="detections")[0]["heading_deg"].isna().all()


def test_boxes_that_are_not_finite_are_said(cli, scene, tmp_path):
    rows = np.full((1, 2, 6), np.nan, np.float32)
    network = constant_network([rows], shape=(1, 3, 256, 256))
    detector = save(network, tmp_path / "d.onnx", **ultralytics(end2end="True"))
    done = cli("detect", scene, "--detector", detector, "--detector-pixel-size", "0.5", "--json")
    assert done.code == 0
    n = 2 * done.record["windows"]
    assert f"{n} boxes of the detector were not finite or had no area: dropped" in done.err.splitlines()


def test_pixels_without_a_place_are_taken_as_they_are(cli, squares, plant, tmp_path):
    path = plant(tmp_path / "plain.tif", crs=None, transform=Affine.identity())
    done = cli("detect", path, "--detector", squares, "--pixel-output", "-o", "o.gpkg")
    assert done.code == 0, done.err
    assert "pixels taken to be 0.5 m" in done.err
    truth = np.array([(col + TARGET / 2, -row - TARGET / 2) for row, col in PLACES])
    assert_at_truth(places_of("o.gpkg", layer="detections")[1], truth, metres=0.01)


def test_what_does_not_fit_the_scene_is_refused(refused, squares, network, plant, scene, tmp_path):
    deep = plant(tmp_path / "deep.tif", dtype="uint16", photometric="rgb")
    line = refused(3, "detect", deep, "--detector", squares, "-q")
    assert "takes uint8 values, deep.tif has uint16" in line
    assert "--detector-values" in line
    coarse = plant(tmp_path / "coarse.tif", transform=Affine(10, 0, 500_000, 0, -10, 5_000_000))
    line = refused(3, "detect", coarse, "--detector", squares, "-q")
    assert "10 x 10 m" in line
    assert "the detector squares.onnx expects 0.5 m" in line
    line = refused(3, "detect", scene, "--detector", squares, "--detector-bands", "red,green,nir", "-q")
    assert "no band nir" in line
    assert "--detector-bands" in line
    plain = plant(tmp_path / "plain.tif", crs=None, transform=Affine.identity())
    assert "--pixel-output" in refused(3, "detect", plain, "--detector", squares, "-q")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--budget", "0.2"), "name one by --model"),
        (("--recall", "0.9"), "name one by --model"),
        (("--bands", "1,2,3"), "--detector-bands"),
        (("--saliency", "s.tif"), "needs a --model"),
        (("--detector-values", "bright"), "--detector-values 'bright'"),
        (("--detector-layout", "detr"), "--detector-layout 'detr'"),
        (("--detector-classes", "a,,b"), "--detector-classes 'a,,b'"),
        (("--detector-overlap", "90"), "overlap 0.9"),
        (("--detector-pixel-size", "-1"), "pixel size -1 m"),
    ],
)
def test_options_that_cannot_work(refused, squares, scene, arguments, says):
    assert says in refused(2, "detect", scene, "--detector", squares, "-q", *arguments)


def test_facts_without_a_detector_and_files_that_are_none(refused, weights, scene, tmp_path):
    assert "--detector" in refused(2, "detect", scene, "--model", weights, "--detector-tile", "640")
    (tmp_path / "d.onnx").write_text("not a network")
    assert "cannot be loaded" in refused(3, "detect", scene, "--detector", "d.onnx")
    assert "cannot be read" in refused(3, "detect", scene, "--detector", "missing.onnx")
    assert "is the input" in refused(2, "detect", scene, "--detector", "o.gpkg", "-o", "o.gpkg", "--overwrite")
    assert SIDE > 512  # the scenes here are searched, not looked at whole
