"""The styles are small well-formed XML whatever the class names; QGIS itself reads them in test_qgis.py."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree as ET

import pytest

from geopdn.output.fields import FIELDS
from geopdn.output.qml import NULL
from geopdn.output.styles import Shown, detection_styles, layer_styles, window_styles


def test_detections_are_coloured_by_class_and_thicker_where_sure() -> None:
    first, *_ = detection_styles(Shown(("aircraft",), 3))
    root = ET.fromstring(first.qml())
    renderer = root.find("renderer-v2")
    assert (renderer.attrib["type"], renderer.attrib["attr"]) == ("categorizedSymbol", "label")
    assert [c.attrib["value"] for c in root.iter("category")] == ["aircraft"]
    widths = [o.attrib["value"] for o in renderer.iter("Option") if o.attrib.get("name") == "expression"]
    assert widths == ['scale_linear("score", 0.3, 0.9, 0.3, 0.8)']
    assert root.attrib["labelsEnabled"] == "1"
    assert root.find(".//rendering").attrib["scaleMax"] == "7500"
    assert '"score"' in root.find(".//text-style").attrib["fieldName"]


def test_the_other_style_of_detections_is_by_score_over_the_whole_range() -> None:
    root = ET.fromstring(detection_styles(Shown(("aircraft",), 3))[1].qml())
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


@pytest.mark.parametrize("n", [0, 1, 2, 4, 5, 12, 1001])
def test_the_order_of_visit_covers_every_window_once(n) -> None:
    by_scale, by_visit = window_styles(Shown(("a",), n))
    assert (by_scale.name, by_visit.name) == ("by scale", "by order of visit")
    root = ET.fromstring(by_visit.qml())
    assert root.find("renderer-v2").attrib["attr"] == "id"
    ranges = [(float(r.attrib["lower"]), float(r.attrib["upper"])) for r in root.iter("range")]
    held = [sum(low < number < high for low, high in ranges) for number in range(n)]
    assert held == [1] * n
    sizes = [high - low for low, high in ranges]
    assert max(sizes) - min(sizes) <= 1
    assert len(list(root.iter("symbol"))) == len(ranges) == max(min(n, 5), 1)


@pytest.mark.parametrize("name", ['<a & "b">', "c\x00d\x1b", "✈", "x" * 10_000, "it's"])
def test_class_names_are_escaped(name) -> None:
    root = ET.fromstring(detection_styles(Shown(("plain", name), 3, pixel_size_m=10))[0].qml())
    values = [c.attrib["value"] for c in root.iter("category")]
    assert values == ["plain", name.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")]


def test_every_layer_has_styles_of_a_few_kilobytes_with_aliases_and_a_map_tip(make_result) -> None:
    styles = layer_styles(Shown.of(make_result(1)))
    assert list(styles) == ["detections", "windows", "run", "raw", "failures"]
    for layer, several in styles.items():
        for style in several:
            assert len(style.qml()) < 10_000
            root = ET.fromstring(style.qml())
            aliases = {alias.attrib["field"]: alias.attrib["name"] for alias in root.iter("alias")}
            assert aliases == {name: field.alias for name, field in FIELDS[layer].items()}
            assert "[%" in root.findtext("mapTip")
    assert 'value="dash"' in styles["windows"][0].qml()
    assert "failed" in styles["windows"][0].qml()
    assert 'value="dot"' in styles["raw"][0].qml()
    assert list(layer_styles(Shown.of(make_result(1, with_raw=False)))) == ["detections", "windows", "run", "failures"]


def test_names_of_fields_are_unique_in_their_layer() -> None:
    for fields in FIELDS.values():
        assert len({field.alias for field in fields.values()}) == len(fields)


def test_a_form_offers_the_reviews_and_starts_drawn_polygons_as_missed() -> None:
    root = ET.fromstring(detection_styles(Shown(("it's", "b"), 3))[0].qml())
    lists = {
        field.attrib["name"]: [o.attrib["value"] for o in field.iter("Option") if o.attrib["type"] == "QString"]
        for field in root.find("fieldConfiguration")
    }
    assert lists == {"label": [NULL, "it's", "b"], "review": [NULL, "right", "wrong", "missed"]}
    starts = {d.attrib["field"]: d.attrib["expression"] for d in root.iter("default")}
    assert starts == {"label": "", "review": "'missed'"}
    alone = ET.fromstring(detection_styles(Shown(("it's",), 3))[0].qml())
    assert next(d for d in alone.iter("default") if d.attrib["field"] == "label").attrib["expression"] == "'it''s'"
