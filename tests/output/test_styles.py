"""The styles are small well-formed XML whatever the class names; QGIS itself reads them in test_qgis.py."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree as ET

import pytest

from geopdn.output.styles import detections_qml, layer_styles, windows_qml


def test_one_class_is_coloured_by_score_over_the_whole_range() -> None:
    root = ET.fromstring(detections_qml(["aircraft"], pixel_size_m=0.5))
    renderer = root.find("renderer-v2")
    assert renderer.attrib["type"] == "graduatedSymbol"
    assert renderer.attrib["attr"] == "score"
    ranges = [(float(r.attrib["lower"]), float(r.attrib["upper"])) for r in renderer.iter("range")]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == 1
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))
    symbols = {s.attrib["name"] for s in renderer.iter("symbol")}
    assert {r.attrib["symbol"] for r in renderer.iter("range")} == symbols
    fills = [o.attrib["value"] for o in renderer.iter("Option") if o.attrib.get("name") == "style"]
    assert fills == ["no"] * 4
    assert root.attrib["labelsEnabled"] == "1"
    assert root.find(".//rendering").attrib["scaleMax"] == "7500"


@pytest.mark.parametrize("name", ['<a & "b">', "c\x00d\x1b", "✈", "x" * 10_000, "it's"])
def test_class_names_are_escaped(name) -> None:
    root = ET.fromstring(detections_qml(["plain", name], pixel_size_m=10))
    values = [c.attrib["value"] for c in root.iter("category")]
    assert values == ["plain", name.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")]


def test_every_layer_has_a_style_of_a_few_kilobytes(make_result) -> None:
    styles = layer_styles(make_result(1))
    assert list(styles) == ["detections", "windows", "run", "raw"]
    assert all(len(qml) < 4000 for qml in styles.values())
    assert "failed" in windows_qml()
    assert 'value="dash"' in styles["windows"]
    assert 'value="dot"' in styles["raw"]
    assert list(layer_styles(make_result(1, with_raw=False))) == ["detections", "windows", "run"]
