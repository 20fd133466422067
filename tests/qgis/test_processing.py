"""The algorithm in QGIS: end to end on the sample scene, its layers on the map, its words to geopdn, cancelling."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import geopandas
import pytest
from headless_qgis import in_qgis, qgis_process, require_qgis

from geopdn.cli.qgis import program
from geopdn.qgis.install import install

pytestmark = pytest.mark.qgis

SCENE = Path(__file__).parents[2] / "sample_scenes" / "airport.tif"

FAKE = """#!{python}
import json, os, shutil, signal, sys, time
given = sys.argv[1:]
output = given[given.index("-o") + 1]
folder = {folder!r}
area = given[given.index("--aoi") + 1] if "--aoi" in given else None
if area:
    shutil.copy(area, os.path.join(folder, "area.gpkg"))
with open(os.path.join(folder, "call.json"), "w") as file:
    json.dump({{"given": given, "variables": sorted(os.environ)}}, file)
def ended(*_):
    open(os.path.join(folder, "ended"), "w").close()
    print("error: interrupted: no unfinished output was kept", file=sys.stderr)
    sys.exit(130)
signal.signal(signal.SIGTERM, ended)
say = lambda **at: print(json.dumps(at), file=sys.stderr, flush=True)
print("using the model m", file=sys.stderr, flush=True)
say(stage="overview", done=1, total=1, found=0)
say(stage="windows", done=2, total=4, found=7)
if {wait}:
    open(output, "w").close()
    time.sleep(60)
if {code} not in (0, 5):
    print("error: it cannot be used", file=sys.stderr)
    sys.exit({code})
shutil.copy({result!r}, output)
print(json.dumps(dict(detections=3, windows=4, share=0.5, failures=[{{}}] * ({code} == 5))))
sys.exit({code})
"""

RUN = """
sys.path.append(os.path.join(QgsApplication.pkgDataPath(), "python", "plugins"))
import importlib.util
import processing
from processing.core.Processing import Processing
from qgis.PyQt.QtCore import QTimer
Processing.initialize()
spec = importlib.util.spec_from_file_location("geopdn_detect", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(module)
parameters, cancel = json.loads(sys.argv[2]), json.loads(sys.argv[3])
class Feedback(QgsProcessingFeedback):
    def __init__(self):
        super().__init__(False)
        self.said, self.at = [], []
        self.progressChanged.connect(self.at.append)
    def setProgressText(self, text):
        self.said.append(text)
        if cancel and text.startswith("2 of 4"):
            self.cancel()
    def pushInfo(self, text):
        self.said.append(text)
    def reportError(self, text, fatalError=False):
        self.said.append("error " + text)
feedback, error, results = Feedback(), "", None
try:
    for _ in range(int(sys.argv[4])):
        QgsProject.instance().clear()
        results = processing.runAndLoadResults(module.GeopdnDetect(), parameters, feedback=feedback)
except Exception as problem:
    error = str(problem)
layers = QgsProject.instance().mapLayers().values()
order = [node.name() for node in QgsProject.instance().layerTreeRoot().findLayers()]
seen = {
    "results": results, "error": error, "said": feedback.said, "at": feedback.at, "order": order,
    "layers": {
        layer.name(): [layer.isValid(), layer.renderer().type(), layer.mapTipTemplate() != "", layer.featureCount()]
        for layer in layers
    },
}
"""


@pytest.fixture(name="profile")
def _profile(tmp_path) -> Path:
    """A profile with the script for this geopdn; QGIS's home is the folder above its profiles."""
    require_qgis()
    profile = tmp_path / "home" / "profiles" / "default"
    install(profile, command=program(), models=["aircraft-50cm"])
    return profile


@pytest.fixture(name="run")
def _run(tmp_path, profile, saved_result):
    """Run the algorithm with a program that stands for geopdn; also returns what that was asked for."""

    def run(
        *, wait: bool = False, code: int = 0, cancel: bool = False, times: int = 1, **parameters: object
    ) -> tuple[dict, dict]:
        fake = tmp_path / "stand in"
        text = FAKE.format(python=sys.executable, folder=str(tmp_path), wait=wait, code=code, result=str(saved_result))
        fake.write_text(text, encoding="utf-8")
        fake.chmod(0o755)
        given = {"SCENE": str(SCENE), "OUTPUT": str(tmp_path / "out" / "found.gpkg"), "EXECUTABLE": str(fake)}
        script = profile / "processing" / "scripts" / "geopdn_detect.py"
        asked = json.dumps(given | parameters)
        seen = in_qgis(RUN, script, asked, json.dumps(cancel), times, home=tmp_path / "home")
        call = tmp_path / "call.json"
        return seen, json.loads(call.read_text()) if call.exists() else {}

    return run


def value(given: list[str], option: str) -> str:
    return given[given.index(option) + 1]


def test_layers_are_added_in_their_styles_and_progress_is_shown(run, tmp_path) -> None:
    seen, call = run(BUDGET="0.2", MIN_SCORE=0.4, times=2)  # an analyst searches more than once
    assert seen["error"] == ""
    assert seen["results"] == {"OUTPUT": str(tmp_path / "out" / "found.gpkg"), "DETECTIONS": 3, "WINDOWS": 4}
    assert seen["order"] == ["found detections", "found windows"]
    assert seen["layers"]["found detections"] == [True, "categorizedSymbol", True, 3]
    assert seen["layers"]["found windows"] == [True, "categorizedSymbol", True, 4]
    assert seen["at"][:2] == [15, 57.5]
    assert "2 of 4 windows, 7 found" in seen["said"]
    assert "using the model m" in seen["said"]
    assert seen["said"].count("Found 3 objects in 4 windows, 50.0 % of the pixels.") == 2
    given = call["given"]
    assert given[:4] == ["detect", str(SCENE), "--json", "--progress-json"]
    assert (value(given, "--budget"), value(given, "--min-score")) == ("0.2", "0.4")
    assert not {"--recall", "--model", "--aoi"} & set(given)
    assert not [name for name in call["variables"] if name.startswith(("PYTHONPATH", "PYTHONHOME", "PROJ_", "GDAL_"))]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["found.gpkg"]


def test_model_recall_and_area_reach_geopdn(run, tmp_path) -> None:
    seen, call = run(MODEL="aircraft-50cm", RECALL=0.9, EXTENT="431100,431600,4868000,4868500 [EPSG:32631]")
    assert seen["error"] == ""
    given = call["given"]
    assert (value(given, "--model"), value(given, "--recall")) == ("aircraft-50cm", "0.9")
    area = geopandas.read_file(tmp_path / "area.gpkg")
    assert area.crs.to_epsg() == 32631
    assert area.total_bounds.tolist() == [431100, 4868000, 431600, 4868500]
    assert "--previous" not in given
    own = tmp_path / "own.safetensors"
    own.write_bytes(b"")
    polygons = tmp_path / "polygons.geojson"
    area.to_crs(4326).to_file(polygons)
    earlier = [str(shutil.copyfile(SCENE, tmp_path / f"{name}.tif")) for name in ("may", "june")]
    seen, call = run(WEIGHTS=str(own), AREA=str(polygons), PREVIOUS=earlier)
    assert seen["error"] == ""
    assert [call["given"][i + 1] for i, word in enumerate(call["given"]) if word == "--previous"] == earlier
    assert (value(call["given"], "--model"), value(call["given"], "--recall")) == (str(own), "0.98")
    again = geopandas.read_file(tmp_path / "area.gpkg")
    assert again.crs.to_epsg() == 4326
    assert again.to_crs(32631).total_bounds == pytest.approx(area.total_bounds, abs=0.01)


def test_cancelling_ends_the_search_and_leaves_nothing(run, tmp_path) -> None:
    seen, _ = run(wait=True, cancel=True)
    assert (tmp_path / "ended").exists()  # it was asked to end, and could tidy up
    assert seen["layers"] == {}
    assert any("Cancelled" in text for text in seen["said"])
    assert list((tmp_path / "out").iterdir()) == []


def test_failures_are_told_in_the_words_of_geopdn(run, tmp_path) -> None:
    seen, _ = run(code=3)
    assert "geopdn ended with 3: error: it cannot be used" in seen["error"]
    assert seen["layers"] == {}
    assert list((tmp_path / "out").iterdir()) == []
    seen, _ = run(code=5)
    assert seen["error"] == ""
    assert "error 1 windows could not be read: see the layer failures" in seen["said"]
    assert len(seen["layers"]) == 2
    seen, _ = run(EXECUTABLE=str(tmp_path / "nothing here"))
    assert "run `geopdn qgis install` again" in seen["error"]


def test_qgis_process_searches_the_sample_scene(profile, tmp_path) -> None:
    output = tmp_path / "found.gpkg"
    done = qgis_process(
        "run", "script:geopdn_detect", "--", f"SCENE={SCENE}", "BUDGET=2w", f"OUTPUT={output}", home=tmp_path / "home"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = geopandas.read_file(output, layer="detections")
    assert f"DETECTIONS:\t{len(found)}" in done.stdout
    assert len(found) >= 3
    assert found.picture.notna().all()
    assert len(geopandas.read_file(output, layer="windows")) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"found.gpkg", "home"}


def test_the_environment_variable_names_the_program(profile, tmp_path) -> None:
    done = qgis_process(
        *("run", "script:geopdn_detect", "--", f"SCENE={SCENE}", f"OUTPUT={tmp_path / 'a.gpkg'}"),
        home=tmp_path / "home",
        GEOPDN_EXECUTABLE=str(tmp_path / "elsewhere"),
    )
    assert f"geopdn is not at {tmp_path / 'elsewhere'}" in done.stdout + done.stderr
