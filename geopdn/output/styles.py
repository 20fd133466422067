"""QGIS styles (QML, QGIS 3.22 and newer) of the layers: outlines only, so that the imagery stays visible."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopdn.detections import RunResult

_SCORE_CLASSES = ((0.0, 0.3, "0,229,255"), (0.3, 0.5, "124,255,0"), (0.5, 0.7, "255,221,0"), (0.7, 1.0, "255,45,120"))
_CLASS_COLOURS = ("255,45,120", "0,229,255", "255,221,0", "124,255,0", "255,140,0", "200,120,255", "255,255,255")
_SCALE_COLOURS = {"1": "255,255,255", "2": "255,214,102", "4": "102,204,255", "8": "178,140,255"}
_RAW_COLOURS = ("140,140,140", "255,140,0")
_FAILED_COLOUR, _FOOTPRINT_COLOUR = "255,0,0", "140,140,140"

# Labels appear once about four scene pixels or fewer share one screen pixel (0.26 mm).
_LABEL_SCALE_PER_M = 15_000
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def layer_styles(result: RunResult) -> dict[str, str]:
    """The QML of each layer by its name, in the order of the layers."""
    size = result.facts.get("pixel_size_m")
    styles = {
        "detections": detections_qml(result.classes, pixel_size_m=float(size) if size else 0.5),
        "windows": windows_qml(),
        "run": _document(_renderer("singleSymbol", "", "", [_symbol("0", _FOOTPRINT_COLOUR, width_mm=0.4)])),
    }
    return styles if result.raw is None else {**styles, "raw": raw_qml()}


def detections_qml(classes: Sequence[str], *, pixel_size_m: float) -> str:
    """Bright outlines coloured by score, or by class where there are several; label and score at large scales."""
    if len(classes) == 1:
        groups = "".join(
            f'<range lower="{low}" upper="{high}" symbol="{n}" label="{low} - {high}" render="true"/>'
            for n, (low, high, _) in enumerate(_SCORE_CLASSES)
        )
        symbols = [_symbol(str(n), colour) for n, (_, _, colour) in enumerate(_SCORE_CLASSES)]
        renderer = _renderer("graduatedSymbol", "score", f"<ranges>{groups}</ranges>", symbols)
    else:
        values = [(name, name) for name in classes]
        colours = [_CLASS_COLOURS[n % len(_CLASS_COLOURS)] for n in range(len(classes))]
        symbols = [_symbol(str(n), colour) for n, colour in enumerate(colours)]
        renderer = _renderer("categorizedSymbol", "label", _categories(values), symbols)
    return _document(renderer + _labels(pixel_size_m * _LABEL_SCALE_PER_M), labels=True)


def windows_qml() -> str:
    """Thin dashed outlines coloured by the scale that was read; failed windows in red."""
    values = [(scale, f"1:{scale}" if scale != "1" else "full resolution") for scale in _SCALE_COLOURS]
    values.append(("failed", "failed"))
    colours = [*_SCALE_COLOURS.values(), _FAILED_COLOUR]
    symbols = [_symbol(str(n), colour, width_mm=0.2, line="dash") for n, colour in enumerate(colours)]
    kind = """if("status" = 'failed', 'failed', to_string(min("scale", 8)))"""
    return _document(_renderer("categorizedSymbol", kind, _categories(values), symbols))


def raw_qml() -> str:
    """Hair-thin dotted grey outlines; pieces cut by a window's edge in orange."""
    values = [("0", "raw box"), ("1", "cut by the edge of its window")]
    symbols = [_symbol(str(n), colour, width_mm=0.1, line="dot", alpha=0.5) for n, colour in enumerate(_RAW_COLOURS)]
    return _document(_renderer("categorizedSymbol", 'to_int("cut")', _categories(values), symbols))


def _categories(values: Sequence[tuple[str, str]]) -> str:
    rows = (
        f'<category value={_quoted(value)} type="string" label={_quoted(label)} symbol="{n}" render="true"/>'
        for n, (value, label) in enumerate(values)
    )
    return f"<categories>{''.join(rows)}</categories>"


def _renderer(kind: str, attribute: str, groups: str, symbols: Sequence[str]) -> str:
    attr = f" attr={_quoted(attribute)}" if attribute else ""
    return (
        f'<renderer-v2 type="{kind}"{attr} symbollevels="0">{groups}<symbols>{"".join(symbols)}</symbols></renderer-v2>'
    )


def _symbol(name: str, colour: str, *, width_mm: float = 0.46, line: str = "solid", alpha: float = 1) -> str:
    """A polygon symbol without a fill."""
    options = {
        "style": "no",
        "outline_color": f"{colour},255",
        "outline_style": line,
        "outline_width": f"{width_mm}",
        "outline_width_unit": "MM",
        "joinstyle": "miter",
    }
    rows = "".join(f'<Option type="QString" name="{key}" value="{value}"/>' for key, value in options.items())
    layer = f'<layer class="SimpleFill" enabled="1" pass="0"><Option type="Map">{rows}</Option></layer>'
    return f'<symbol type="fill" name="{name}" alpha="{alpha:g}">{layer}</symbol>'


def _labels(largest_scale: float) -> str:
    expression = _quoted("""coalesce("label", '') || ' ' || format_number("score", 2)""")
    return (
        '<labeling type="simple"><settings>'
        f'<text-style fieldName={expression} isExpression="1" fontSize="9" fontSizeUnit="Point" fontWeight="75"'
        ' textColor="255,255,255,255" textOpacity="1" namedStyle="Bold">'
        '<text-buffer bufferDraw="1" bufferSize="0.5" bufferSizeUnits="MM" bufferColor="20,20,20,255"'
        ' bufferNoFill="1" bufferOpacity="0.8"/></text-style>'
        '<placement placement="8" dist="0.6" distUnits="MM"/>'  # outside the polygon
        f'<rendering drawLabels="1" scaleVisibility="1" scaleMin="1" scaleMax="{largest_scale:.0f}"/>'
        "</settings></labeling>"
    )


def _document(body: str, *, labels: bool = False) -> str:
    head = f'<qgis version="3.22.0" styleCategories="Symbology|Labeling" labelsEnabled="{int(labels)}">'
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{head}{body}</qgis>\n"


def _quoted(value: str) -> str:
    """An XML attribute value in quotes; characters that XML cannot hold become U+FFFD."""
    return quoteattr(_NOT_XML.sub("\ufffd", value))
