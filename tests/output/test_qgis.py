"""Headless QGIS opens what was written: layers valid, in place, in their default style."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from geopdn.output.write import write_result

pytestmark = pytest.mark.qgis

SYSTEM_PYTHON = "/usr/bin/python3"  # QGIS's bindings belong to the system's Python

LOOK = """
import json, os, sys
from qgis.core import QgsApplication, QgsRenderContext, QgsVectorLayer
app = QgsApplication([], False)
app.initQgis()
seen = []
for source in sys.argv[1:]:
    layer = QgsVectorLayer(source, "layer", "ogr")
    renderer, extent, context = layer.renderer(), layer.extent(), QgsRenderContext()
    renderer.startRender(context, layer.fields())
    colours = []
    for feature in layer.getFeatures():
        context.expressionContext().setFeature(feature)
        symbol = renderer.symbolForFeature(feature, context)
        colours.append(symbol.symbolLayer(0).strokeColor().name() if symbol else None)
    renderer.stopRender(context)
    seen.append({
        "valid": layer.isValid(),
        "count": layer.featureCount(),
        "crs": layer.crs().authid(),
        "extent": [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()],
        "renderer": renderer.type(),
        "legend": [item.label() for item in renderer.legendSymbolItems()],
        "colours": colours,
        "label": layer.labeling().settings().fieldName if layer.labelsEnabled() and layer.labeling() else "",
    })
print(json.dumps(seen), flush=True)
os._exit(0)  # leaving by exitQgis() with layers alive crashes QGIS 3.22
"""


def _run(script: str, *arguments: object, runtime: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment |= {"QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(runtime or "/nonexistent")}
    command = [SYSTEM_PYTHON, "-c", script, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=environment)


@cache
def _has_qgis() -> bool:
    return Path(SYSTEM_PYTHON).exists() and _run("import qgis.core").returncode == 0


@pytest.fixture(name="look")
def _look(tmp_path_factory):
    """What QGIS says of the layers of those sources."""
    if not _has_qgis():
        pytest.skip(f"{SYSTEM_PYTHON} cannot import qgis.core (Debian: python3-qgis and qgis-providers)")
    runtime = tmp_path_factory.mktemp("runtime")
    runtime.chmod(0o700)

    def look(*sources: object) -> list[dict]:
        done = _run(LOOK, *sources, runtime=runtime)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return look


def test_geopackages_open_in_place_and_in_style(make_result, tmp_path, look) -> None:
    boxes = [[100, 50, 200, 100, 0], [1948, 974, 200, 100, 0]]  # columns 0-2048, rows 0-1024: the whole scene
    one = write_result(make_result(boxes=boxes), tmp_path / "one.gpkg")
    many = write_result(make_result(40, classes=("aircraft", '<ves&sel "é">')), tmp_path / "many.gpkg")
    empty = write_result(make_result(0), tmp_path / "empty.gpkg")
    pixels = write_result(make_result(boxes=boxes, crs=None), tmp_path / "pixels.gpkg")
    sources = [f"{one}|layername={layer}" for layer in ("detections", "windows", "run", "raw")]
    sources += [f"{path}|layername=detections" for path in (many, empty, pixels)]
    detections, windows, run, raw, several, none, upright = seen = look(*sources)
    assert all(layer["valid"] for layer in seen)
    assert [layer["count"] for layer in seen] == [2, 4, 1, 4, 40, 0, 2]
    assert [layer["crs"] for layer in seen] == ["EPSG:32631"] * 6 + [""]
    scene = [500_000, 4_999_488, 501_024, 5_000_000]
    assert detections["extent"] == run["extent"] == scene
    assert windows["extent"] == [500_000, 4_999_744, 501_024, 5_000_000]
    assert upright["extent"] == [0, -1024, 2048, 0]

    assert detections["renderer"] == none["renderer"] == upright["renderer"] == "graduatedSymbol"
    assert set(detections["colours"]) <= {"#00e5ff", "#7cff00", "#ffdd00", "#ff2d78"}
    assert '"score"' in detections["label"]
    assert windows["renderer"] == "categorizedSymbol"
    assert windows["colours"] == ["#ffffff", "#ffffff", "#ffd666", "#ff0000"]
    assert windows["legend"][0] == "full resolution"
    assert run["renderer"] == "singleSymbol"
    assert run["colours"] == ["#8c8c8c"]
    assert raw["renderer"] == "categorizedSymbol"
    assert set(raw["colours"]) <= {"#8c8c8c", "#ff8c00"}
    assert raw["label"] == ""
    assert several["renderer"] == "categorizedSymbol"
    assert several["legend"] == ["aircraft", '<ves&sel "é">']
    assert sorted(set(several["colours"])) == ["#00e5ff", "#ff2d78"]


@pytest.mark.parametrize("ending", [".geojson", ".fgb"])
def test_sidecar_styles_are_taken(make_result, tmp_path, look, ending) -> None:
    path = write_result(make_result(30), tmp_path / f"a{ending}")
    (layer,) = look(path)
    assert layer["valid"]
    assert layer["count"] == 30
    assert layer["crs"] == ("EPSG:4326" if ending == ".geojson" else "EPSG:32631")
    assert layer["renderer"] == "graduatedSymbol"
    assert None not in layer["colours"]
    if ending == ".geojson":
        west, south, east, north = layer["extent"]
        assert 3.0 < west < east < 3.02  # the scene lies on UTM 31's central meridian, three degrees east
        assert 45.14 < south < north < 45.16
