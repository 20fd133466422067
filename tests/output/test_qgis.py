"""Headless QGIS opens what was written: layers valid, in place, in their default style."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import pytest
from headless_qgis import SYSTEM_PYTHON, environment, in_qgis, require_qgis

from geopdn.output.fields import FIELDS
from geopdn.output.frames import detection_batches
from geopdn.output.write import write_result

pytestmark = pytest.mark.qgis

ODD = '<ves&sel "é">'

LOOK = """
seen = []
for source in sys.argv[1:]:
    layer = QgsVectorLayer(source, "layer", "ogr")
    renderer, extent, context = layer.renderer(), layer.extent(), QgsRenderContext()
    renderer.startRender(context, layer.fields())
    colours, tips = [], []
    scopes = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    for feature in layer.getFeatures():
        context.expressionContext().setFeature(feature)
        scopes.setFeature(feature)
        symbol = renderer.symbolForFeature(feature, context)
        colours.append(symbol.symbolLayer(0).strokeColor().name() if symbol else None)
        tips.append(QgsExpression.replaceExpressionText(layer.mapTipTemplate(), scopes))
    renderer.stopRender(context)
    seen.append({
        "valid": layer.isValid(),
        "count": layer.featureCount(),
        "crs": layer.crs().authid(),
        "extent": [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()],
        "renderer": renderer.type(),
        "by": renderer.classAttribute() if hasattr(renderer, "classAttribute") else "",
        "legend": [item.label() for item in renderer.legendSymbolItems()],
        "colours": colours,
        "tips": tips,
        "aliases": {field.name(): field.alias() for field in layer.fields()},
        "hidden": [column.name for column in layer.attributeTableConfig().columns() if column.hidden],
        "label": layer.labeling().settings().fieldName if layer.labelsEnabled() and layer.labeling() else "",
        "problems": problems,
    })
"""


@pytest.fixture(name="look")
def _look(tmp_path_factory):
    """What QGIS says of the layers of those sources."""
    require_qgis()
    return lambda *sources: in_qgis(LOOK, *sources, home=tmp_path_factory.mktemp("qgis"))


def test_geopackages_open_in_place_and_in_style(make_result, tmp_path, look) -> None:
    boxes = [[100, 50, 200, 100, 0], [1948, 974, 200, 100, 0]]  # columns 0-2048, rows 0-1024: the whole scene
    one = write_result(make_result(boxes=boxes), tmp_path / "one.gpkg")
    many = write_result(make_result(40, classes=("aircraft", ODD)), tmp_path / "many.gpkg")
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

    assert [text for text in seen[-1]["problems"] if "transform between  and" not in text] == []  # of pixels to degrees
    assert detections["renderer"] == none["renderer"] == upright["renderer"] == "categorizedSymbol"
    assert detections["by"] == "label"
    assert set(detections["colours"]) == {"#ff2d78"}
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
    assert several["legend"] == ["aircraft", ODD]
    assert sorted(set(several["colours"])) == ["#00e5ff", "#ff2d78"]


def test_fields_have_names_with_units(make_result, tmp_path, look) -> None:
    path = write_result(make_result(3), tmp_path / "a.gpkg")
    for layer, seen in zip(FIELDS, look(*(f"{path}|layername={name}" for name in FIELDS)), strict=True):
        known = {name: alias for name, alias in seen["aliases"].items() if name in FIELDS[layer]}
        assert known == {name: field.alias for name, field in FIELDS[layer].items() if name in known}
        assert len(known) >= len(FIELDS[layer]) - 3  # pictures, and facts that this run has not


def test_the_map_tip_shows_picture_score_size_heading_and_window_and_escapes_names(make_result, tmp_path, look) -> None:
    result = make_result(boxes=[[300, 200, 40, 20, 0], [900, 600, 40, 20, 0.5]], classes=(ODD,))
    result = replace(result, pictures=(b"not quite a jpeg",), frame=replace(result.frame, name="a<b>.tif"))
    path = write_result(result, tmp_path / "a.gpkg")
    detections, windows, run, raw, failures = look(*(f"{path}|layername={name}" for name in FIELDS))
    first, second = detections["tips"]
    assert 'src="data:image/jpeg;base64,bm90IHF1aXRlIGEganBlZw=="' in first
    assert "<img" not in second
    for tip, score in zip((first, second), result.detections.score, strict=True):
        assert f'<b>&lt;ves&amp;sel "é"&gt;</b> {score:.2f}' in tip
        assert "size 20.0 × 10.0 m" in tip
        assert "° or " in tip
        assert "scene a&lt;b&gt;.tif" in tip
        assert "taken 2026-05-01 10:11 UTC" in tip
        assert "[%" not in tip
    places = [f"seen in window {number}, full resolution" for number in result.detections.window]
    assert sorted(places) == ["seen in window 0, full resolution", "seen in window 1, full resolution"]
    assert places[0] in first
    assert places[1] in second
    headings = next(detection_batches(result)).heading_deg.round().astype(int).tolist()
    assert sorted(headings) == [90, 119]  # the second is turned by half a radian
    for heading, tip in zip(headings, (first, second), strict=True):
        assert f"heading {heading}° or {heading + 180}°" in tip
    assert detections["hidden"] == ["picture"]
    assert "(round 0, plan)<br/>read at full resolution<br/>expected 1.5 objects" in windows["tips"][0]
    assert "not read corrupt tile &lt;3, 1&gt;" in windows["tips"][3]
    assert "37.5 % of the pixels, 4 windows<br/>estimated recall 0.98" in run["tips"][0]
    assert "seen in window" in raw["tips"][0]
    assert failures["tips"] == ["<b>window 3 could not be read</b><br/>corrupt tile &lt;3, 1&gt;"]


def test_without_heading_and_pictures_the_tip_has_no_such_line(make_result, tmp_path, look) -> None:
    path = write_result(make_result(1, has_heading=False, datetime=""), tmp_path / "a.gpkg")
    ((tip,),) = (layer["tips"] for layer in look(f"{path}|layername=detections"))
    assert "heading" not in tip
    assert "taken" not in tip
    assert "<img" not in tip
    assert "size" in tip


VALIDATE = """
import json, sys
from osgeo_utils.samples import validate_gpkg
print(json.dumps([
    str(problem)
    for path in sys.argv[1:]
    for problem in validate_gpkg.check(path, abort_at_first_error=False, extra_checks=True, warning_as_error=True)
]))
"""


def test_the_validator_of_gdal_finds_nothing_in_columns_names_and_pictures(make_result, tmp_path) -> None:
    require_qgis()
    paths = []
    for name, count in (("some", 20), ("none", 0)):
        result = replace(make_result(count), pictures=(b"a", b"b")[:count])
        paths.append(str(write_result(result, tmp_path / f"{name}.gpkg")))
    command = [SYSTEM_PYTHON, "-c", VALIDATE, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(tmp_path / "home"))
    if "No module named 'osgeo_utils'" in done.stderr:
        pytest.skip("gdal-utils is not installed (Debian: python3-gdal)")
    assert json.loads(done.stdout.splitlines()[-1]) == [], done.stderr


@pytest.mark.parametrize("ending", [".geojson", ".fgb"])
def test_sidecar_styles_are_taken(make_result, tmp_path, look, ending) -> None:
    path = write_result(make_result(30), tmp_path / f"a{ending}")
    (layer,) = look(path)
    assert layer["valid"]
    assert layer["count"] == 30
    assert layer["crs"] == ("EPSG:4326" if ending == ".geojson" else "EPSG:32631")
    assert layer["renderer"] == "categorizedSymbol"
    assert "size" in layer["tips"][0]
    assert layer["aliases"]["length_m"] == "Length (m)"
    assert None not in layer["colours"]
    if ending == ".geojson":
        west, south, east, north = layer["extent"]
        assert 3.0 < west < east < 3.02  # the scene lies on UTM 31's central meridian, three degrees east
        assert 45.14 < south < north < 45.16


DRAW = """
layer = QgsVectorLayer(sys.argv[1], "layer", "ogr")
number = layer.fields().indexOf("review")
widget = layer.editorWidgetSetup(number)
layer.startEditing()
drawn = QgsVectorLayerUtils.createFeature(layer, QgsGeometry.fromRect(QgsRectangle(500100, 4999900, 500120, 4999920)))
added = layer.addFeature(drawn)
first = layer.getFeature(1)
changed = layer.changeAttributeValue(first.id(), number, "wrong")
seen = {
    "widget": widget.type(),
    "map": widget.config()["map"],
    "added": added and changed,
    "committed": layer.commitChanges(),
    "errors": layer.commitErrors(),
    "problems": problems,
}
"""


def test_a_form_reviews_detections_and_a_drawn_polygon_is_a_missed_one(make_result, tmp_path) -> None:
    import geopandas

    path = write_result(make_result(3), tmp_path / "a.gpkg")
    seen = in_qgis(DRAW, f"{path}|layername=detections", home=tmp_path / "home")
    assert seen["widget"] == "ValueMap"
    assert [next(iter(choice)) for choice in seen["map"]] == ["not reviewed", "right", "wrong", "missed"]
    assert seen["added"], seen
    assert seen["committed"], seen["errors"]
    table = geopandas.read_file(path, layer="detections")
    assert [value or "" for value in table.review.astype(object).where(table.review.notna(), "")] == [
        "wrong",
        "",
        "",
        "missed",
    ]
    assert table.label.tolist() == ["aircraft"] * 4
    assert table.score.isna().tolist() == [False] * 3 + [True]
