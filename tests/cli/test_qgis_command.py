"""`geopdn qgis` and what `geopdn detect` does for QGIS: projects, pictures, progress for programs."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import pytest
import rasterio
from PIL import Image
from planted import PLACES, SIDE

from geopdn.cli.qgis import program


def tree_of(path: Path) -> ET.Element:
    with zipfile.ZipFile(path) as archive:
        return ET.fromstring(archive.read(archive.namelist()[0]))


def sources_of(path: Path) -> list[str]:
    return [layer.findtext("datasource") for layer in tree_of(path).iter("maplayer")]


def test_detect_writes_a_project_beside_its_result(cli, exact, scene, tmp_path):
    (tmp_path / "out").mkdir()
    arguments = ["detect", scene, "--model", exact, "-o", "out/found.gpkg", "--project", "--saliency", "counts.tif"]
    done = cli(*arguments)
    assert done.code == 0, done.err
    project = tmp_path / "out" / "found.qgz"
    sources = sources_of(project)
    assert sources == [
        *(f"./found.gpkg|layername={layer}" for layer in ("detections", "windows", "run", "raw")),
        "../counts.tif",
        "../scene.tif",
    ]
    for source in sources:
        assert (project.parent / source.partition("|")[0]).is_file()
    first = project.read_bytes()
    assert cli(*arguments, "--overwrite").code == 0
    assert project.read_bytes() == first


def test_each_of_several_scenes_has_its_project(cli, exact, scene, plant, tmp_path):
    plant(tmp_path / "other.tif")
    assert cli("detect", scene, "other.tif", "--model", exact, "-o", "found", "--project").code == 0
    names = sorted(path.name for path in (tmp_path / "found").iterdir())
    assert names == [f"{name}.detections.{ending}" for name in ("other", "scene") for ending in ("gpkg", "qgz")]


def test_projects_that_cannot_be_are_refused_before_the_work(refused, exact, scene, tmp_path):
    assert "--project" in refused(2, "detect", scene, "--model", exact, "-o", "a.geojson", "--project")
    (tmp_path / "a.qgz").write_text("mine")
    assert "--overwrite" in refused(6, "detect", scene, "--model", exact, "-o", "a.gpkg", "--project")


def test_a_project_of_a_result_finds_its_scene_beside_it(cli, exact, scene, tmp_path):
    assert cli("detect", scene, "--model", exact, "-o", "found.gpkg").code == 0
    done = cli("qgis", "project", "found.gpkg")
    assert (done.code, done.err, done.out) == (0, "", "Wrote found.qgz, open it in QGIS.\n")
    assert sources_of(tmp_path / "found.qgz")[-1] == "./scene.tif"
    assert "--overwrite" in cli("qgis", "project", "found.gpkg").err
    scene.rename(tmp_path / "renamed.tif")
    done = cli("qgis", "project", "found.gpkg", "--overwrite")
    assert done.code == 0
    assert "add it with --scene" in done.err
    assert sources_of(tmp_path / "found.qgz")[-1].endswith("|layername=raw")
    (tmp_path / "sub").mkdir()
    assert cli("qgis", "project", "found.gpkg", "--scene", "renamed.tif", "-o", "sub/p.qgz", "--quiet").out == ""
    assert sources_of(tmp_path / "sub" / "p.qgz")[-1] == "../renamed.tif"


def test_projects_of_other_files_are_refused(refused, scene, tmp_path):
    (tmp_path / "empty.gpkg").write_bytes(b"")
    assert "geopdn detect" in refused(3, "qgis", "project", "empty.gpkg")
    assert "geopdn detect" in refused(3, "qgis", "project", "missing.gpkg", "--scene", scene)
    assert ".qgz" in refused(2, "qgis", "project", "empty.gpkg", "-o", "a.txt")


@pytest.mark.parametrize(
    ("options", "bands"),
    [({}, ("1", "2", "3")), ({"count": 1}, ("1",)), ({"count": 4, "dtype": "uint16"}, ("1", "2", "3"))],
)
def test_scenes_show_their_first_bands(cli, exact, plant, tmp_path, options, bands):
    assert cli("detect", plant(tmp_path / "scene.tif"), "--model", exact, "-o", "found.gpkg").code == 0
    plant(tmp_path / "shown.tif", **options)
    assert cli("qgis", "project", "found.gpkg", "--scene", "shown.tif").code == 0
    renderer = tree_of(tmp_path / "found.qgz").find(".//rasterrenderer").attrib
    names = ("redBand", "greenBand", "blueBand") if len(bands) == 3 else ("grayBand",)
    assert tuple(renderer[name] for name in names) == bands


def test_limits_of_other_values_than_bytes_are_physical_percentiles(cli, exact, plant, tmp_path):
    assert cli("detect", plant(tmp_path / "scene.tif"), "--model", exact, "-o", "found.gpkg").code == 0
    plant(tmp_path / "shown.tif", count=1, dtype="uint16")
    values = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) % 1000
    with rasterio.open(tmp_path / "shown.tif", "r+") as target:
        target.write(values, 1)
        target.scales, target.offsets = (0.001,), (2.0,)
    assert cli("qgis", "project", "found.gpkg", "--scene", "shown.tif").code == 0
    root = tree_of(tmp_path / "found.qgz")
    low, high = (float(root.findtext(f".//contrastEnhancement/{name}")) for name in ("minValue", "maxValue"))
    assert (low, high) == (pytest.approx(2.02, abs=0.01), pytest.approx(2.98, abs=0.01))


def test_detections_carry_pictures_of_themselves(cli, exact, scene, tmp_path):
    assert cli("detect", scene, "--model", exact, "-o", "found.gpkg").code == 0
    table = geopandas.read_file(tmp_path / "found.gpkg", layer="detections")
    assert len(table) == len(PLACES)
    for picture in table.picture:
        image = np.asarray(Image.open(BytesIO(picture)).convert("L"), float)
        height, width = image.shape
        assert 48 <= height == width <= 160
        middle = image[height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4]
        assert middle.mean() > 200  # a bright target in the middle, dark ground in the corners
        assert image[:6, :6].mean() < 60
    assert cli("detect", scene, "--model", exact, "-o", "two.gpkg", "--pictures", "2").code == 0
    assert (
        geopandas.read_file(tmp_path / "two.gpkg", layer="detections").picture.notna().tolist()
        == [True] * 2 + [False] * 3
    )
    assert cli("detect", scene, "--model", exact, "-o", "none.gpkg", "--pictures", "0").code == 0
    assert "picture" not in geopandas.read_file(tmp_path / "none.gpkg", layer="detections").columns


def test_progress_for_programs_is_an_object_a_line(cli, exact, scene):
    done = cli("detect", scene, "--model", exact, "-o", "found.gpkg", "--progress-json", "--json")
    assert done.code == 0
    steps = [json.loads(line) for line in done.err.splitlines()]
    assert {step["stage"] for step in steps} == {"overview", "windows"}
    assert all(set(step) == {"stage", "done", "total", "found"} for step in steps)
    last = [step for step in steps if step["stage"] == "windows"][-1]
    assert last["done"] == last["total"] == done.record["windows"]
    assert last["found"] >= done.record["detections"]


def test_install_says_what_it_does_and_a_dry_run_does_nothing(cli, tmp_path, monkeypatch):
    profile = tmp_path / "profile"
    profile.mkdir()
    script = profile / "processing" / "scripts" / "geopdn_detect.py"
    done = cli("qgis", "install", "--profile", profile, "--dry-run")
    assert done.out == f"Would write {script}, which runs {' '.join(program())}\n"
    assert list(profile.iterdir()) == []
    done = cli("qgis", "install", "--profile", profile)
    assert done.out.startswith(f"Wrote {script}, which runs")
    assert f"COMMAND = {json.dumps(program())}" in script.read_text(encoding="utf-8")
    assert '"aircraft-50cm"' in script.read_text(encoding="utf-8")
    done = cli("qgis", "uninstall", "--profile", profile)
    assert done.out.splitlines()[0] == f"Removed {script}"
    assert list(profile.iterdir()) == []
    assert cli("qgis", "uninstall", "--profile", profile).out == f"Nothing of geopdn's in {profile}\n"
    monkeypatch.setenv("QGIS_CUSTOM_CONFIG_PATH", str(tmp_path / "config"))
    cli("qgis", "install")
    assert (tmp_path / "config/profiles/default/processing/scripts/geopdn_detect.py").is_file()


def test_installing_over_a_file_of_the_users_is_refused(refused, tmp_path):
    scripts = tmp_path / "profile" / "processing" / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "geopdn_detect.py").write_text("mine")
    for command in (["install"], ["install", "--dry-run"], ["uninstall"]):
        assert "left alone" in refused(6, "qgis", *command, "--profile", tmp_path / "profile")


def test_the_program_that_is_recorded_runs_this_geopdn():
    import subprocess

    done = subprocess.run([*program(), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("geopdn 0.")
    assert shutil.which(program()[0])
    assert Path(program()[0]).parent == Path(sys.executable).parent


def test_every_command_of_qgis_has_help_with_an_example(cli):
    for command in ("project", "install", "uninstall"):
        done = cli("qgis", command, "--help")
        assert done.code == 0
        assert f"Example: geopdn qgis {command}" in " ".join(done.out.split())
