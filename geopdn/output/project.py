"""A QGIS project of a result: scene, expected counts and all layers, styled, with relative paths. No QGIS is needed."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.output.atomic import replacing
from geopdn.output.project_layers import Layer, system, tree, vector_layer
from geopdn.output.project_rasters import Raster, raster_layer
from geopdn.output.qml import DOCTYPE, VERSION, inner, quoted
from geopdn.output.styles import Shown, layer_styles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyproj import CRS

MARGIN = 0.02
"""Free space around the scene, as a share of its larger side."""

_TITLES = {
    "detections": "detections",
    "windows": "windows",
    "run": "footprint",
    "raw": "raw boxes",
    "failures": "not searched",
}
_UNCHECKED = ("raw",)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the clock's time is no part of the bytes


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """A GeoPackage as a project shows it.

    Attributes:
        path: the file.
        crs: its system, None for pixels.
        bounds: west, south, east, north of the scene in map units.
        shown: what its styles depend on.
        title: of the project.
    """

    path: Path
    crs: CRS | None
    bounds: tuple[float, float, float, float]
    shown: Shown
    title: str


def write_project(mapped: Mapped, path: str | Path, *, rasters: Sequence[Raster] = ()) -> Path:
    """Write a `.qgz`, complete or not at all; the same input gives the same bytes.

    Files are named relative to the project's folder: the whole can be moved. Only those on another drive, and
    addresses, are named in full.

    Args:
        mapped: the result.
        path: the project.
        rasters: below the result's layers, the topmost first.

    Returns:
        The path that was written.

    Raises:
        OutputError: it cannot be written.
    """
    path = Path(path)
    text = project_xml(mapped, folder=path.parent, rasters=rasters)
    entry = zipfile.ZipInfo(f"{path.stem.encode('utf-8', 'replace').decode()}.qgs", date_time=_EPOCH)
    entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(entry, text.encode("utf-8"))
    return path


def project_xml(mapped: Mapped, *, folder: Path, rasters: Sequence[Raster] = ()) -> str:
    """The project as XML, with paths relative to `folder`."""
    layers = [*_vectors(mapped, folder), *(_raster(raster, folder) for raster in rasters)]
    crs = system(mapped.crs)
    west, south, east, north = _wider(mapped.bounds)
    extent = f"<xmin>{west!r}</xmin><ymin>{south!r}</ymin><xmax>{east!r}</xmax><ymax>{north!r}</ymax>"
    corners = f'xmin="{west!r}" ymin="{south!r}" xmax="{east!r}" ymax="{north!r}"'
    return "".join(
        (
            DOCTYPE,
            f'<qgis version="{VERSION}" projectname={quoted(mapped.title)}>',
            f"<title>{inner(mapped.title)}</title>",
            f"<projectCrs>{crs}</projectCrs>",
            tree(layers),
            f'<mapcanvas name="theMapCanvas" annotationsVisible="1"><units>{_units(mapped.crs)}</units>',
            f"<extent>{extent}</extent><rotation>0</rotation><destinationsrs>{crs}</destinationsrs></mapcanvas>",
            f"<projectlayers>{''.join(layer.xml for layer in layers)}</projectlayers>",
            f"<layerorder>{''.join(f'<layer id={quoted(layer.id)}/>' for layer in layers)}</layerorder>",
            f"<properties>{_properties(mapped.crs)}</properties>",
            f'<ProjectViewSettings UseProjectScales="0"><Scales/><DefaultViewExtent {corners}>{crs}',
            "</DefaultViewExtent></ProjectViewSettings></qgis>\n",
        )
    )


def _vectors(mapped: Mapped, folder: Path) -> list[Layer]:
    source = source_of(mapped.path, folder)
    return [
        vector_layer(
            identifier(f"{source}|{name}", name),
            title=_TITLES[name],
            source=f"{source}|layername={name}",
            crs=mapped.crs,
            styles=styles,
            is_checked=name not in _UNCHECKED,
        )
        for name, styles in layer_styles(mapped.shown).items()
    ]


def _raster(raster: Raster, folder: Path) -> Layer:
    source = source_of(raster.path, folder)
    return raster_layer(raster, identifier=identifier(source, "raster"), source=source)


def source_of(path: str | Path, folder: Path) -> str:
    """A file as a project in `folder` names it: relative, with `/`; addresses as GDAL takes them."""
    if "://" in str(path):
        return f"/vsicurl/{path}"
    try:
        relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    except ValueError:  # another drive of Windows
        return Path(path).absolute().as_posix()
    relative = Path(relative).as_posix()
    return relative if relative.startswith("../") else f"./{relative}"


def identifier(source: str, name: str) -> str:
    """A layer's name inside a project; the same for the same source."""
    return f"{name}_{zlib.crc32(source.encode('utf-8', 'replace')):08x}"


def _wider(bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = bounds
    margin = MARGIN * max(east - west, north - south)
    return west - margin, south - margin, east + margin, north + margin


def _properties(crs: CRS | None) -> str:
    projected = f'<ProjectionsEnabled type="int">{int(crs is not None)}</ProjectionsEnabled>'
    paths = '<Paths><Absolute type="bool">false</Absolute></Paths>'
    return f"{paths}<SpatialRefSys>{projected}</SpatialRefSys>"


def _units(crs: CRS | None) -> str:
    if crs is None:
        return "unknown"
    return "degrees" if crs.is_geographic else "meters"
