"""Layers of a QGIS project file as XML, and the tree in which they are listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geopdn.output.qml import Style, inner, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyproj import CRS


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
        id: its name inside the project.
        title: its name for people.
        source: the file, and the layer in it.
        provider: QGIS's name of what reads it: `ogr` or `gdal`.
        xml: the element `maplayer`.
        is_checked: whether it is drawn when the project opens.
        is_expanded: whether its legend is open.
    """

    id: str
    title: str
    source: str
    provider: str
    xml: str
    is_checked: bool = True
    is_expanded: bool = False


def vector_layer(
    identifier: str, *, title: str, source: str, crs: CRS | None, styles: Sequence[Style], is_checked: bool
) -> Layer:
    """A layer of polygons in the first of its styles; the others can be chosen."""
    first, *others = styles
    listed = "".join(
        f"<map-layer-style name={quoted(style.name)}>{style.element()}</map-layer-style>" for style in others
    )
    xml = (
        f'<maplayer type="vector" geometry="Polygon" labelsEnabled="{int(first.labels)}">'
        f"{common(identifier, title=title, source=source, crs=crs)}"
        '<provider encoding="UTF-8">ogr</provider>'
        f"<map-layer-style-manager current={quoted(first.name)}><map-layer-style name={quoted(first.name)}/>{listed}"
        f"</map-layer-style-manager>{first.body}</maplayer>"
    )
    return Layer(identifier, title, source, "ogr", xml, is_checked=is_checked, is_expanded=is_checked)


def common(identifier: str, *, title: str, source: str, crs: CRS | None) -> str:
    """The elements that every layer has."""
    return (
        f"<id>{inner(identifier)}</id><datasource>{inner(source)}</datasource><layername>{inner(title)}</layername>"
        f"<srs>{system(crs)}</srs>"
    )


def system(crs: CRS | None) -> str:
    """A coordinate reference system by its code, where it has one, and its text."""
    if crs is None:
        return '<spatialrefsys nativeFormat="Wkt"><wkt></wkt></spatialrefsys>'
    code = crs.to_authority()
    authority = "" if code is None else f"<authid>{inner(':'.join(code))}</authid>"
    return f'<spatialrefsys nativeFormat="Wkt"><wkt>{inner(crs.to_wkt())}</wkt>{authority}</spatialrefsys>'


def tree(layers: Iterable[Layer]) -> str:
    """The list of layers, the topmost first."""
    rows = (
        f"<layer-tree-layer id={quoted(layer.id)} name={quoted(layer.title)} source={quoted(layer.source)}"
        f' providerKey="{layer.provider}" checked="{"Qt::Checked" if layer.is_checked else "Qt::Unchecked"}"'
        f' expanded="{int(layer.is_expanded)}"><customproperties/></layer-tree-layer>'
        for layer in layers
    )
    return f"<layer-tree-group><customproperties/>{''.join(rows)}</layer-tree-group>"
