"""`geopdn report` and `geopdn review` end to end: pictures where they belong, marks as labels, and what is refused."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from io import BytesIO

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
from headless_browser import browser
from PIL import Image
from planted import PLACES, SIDE, TARGET

from geopdn.output.found import read_found
from geopdn.output.marks import FORMAT


@pytest.fixture
def found(cli, exact, scene, tmp_path):
    arguments = ["--model", exact, "-o", "found.gpkg", "--saliency", "counts.tif", "-q"]
    assert cli("detect", scene, *arguments).code == 0
    return tmp_path / "found.gpkg"


def record_of(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="record">(.*?)</script>', text, re.DOTALL)[1])


def image_of(one):
    return np.asarray(Image.open(BytesIO(base64.b64decode(one["href"].partition(",")[2]))), float)


def test_pictures_lie_where_the_scene_has_them(cli, found, tmp_path):
    done = cli("report", found, "--saliency", "counts.tif")
    assert done.code == 0, done.err
    assert done.out.startswith(f"Wrote {tmp_path / 'found.html'} (")
    record = record_of(tmp_path / "found.html")
    whole = image_of(record["whole"])
    assert whole.shape == (SIDE, SIDE, 3)
    assert (record["whole"]["x"], record["whole"]["width"]) == (0, SIDE)
    for row, col in PLACES:
        assert whole[row + 2 : row + TARGET - 2, col + 2 : col + TARGET - 2].mean() > 220
    assert len(record["detections"]) == len(PLACES)
    for one in record["detections"]:
        own, picture = one["picture"], image_of(one["picture"])
        x, y = np.reshape(one["ring"], (-1, 2)).mean(0)
        scale = picture.shape[1] / own["width"]
        col, row = int((x - own["x"]) * scale), int((y - own["y"]) * scale)
        assert scale == 1  # full resolution
        assert picture[row - 3 : row + 3, col - 3 : col + 3].mean() > 220
        assert picture[:4, :4].mean() < 60
    assert record["expected"]["width"] >= SIDE
    assert record["expected"]["href"].startswith("data:image/png")
    first = (tmp_path / "found.html").read_bytes()
    assert cli("report", found, "--saliency", "counts.tif", "--overwrite", "-q").out == ""
    assert (tmp_path / "found.html").read_bytes() == first


def test_fewer_pictures_are_said(cli, found, tmp_path):
    assert cli("report", found, "--pictures", "2", "-o", "few.html").code == 0
    assert ["picture" in one for one in record_of(tmp_path / "few.html")["detections"]] == [True] * 2 + [False] * 3
    assert "The 2 best have a picture, 3 are left without one" in (tmp_path / "few.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [{"count": 1}, {"count": 4, "dtype": "uint16"}])
def test_other_bands_and_values_are_shown_between_their_percentiles(cli, found, plant, tmp_path, options):
    shown = plant(tmp_path / "shown.tif", **options)
    assert cli("report", found, "--scene", shown, "-o", "a.html").code == 0
    whole = image_of(record_of(tmp_path / "a.html")["whole"])
    row, col = PLACES[0]
    assert whole[row + 4 : row + 8, col + 4 : col + 8].mean() > 200


def test_without_the_scene_the_report_says_so(cli, found, scene, tmp_path):
    scene.unlink()
    done = cli("report", found)
    assert done.code == 0
    assert "warning: The scene scene.tif was not found" in done.err
    text = (tmp_path / "found.html").read_text(encoding="utf-8")
    assert "The scene scene.tif was not found: the map shows outlines only" in text
    record = record_of(tmp_path / "found.html")
    assert record["whole"] is None
    assert all("width" not in one["picture"] for one in record["detections"])  # those that the result keeps


def test_a_scene_of_that_name_that_is_another_is_not_used(cli, found, scene, plant, tmp_path):
    scene.unlink()
    plant(tmp_path / "scene.tif", side=800)
    done = cli("report", found)
    assert done.code == 0
    assert "could not be used (scene.tif is not the scene of the result" in done.err
    assert record_of(tmp_path / "found.html")["whole"] is None


def test_what_cannot_be_shown_is_refused(refused, found, scene, plant, tmp_path):
    other = plant(tmp_path / "other.tif", side=800)
    assert "is not the scene of the result" in refused(3, "report", found, "--scene", other)
    assert "does not exist" in refused(3, "report", found, "--scene", "missing.tif")
    with rasterio.open(scene) as source:
        profile = {**source.profile, "crs": "EPSG:32632"}
        values = source.read()
    with rasterio.open(tmp_path / "east.tif", "w", **profile) as target:
        target.write(values)
    assert "give the raster that belongs" in refused(3, "report", found, "--saliency", "east.tif")
    assert "geopdn detect" in refused(3, "report", "missing.gpkg")
    assert ".html" in refused(2, "report", found, "-o", "a.txt")
    (tmp_path / "found.html").write_text("mine")
    assert "--overwrite" in refused(6, "report", found)


def test_a_page_of_a_real_run_is_alive_in_a_browser(cli, found, tmp_path):
    assert cli("report", found, "--saliency", "counts.tif").code == 0
    command = [
        browser(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr", "--dump-dom", (tmp_path / "found.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.count('<article class="card" id="card-') == len(PLACES)
    assert done.stdout.count("<polygon") == 2 * len(PLACES)  # on the map and on the pictures
    assert "CONSOLE" not in done.stderr
    addresses = set(re.findall(r"https?://[^\"'\s<>)]+", done.stdout))
    assert addresses <= {"http://www.w3.org/2000/svg"}


def marks_file(path, found, reviews, *missed):
    record = {"format": FORMAT, "digest": read_found(found).digest, "reviews": reviews, "missed": list(missed)}
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def test_marks_become_labels(cli, found, tmp_path):
    missed = {"column": 600.0, "row": 600.0, "size_m": 6.0, "label": "target"}
    reviews = {"1": "right", "2": "right", "3": "right", "4": "wrong", "5": "right"}
    marks = marks_file(tmp_path / "found.marks.json", found, reviews, missed)
    done = cli("review", found, marks)
    assert done.code == 0, done.err
    assert done.out == (
        "4 of 5 detections are right, 1 wrong, 0 not reviewed; 1 objects were missed. Wrote found.reviewed.gpkg.\n"
    )
    scored = cli("evaluate", found, "found.reviewed.gpkg", "--json")
    assert scored.code == 0, scored.err
    assert scored.err == ""
    assert (scored.record["n_truth"], scored.record["precision"], scored.record["recall"]) == (5, 0.8, 0.8)
    part = marks_file(tmp_path / "part.json", found, {"1": "right"})
    record = cli("review", found, part, "-o", "part.gpkg", "--json").record
    assert (record["right"], record["wrong"], record["missed"], record["open"]) == (1, 0, 0, 4)
    scored = cli("evaluate", found, "part.gpkg", "--json")
    assert "4 of 5 detections of part.gpkg are not reviewed" in scored.err
    assert (scored.record["n_truth"], scored.record["n_ignored"], scored.record["precision"]) == (1, 4, 1.0)
    assert "none of the 5 detections" in cli("evaluate", found, found).err


def test_marks_that_do_not_belong_are_refused(refused, cli, found, exact, scene, tmp_path):
    marks = marks_file(tmp_path / "m.json", found, {"1": "right"})
    before = found.read_bytes()
    assert "is the input" in refused(2, "review", found, marks, "-o", found, "--overwrite")
    assert found.read_bytes() == before
    assert cli("merge", found, "--min-score", "0.95", "-o", "other.gpkg").code == 0
    assert "the marks are not of other.gpkg" in refused(3, "review", "other.gpkg", marks)
    assert "cannot be read" in refused(3, "review", found, "none.json")
    assert "not of the format" in refused(
        3, "review", found, (tmp_path / "x.json", (tmp_path / "x.json").write_text("{}"))[0]
    )


def test_a_polygon_drawn_by_hand_is_a_label_of_the_scene(cli, found, tmp_path):
    """As QGIS writes it: a geometry and a mark, all else null."""
    everything = {str(number): "right" for number in range(1, len(PLACES) + 1)}
    assert cli("review", found, marks_file(tmp_path / "m.json", found, everything), "-o", "drawn.gpkg").code == 0
    there = geopandas.read_file(found, layer="detections")
    drawn = geopandas.GeoDataFrame(
        {"review": ["missed"]}, geometry=there.geometry[:1].translate(20, -100), crs=there.crs
    )
    pyogrio.write_dataframe(drawn, tmp_path / "drawn.gpkg", layer="detections", append=True)
    scored = cli("evaluate", found, "drawn.gpkg", "--json")
    assert scored.code == 0, scored.err
    assert (scored.record["n_truth"], scored.record["recall"]) == (6, pytest.approx(5 / 6))
    assert scored.err == ""
    assert cli("evaluate", "drawn.gpkg", "drawn.gpkg", "--json").record["n_detections"] == 5


def test_both_commands_have_help_with_an_example(cli):
    for command in ("report", "review"):
        assert f"Example: geopdn {command}" in " ".join(cli(command, "--help").out.split())
