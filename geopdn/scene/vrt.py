"""The VRTs that may be opened: plain mosaics of rasters in their own folder."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from rasterio.errors import RasterioError

from geopdn.errors import SceneOpenError
from geopdn.scene.handles import environment, open_raster
from geopdn.scene.source import RASTER_DRIVERS, VRT_MAX_BYTES

_ELEMENTS = frozenset(  # what gdalbuildvrt writes
    [
        "VRTDataset",
        "SRS",
        "GeoTransform",
        "GCPList",
        "GCP",
        "Metadata",
        "MDI",
        "VRTRasterBand",
        "MaskBand",
        "Description",
        "ColorInterp",
        "ColorTable",
        "Entry",
        "CategoryNames",
        "Category",
        "NoDataValue",
        "HideNoDataValue",
        "UnitType",
        "Offset",
        "Scale",
        "Histograms",
        "HistItem",
        "HistMin",
        "HistMax",
        "BucketCount",
        "IncludeOutOfRange",
        "Approximate",
        "HistCounts",
        "OverviewList",
        "BlockXSize",
        "BlockYSize",
        "SimpleSource",
        "ComplexSource",
        "AveragedSource",
        "SourceFilename",
        "SourceBand",
        "SourceProperties",
        "SrcRect",
        "DstRect",
        "NODATA",
        "UseMaskBand",
        "ScaleOffset",
        "ScaleRatio",
    ]
)


def check_vrt(path: Path) -> None:
    """Refuse a VRT that is more than a mosaic of rasters under its own folder.

    Raises:
        SceneOpenError: too large, not plain XML, raw or derived bands, or a source that is elsewhere, missing,
            or itself not a raster with pixels of its own.
    """
    if path.stat().st_size > VRT_MAX_BYTES:
        raise SceneOpenError(f"{path} is larger than {VRT_MAX_BYTES >> 20} MiB, too large for a VRT: make a GeoTIFF")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SceneOpenError(f"{path} is refused: a VRT must be UTF-8 text") from error
    if "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        raise SceneOpenError(f"{path} is refused: a VRT needs no document type and no entities")
    try:
        root = ET.fromstring(text)  # noqa: S314  (no document type: no entity can be declared)
    except ET.ParseError as error:
        raise SceneOpenError(f"{path} is not valid XML: {error}") from error
    folder = path.resolve().parent
    for element in root.iter():
        kind = element.get("subClass", "VRTSourcedRasterBand")
        if element.tag not in _ELEMENTS or kind != "VRTSourcedRasterBand":
            what = f"{element.tag} {element.get('subClass', '')}".strip()
            raise SceneOpenError(f"{path} is refused: <{what}> is not part of a plain mosaic; make a GeoTIFF of it")
        if element.tag == "SourceFilename":
            _check_member(element, path=path, folder=folder)


def _check_member(element: ET.Element, *, path: Path, folder: Path) -> None:
    """Refuse a source outside the folder, or one that is no raster by itself."""
    name = (element.text or "").strip()
    source = Path(folder, name) if element.get("relativeToVRT") == "1" else Path(name)
    if not name or "://" in name or name.startswith("/vsi") or not source.resolve().is_relative_to(folder):
        raise SceneOpenError(f"{path} is refused: its source {name!r} does not lie under {folder}")
    try:
        with environment(), open_raster(str(source.resolve()), drivers=RASTER_DRIVERS):
            pass
    except RasterioError as error:
        raise SceneOpenError(f"{path} is refused: its source {name!r} cannot be opened: {error}") from error
