"""Faults 46 to 55 and 58 to 61: what is written, where, and what names can do to it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from geopdn.detections import Detections
from geopdn.errors import CheckpointError, ConfigError, GeoreferenceError, OutputError
from geopdn.merge import MergeRule, decide
from geopdn.output.write import write_result
from tests.output.conftest import UTM_31, build_result

HOSTILE = [
    "<script>alert(1)</script>",
    "a\"b'; DROP TABLE detections; --",
    "[% env('HOME') %]",
    "&amp;\u202eevil",
    "é✈😀",
]
STEERING = ("\x1b[31mred.tif", "bell\x07.tif", "right\u202eleft.tif", "c1\x9b2J.tif", os.fsdecode(b"half\xff.tif"))


def features(path):
    return json.loads(path.read_text(encoding="utf-8"))["features"]


def test_46_geojson_is_lon_lat_counter_clockwise_with_seven_decimals(cli, scene, exact, tmp_path):
    done = cli("detect", scene, "--model", exact, "-q", "--budget", "full", "-o", "o.geojson")
    assert done.code == 0, done.err
    text = (tmp_path / "o.geojson").read_text()
    assert '"crs"' not in text.partition('"features"')[2]
    for one in features(tmp_path / "o.geojson"):
        ring = shapely.geometry.shape(one["geometry"])
        assert ring.exterior.is_ccw
        assert all(abs(x) <= 180 and abs(y) <= 90 for x, y in ring.exterior.coords)
        assert all(len(repr(value).partition(".")[2]) <= 7 for point in ring.exterior.coords for value in point)


def test_46_a_validator_of_others_finds_nothing(tmp_path):
    validator = pytest.importorskip("geojson_validator")
    for number, result in enumerate((build_result(40, classes=HOSTILE), build_result(0))):
        path = write_result(result, tmp_path / f"{number}.geojson")
        content = json.loads(path.read_text(encoding="utf-8"))
        assert validator.validate_structure(content) == {}
        if content["features"]:
            problems = validator.validate_geometries(content)
            assert problems["invalid"] == {}
            # turned boxes: what it calls a problem of accuracy is seven decimals, as the RFC advises
            assert set(problems["problematic"]) <= {"excessive_coordinate_precision"}


def test_47_numbers_that_are_no_degrees_never_become_geojson(tmp_path):
    with pytest.raises(GeoreferenceError):
        write_result(build_result(3, crs=None), tmp_path / "a.geojson")
    assert list(tmp_path.iterdir()) == []
    path = write_result(build_result(37), tmp_path / "b.geojson")
    assert len(features(path)) == 37


def test_48_nothing_found_is_a_typed_styled_layer(cli, plant, exact, tmp_path):
    path = plant(tmp_path / "scene.tif")
    done = cli("detect", path, "--model", exact, "-q", "--budget", "0", "-o", "o.gpkg")
    assert done.code == 0, done.err
    with closing(sqlite3.connect(tmp_path / "o.gpkg")) as file:
        kind = file.execute("SELECT geometry_type_name FROM gpkg_geometry_columns WHERE table_name = 'detections'")
        assert kind.fetchone() == ("POLYGON",)
        assert file.execute("SELECT count(*) FROM detections").fetchone() == (0,)
        assert file.execute("SELECT count(*) FROM layer_styles WHERE f_table_name = 'detections'").fetchone()[0] >= 1
    assert geopandas.read_file(tmp_path / "o.gpkg", layer="detections").crs == UTM_31


def with_values(result, **columns):
    found = result.detections
    return replace(result, detections=replace(found, **{key: value(found) for key, value in columns.items()}))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".fgb"])
def test_49_numbers_that_are_none_are_an_error_upstream_and_leave_no_file(tmp_path, bad, ending):
    result = with_values(build_result(4), score=lambda found: np.where(np.arange(4) == 1, bad, found.score))
    with pytest.raises(OutputError, match="1 of 4 detections are not finite"):
        write_result(result, tmp_path / f"a{ending}")
    assert list(tmp_path.iterdir()) == []


def test_50_scores_and_boxes_that_are_no_numbers_never_suppress_real_ones():
    real = build_result(6)
    found = replace(real.detections, window=np.zeros(6, np.int64))
    nan = Detections(
        boxes=np.concatenate([found.boxes[:3], np.full((2, 5), np.nan)]),
        score=np.array([np.nan, np.inf, 0.9, 0.9, 0.9]),
        **{name: getattr(found, name)[:5] for name in ("label", "window", "level", "cut")},
    )
    rule = MergeRule((0.0,))
    alone = decide(found, real.windows, size=real.frame.size, rule=rule)
    mixed = Detections.concatenate([nan.take(~nan.is_finite()), found])
    both = decide(mixed, real.windows, size=real.frame.size, rule=rule)
    np.testing.assert_array_equal(both.detections.boxes, alone.detections.boxes)


def test_51_boxes_without_area_are_counted_not_written(tmp_path):
    result = build_result(boxes=[[300, 200, 40, 0, 0], [900, 600, 40, 20, 0.5]])
    with pytest.raises(OutputError, match="1 of 2 detections are not finite or have no area"):
        write_result(result, tmp_path / "a.gpkg")
    good = geopandas.read_file(write_result(build_result(50), tmp_path / "b.gpkg"), layer="detections")
    assert good.geometry.is_valid.all()
    assert not good.geometry.isna().any()
    assert (good.area > 0).all()


def test_52_names_of_classes_are_checked_when_weights_load(fails, weights, scene, tmp_path):
    from geopdn.model.weights import read_header

    content = weights.read_bytes()
    assert read_header(weights).model.classes == ("target",)
    for name in ("tar<et", "tar\\\\u0000", "\\\\u001b[31", "😀get"):
        text = name.encode().ljust(6)[:6] if len(name.encode()) <= 6 else name.encode()
        grown = content.replace(b"target", text)
        length = int.from_bytes(content[:8], "little") + len(grown) - len(content)
        (tmp_path / "odd.safetensors").write_bytes(length.to_bytes(8, "little") + grown[8:])
        line = fails(CheckpointError, "detect", scene, "--model", tmp_path / "odd.safetensors")
        assert "classes" in line
        assert "\x1b" not in line
        (tmp_path / "odd.safetensors").unlink()


@pytest.mark.parametrize("name", ["a\x00b", "\x1b[31m", "x" * 10_000, "a\nb", "\u202e"])
def test_52_names_of_a_detectors_classes_are_checked(name):
    from geopdn.detectors.spec import DetectorSpec
    from geopdn.detectors.values import Scaling

    with pytest.raises(ConfigError, match="printable") as caught:
        DetectorSpec("d", (name,), 0.5, 512, Scaling("stored", (0.0,), (255.0,)))
    assert len(str(caught.value)) < 500


def test_52_names_are_escaped_in_styles_projects_and_map_tips(tmp_path):
    from geopdn.output.mapped import read_mapped
    from geopdn.output.project import write_project

    result = replace(build_result(10, classes=HOSTILE), frame=replace(build_result(1).frame, name=HOSTILE[0]))
    path = write_result(result, tmp_path / "a&<b>.gpkg")
    with closing(sqlite3.connect(path)) as file:
        styles = [text for (text,) in file.execute("SELECT styleQML FROM layer_styles")]
        assert file.execute("SELECT count(*) FROM detections").fetchone() == (10,)
    project = write_project(read_mapped(path)[0], tmp_path / "a&<b>.qgz")
    with zipfile.ZipFile(project) as archive:
        (inside,) = archive.namelist()
        styles.append(archive.read(inside).decode())
    for text in styles:
        root = ET.fromstring(text)  # well formed
        assert "<script>" not in text
        values = [one.get("value") for one in root.iter("category")]
        if HOSTILE[0] in values:
            assert [value for value in values if value in HOSTILE] == HOSTILE
        for tip in root.iter("mapTip"):
            assert "replace(" in tip.text  # what comes from columns is escaped by QGIS, see tests/output/test_qgis.py
    labels = geopandas.read_file(path, layer="detections").label
    assert set(labels) == set(HOSTILE)


def test_52_nothing_that_steers_a_terminal_reaches_it(cli, plant, exact, tmp_path):
    commands = (
        ("info",),
        ("info", "--json"),
        ("detect", "--model", exact, "--overwrite"),
        ("saliency", "--model", exact, "-o", "s.tif", "--overwrite"),
    )
    for name in STEERING:
        path = plant(tmp_path / "plain.tif").rename(tmp_path / name)
        for command, *options in commands:
            done = cli(command, path, *options)
            said = done.out + done.err
            assert not any(letter in said for letter in "\x1b\x07\x9b\u202e\udcff"), said
            assert "Traceback" not in said
            refused = any(ord(letter) < 32 or letter == "\udcff" for letter in name)
            assert done.code == (3 if refused else 0), said


def test_53_54_columns_and_layers_are_fixed(tmp_path):
    for name in ("Score", "fid", "a b", "x" * 61, "SCENE", "geom", "1; --"):
        result = build_result(2)
        result.facts[name] = 1
        if name == "Score":
            result.facts["score"] = 2
        with pytest.raises(ValueError, match="cannot be a column"):
            write_result(result, tmp_path / "a.gpkg")
        assert list(tmp_path.iterdir()) == []


def test_55_an_existing_file_is_kept_or_replaced_whole(fails, cli, scene, exact, tmp_path):
    geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Point(0, 0)], crs=4326).to_file(
        tmp_path / "o.gpkg", layer="old"
    )
    before = (tmp_path / "o.gpkg").read_bytes()
    detect = ("detect", scene, "--model", exact, "-q", "--budget", "full", "-o", "o.gpkg")
    assert "exists" in fails(OutputError, *detect)
    assert (tmp_path / "o.gpkg").read_bytes() == before
    assert cli(*detect, "--overwrite").code == 0
    with closing(sqlite3.connect(tmp_path / "o.gpkg")) as file:
        layers = [name for (name,) in file.execute("SELECT table_name FROM gpkg_contents")]
    assert sorted(layers) == ["detections", "layer_styles", "raw", "run", "windows"]


def test_58_folders_are_checked_before_the_work(fails, scene, weights, monkeypatch):
    import geopdn.engine as engine

    monkeypatch.setattr(engine, "detect", lambda *_, **__: pytest.fail("worked before it looked at the folder"))
    assert "'nowhere'" in fails(OutputError, "detect", scene, "--model", weights, "-o", "nowhere/o.gpkg")


@pytest.mark.parametrize("link", ["itself", "symbolic", "hard"])
def test_59_an_output_that_is_the_input(fails, plant, weights, tmp_path, link):
    path = plant(tmp_path / "scene.tif")
    target = tmp_path / "o.tif"
    if link == "symbolic":
        target.symlink_to(path)
    elif link == "hard":
        target.hardlink_to(path)
    else:
        target = path
    before = path.read_bytes()
    line = fails(ConfigError, "saliency", path, "--model", weights, "-o", target, "--overwrite")
    assert "is the input" in line
    assert path.read_bytes() == before


MANY = """
import resource, sys, time
import numpy as np
from tests.output.conftest import build_result
from geopdn.output.write import write_result
n = int(sys.argv[1])
rng = np.random.default_rng(0)
boxes = np.stack([rng.uniform(0, 2000, n), rng.uniform(0, 1000, n), np.full(n, 9.0), np.full(n, 4.0), np.zeros(n)], 1)
result = build_result(boxes=boxes, with_raw=False)
write_result(build_result(2), sys.argv[2] + ".warm.gpkg")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.monotonic()
write_result(result, sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.monotonic() - started)
"""


@pytest.mark.parametrize("ending", [".gpkg", ".geojson"])
def test_60_many_detections_are_written_in_batches(tmp_path, ending):
    kib = []
    for n in (100_000, 300_000):
        done = subprocess.run(
            [sys.executable, "-c", MANY, str(n), str(tmp_path / f"{n}{ending}")],
            capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "PYTHONPATH": ".:tests"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        kib.append(float(done.stdout.split()[0]))
    assert kib[1] - kib[0] < 60_000  # three times the rows, not three times the memory


def test_61_the_validator_of_gdal_finds_nothing(cli, scene, exact, tmp_path):
    validator = pytest.importorskip("osgeo_utils.samples.validate_gpkg", reason="needs the package gdal-utils")
    assert cli("detect", scene, "--model", exact, "-q", "--budget", "full", "-o", "o.gpkg").code == 0
    path = tmp_path / "o.gpkg"
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (10300,)
        srs = file.execute("SELECT srs_id FROM gpkg_contents WHERE table_name != 'layer_styles'").fetchall()
    assert set(srs) == {(32631,)}  # what the validator does not look at
    found = validator.check(str(path), abort_at_first_error=False, extra_checks=True, warning_as_error=True)
    assert [problem for problem in found if "gpkg_schema" not in str(problem)] == []


def test_cogs_are_valid_to_others(cli, tmp_path):
    validate = pytest.importorskip("rio_cogeo.cogeo").cog_validate
    assert cli("simulate", "airport", "-o", "s.tif", "--size", "1024", "--objects", "3", "-q").code == 0
    for path in (tmp_path / "s.tif", Path(__file__).parents[2] / "sample_scenes" / "airport.tif"):
        valid, errors, _ = validate(path)
        assert (valid, errors) == (True, [])
