"""The VRTs that may be opened: plain mosaics of rasters in their own folder."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from rasterio.errors import RasterioError

from geopdn.errors import SceneOpenError
from geopdn.scene.handles import environment, open_raster
from geopdn.scene.source import RASTER_DRIVERS, VRT_MAX_BYTES

_RECT = frozenset({"xOff", "yOff", "xSize", "ySize"})
_SOURCE = frozenset({"name", "resampling"})
_SYSTEM = "dataAxisToSRSAxisMapping"
_NONE: frozenset[str] = frozenset()

_ELEMENTS: dict[str, frozenset[str]] = {
    "VRTDataset": frozenset({"rasterXSize", "rasterYSize"}),
    "SRS": frozenset({_SYSTEM, "coordinateEpoch"}),
    "GeoTransform": _NONE,
    "GCPList": frozenset({"Projection", _SYSTEM}),
    "GCP": frozenset({"Id", "Info", "Pixel", "Line", "X", "Y", "Z"}),
    "Metadata": frozenset({"domain"}),
    "MDI": frozenset({"key"}),
    "VRTRasterBand": frozenset({"dataType", "band", "blockXSize", "blockYSize", "subClass"}),
    "MaskBand": _NONE,
    "Description": _NONE,
    "ColorInterp": _NONE,
    "ColorTable": _NONE,
    "Entry": frozenset({"c1", "c2", "c3", "c4"}),
    "CategoryNames": _NONE,
    "Category": _NONE,
    "NoDataValue": _NONE,
    "HideNoDataValue": _NONE,
    "UnitType": _NONE,
    "Offset": _NONE,
    "Scale": _NONE,
    **dict.fromkeys(("Histograms", "HistItem", "HistMin", "HistMax", "BucketCount", "IncludeOutOfRange"), _NONE),
    **dict.fromkeys(("Approximate", "HistCounts"), _NONE),
    "OverviewList": frozenset({"resampling"}),
    "BlockXSize": _NONE,
    "BlockYSize": _NONE,
    "SimpleSource": _SOURCE,
    "ComplexSource": _SOURCE,
    "AveragedSource": _SOURCE,
    "SourceFilename": frozenset({"relativeToVRT", "shared"}),
    "SourceBand": _NONE,
    "SourceProperties": frozenset({"RasterXSize", "RasterYSize", "DataType", "BlockXSize", "BlockYSize"}),
    "SrcRect": _RECT,
    "DstRect": _RECT,
    "NODATA": _NONE,
    "UseMaskBand": _NONE,
    "ScaleOffset": _NONE,
    "ScaleRatio": _NONE,
}
"""What gdalbuildvrt writes: elements and their attributes. GDAL takes an attribute for an element of that name,
and both in any case: `<SimpleSource sourcefilename="/etc/passwd">` names a source. So the exact letters are allowed."""

_UNREAD = ("<!--", "<![CDATA[", "<!DOCTYPE", "<!ENTITY")
"""What GDAL's parser and Python's may read differently."""


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
    if any(mark in text.upper() for mark in _UNREAD) or "<?" in text.removeprefix("\ufeff").strip()[1:]:
        raise SceneOpenError(f"{path} is refused: a VRT needs no document type, entities, comments or CDATA")
    try:
        root = ET.fromstring(text)  # noqa: S314  (no document type: no entity can be declared)
    except ET.ParseError as error:
        raise SceneOpenError(f"{path} is not valid XML: {error}") from error
    folder = path.resolve().parent
    for element in root.iter():
        kind = element.get("subClass", "VRTSourcedRasterBand")
        odd = sorted(set(element.attrib) - _ELEMENTS.get(element.tag, _NONE))
        if element.tag not in _ELEMENTS or odd or kind != "VRTSourcedRasterBand":
            what = " ".join([element.tag, *(f"{name}={element.get(name)!r}" for name in odd or element.attrib)])
            raise SceneOpenError(
                f"{path} is refused: <{what[:200]}> is not part of a plain mosaic; make a GeoTIFF of it"
            )
        if element.tag == "SourceFilename":
            _check_member(element, path=path, folder=folder)


def _check_member(element: ET.Element, *, path: Path, folder: Path) -> None:
    """Refuse a source outside the folder, or one that is no raster by itself."""
    name = element.text or ""
    relative = element.get("relativeToVRT", "0") == "1"
    source = Path(folder, name) if relative else Path(name)
    is_plain = name == name.strip() and "://" not in name and not name.startswith(("/vsi", "\\"))
    # A name that is not absolute would be one of the working folder, or begin with a driver's prefix (`NAME:...`).
    is_plain = is_plain and (":" not in name if relative else source.is_absolute())
    if not name or not is_plain or not source.resolve().is_relative_to(folder):
        raise SceneOpenError(f"{path} is refused: its source {name!r} does not lie under {folder}")
    try:
        with environment(), open_raster(str(source.resolve()), drivers=RASTER_DRIVERS):
            pass
    except RasterioError as error:
        raise SceneOpenError(f"{path} is refused: its source {name!r} cannot be opened: {error}") from error
