"""Where and when a raster is: transform, CRS, ground control points, acquisition time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.transform import from_gcps

from geopdn.errors import GeoreferenceError
from geopdn.geometry.ground import PixelSize, map_to_pixel, pixel_size

if TYPE_CHECKING:
    from affine import Affine

_TIME_TAGS = (
    ("IMAGERY", "ACQUISITIONDATETIME"),
    (None, "ACQUISITIONDATETIME"),
    (None, "ACQUISITION_DATETIME"),
    (None, "ACQUISITION_DATE"),
    (None, "SENSING_TIME"),
    (None, "DATETIME"),
    (None, "TIFFTAG_DATETIME"),
)


@dataclass(frozen=True, slots=True)
class Georeference:
    """Pixel to map (edge convention), the map's system, and how well the two fit."""

    transform: Affine
    crs: CRS | None
    """None where the file says nothing usable: coordinates are then pixels."""
    gcp_residual_px: float | None
    """Largest residual, in pixels, of an affine fit to ground control points; None where the file has a transform."""
    pixel_size: PixelSize | None
    """At the raster's centre; None without a CRS."""


def georeference_of(dataset: Any, *, name: str) -> Georeference:
    """Read a dataset's georeferencing.

    Raises:
        GeoreferenceError: only RPCs, a transform without extent, or places outside the CRS's domain.
    """
    transform, crs, residual = dataset.transform, _crs(dataset.crs, name=name), None
    if transform.is_identity:
        points, system = dataset.gcps
        if len(points) >= 3 and system is not None:
            transform, crs = from_gcps(points), _crs(system, name=name)
            pixels = np.array([[point.col, point.row] for point in points], np.float64)
            places = np.array([[point.x, point.y] for point in points], np.float64)
            residual = float(np.hypot(*(map_to_pixel(places, transform) - pixels).T).max())
        elif crs is None and dataset.rpcs is not None:
            raise GeoreferenceError(f"{name} is placed by RPCs only: orthorectify it first (gdalwarp -rpc)")
        else:
            crs = None  # a CRS without a transform places nothing
    if transform.determinant == 0 or not np.isfinite(transform[:6]).all():
        raise GeoreferenceError(
            f"{name}: the transform {tuple(transform[:6])} gives pixels no area; expected six numbers"
        )
    size = None
    if crs is not None:
        try:
            size = pixel_size(transform, crs, col=dataset.width / 2, row=dataset.height / 2)
        except GeoreferenceError as error:
            raise GeoreferenceError(f"{name}: {error}") from error
    return Georeference(transform=transform, crs=crs, gcp_residual_px=residual, pixel_size=size)


def _crs(crs: Any, *, name: str) -> CRS | None:
    """Rasterio's CRS as pyproj's."""
    if not crs:
        return None
    try:
        return CRS.from_wkt(crs.to_wkt())
    except CRSError as error:
        raise GeoreferenceError(f"{name}: the coordinate system is not understood: {error}") from error


def acquisition_time(dataset: Any) -> str:
    """When the raster was taken, in ISO 8601 as far as its tags say; empty where they do not."""
    for namespace, key in _TIME_TAGS:
        text = dataset.tags(ns=namespace).get(key, "") if namespace else dataset.tags().get(key, "")
        if stamp := _iso(text):
            return stamp
    return ""


def _iso(text: str) -> str:
    """ISO 8601 of `2024:05:01 10:20:30` or anything Python reads as ISO; empty otherwise."""
    text = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text.strip())
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return text if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else stamp.isoformat()
