"""The pieces of QGIS's style files (QML, QGIS 3.22 and newer); every text that comes from outside is escaped here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from geopdn.output.fields import FIELDS, PICTURE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
VERSION = "3.22.0"
CATEGORIES = "Symbology|Labeling|Fields|Forms|AttributeTable|MapTips"

NULL = "{2839923C-8B7D-419E-B84B-CA2FE9B80EC7}"
"""How QGIS's lists of values write null."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Style:
    """One way to show a layer.

    Attributes:
        name: of the style, in QGIS's menu.
        body: XML elements, as children of a style or of a project's layer.
        labels: whether labels are drawn.
    """

    name: str
    body: str
    labels: bool = False

    def qml(self) -> str:
        """A style file."""
        return DOCTYPE + self.element()

    def element(self) -> str:
        """The element `qgis`, as in a style file and in a project's list of styles."""
        labels = f'labelsEnabled="{int(self.labels)}"'
        return f'<qgis version="{VERSION}" styleCategories="{CATEGORIES}" {labels}>{self.body}</qgis>\n'


def clean(value: str) -> str:
    """The text with U+FFFD for characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", value)


def quoted(value: str) -> str:
    """An XML attribute value, in quotes."""
    return quoteattr(clean(value))


def inner(value: str) -> str:
    """The text inside of an XML element."""
    return escape(clean(value))


def categories(values: Iterable[tuple[str, str]]) -> str:
    """Values with their labels; the n-th takes the symbol named n."""
    rows = (
        f'<category value={quoted(value)} type="string" label={quoted(label)} symbol="{n}" render="true"/>'
        for n, (value, label) in enumerate(values)
    )
    return f"<categories>{''.join(rows)}</categories>"


def ranges(values: Iterable[tuple[float, float, str]]) -> str:
    """Ranges of numbers with their labels; the n-th takes the symbol named n."""
    rows = (
        f'<range lower="{low}" upper="{high}" symbol="{n}" label={quoted(label)} render="true"/>'
        for n, (low, high, label) in enumerate(values)
    )
    return f"<ranges>{''.join(rows)}</ranges>"


def renderer(kind: str, attribute: str, groups: str, symbols: Sequence[str]) -> str:
    """A renderer of QGIS's `kind` by an attribute, a column or an expression."""
    attr = f" attr={quoted(attribute)}" if attribute else ""
    return (
        f'<renderer-v2 type="{kind}"{attr} symbollevels="0">{groups}<symbols>{"".join(symbols)}</symbols></renderer-v2>'
    )


def symbol(
    name: str, colour: str, *, width_mm: float = 0.46, line: str = "solid", alpha: float = 1, width: str = ""
) -> str:
    """A polygon symbol without a fill.

    Args:
        name: its number.
        colour: `red,green,blue`.
        width_mm: of the outline.
        line: `solid`, `dash` or `dot`.
        alpha: opacity, 0 to 1.
        width: an expression for the width in mm, empty for `width_mm`.
    """
    options = {
        "style": "no",
        "outline_color": f"{colour},255",
        "outline_style": line,
        "outline_width": f"{width_mm}",
        "outline_width_unit": "MM",
        "joinstyle": "miter",
    }
    rows = "".join(f'<Option type="QString" name="{key}" value="{value}"/>' for key, value in options.items())
    layer = f'<layer class="SimpleFill" enabled="1" pass="0"><Option type="Map">{rows}</Option>{_driven(width)}</layer>'
    return f'<symbol type="fill" name="{name}" alpha="{alpha:g}">{layer}</symbol>'


def _driven(width: str) -> str:
    """An outline's width by an expression."""
    if not width:
        return ""
    options = (
        '<Option type="bool" name="active" value="true"/>'
        f'<Option type="QString" name="expression" value={quoted(width)}/>'
        '<Option type="int" name="type" value="3"/>'
    )
    return (
        '<data_defined_properties><Option type="Map"><Option type="QString" name="name" value=""/>'
        f'<Option type="Map" name="properties"><Option type="Map" name="outlineWidth">{options}</Option></Option>'
        '<Option type="QString" name="type" value="collection"/></Option></data_defined_properties>'
    )


def labels(expression: str, *, largest_scale: float, placement: str, size: int = 9) -> str:
    """White text with a dark rim, from a scale on.

    Args:
        expression: what is written.
        largest_scale: denominator of the smallest scale at which it is.
        placement: XML attributes of the placement.
        size: of the font, points.
    """
    return (
        '<labeling type="simple"><settings>'
        f'<text-style fieldName={quoted(expression)} isExpression="1" fontSize="{size}" fontSizeUnit="Point"'
        ' fontWeight="75" textColor="255,255,255,255" textOpacity="1" namedStyle="Bold">'
        '<text-buffer bufferDraw="1" bufferSize="0.5" bufferSizeUnits="MM" bufferColor="20,20,20,255"'
        ' bufferNoFill="1" bufferOpacity="0.8"/></text-style>'
        f"<placement {placement}/>"
        f'<rendering obstacle="0" drawLabels="1" scaleVisibility="1" scaleMin="1" scaleMax="{largest_scale:.0f}"/>'
        "</settings></labeling>"
    )


def aliases(layer: str) -> str:
    """The columns' names for people; pictures, which a table cannot show, are hidden in it."""
    rows = (
        f'<alias field="{name}" index="{n}" name={quoted(f.alias)}/>'
        for n, (name, f) in enumerate(FIELDS[layer].items())
    )
    hidden = f'<column type="field" name="{PICTURE}" hidden="1" width="-1"/>' if PICTURE in FIELDS[layer] else ""
    shown = "".join(
        f'<column type="field" name="{name}" hidden="0" width="-1"/>' for name in FIELDS[layer] if name != PICTURE
    )
    table = f"<attributetableconfig><columns>{shown}{hidden}</columns></attributetableconfig>" if hidden else ""
    return f"<aliases>{''.join(rows)}</aliases>{table}"


class Choices(NamedTuple):
    """A list of values in a form.

    Attributes:
        field: a text column.
        values: what can be chosen.
        empty: what null is called in the list.
        new: value of features that are drawn by hand, empty for none.
    """

    field: str
    values: tuple[str, ...]
    empty: str
    new: str = ""


def forms(lists: Iterable[Choices]) -> str:
    """Widgets of a form in which values are chosen from lists, and what new features start with."""
    fields, starts = [], []
    for field, values, empty, new in lists:
        pairs = [(empty, NULL), *((value, value) for value in values)]
        rows = "".join(
            f'<Option type="Map"><Option type="QString" name={quoted(name)} value={quoted(value)}/></Option>'
            for name, value in pairs
        )
        config = f'<Option type="Map"><Option type="List" name="map">{rows}</Option></Option>'
        widget = f'<editWidget type="ValueMap"><config>{config}</config></editWidget>'
        fields.append(f'<field name="{field}">{widget}</field>')
        expression = "'" + new.replace("\\", "\\\\").replace("'", "''") + "'" if new else ""
        starts.append(f'<default field="{field}" expression={quoted(expression)} applyOnUpdate="0"/>')
    return (
        f"<fieldConfiguration>{''.join(fields)}</fieldConfiguration><defaults>{''.join(starts)}</defaults>"
        if fields
        else ""
    )


def map_tip(html: str) -> str:
    """What is shown under the pointer: HTML with `[% expressions %]`."""
    return f'<mapTip enabled="1">{inner(html)}</mapTip>'
