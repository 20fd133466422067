"""Places: pixel <-> map by the affine transform, true ground lengths by the geodesic (never degrees)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer

from geopdn.errors import GeoreferenceError

Points = NDArray[np.float64]

GEOD = Geod(ellps="WGS84")
LON_LAT = CRS.from_epsg(4326)


@lru_cache(maxsize=64)
def transformer(source: CRS, target: CRS) -> Transformer:
    """The only place a pyproj transformer is made: x before y (lon before lat), always.

    Raises:
        GeoreferenceError: no operation between the two systems is known.
    """
    try:
        return Transformer.from_crs(source, target, always_xy=True)
    except Exception as error:  # pyproj raises ProjError and subclasses of several kinds
        msg = f"no coordinate operation from {source.name!r} to {target.name!r}: {error}"
        raise GeoreferenceError(msg) from error


def pixel_to_map(points: Points, transform: Affine) -> Points:
    """Map coordinates `[..., 2]` (x, y) of pixel positions `[..., 2]` (column, row), edge convention."""
    a, b, c, d, e, f = transform[:6]
    col, row = points[..., 0], points[..., 1]
    return np.stack([a * col + b * row + c, d * col + e * row + f], -1)


def map_to_pixel(points: Points, transform: Affine) -> Points:
    """Pixel positions `[..., 2]` (column, row) of map coordinates `[..., 2]` (x, y).

    Offsets are taken from the transform's origin first, so that northings of millions of metres lose nothing.
    """
    a, b, c, d, e, f = transform[:6]
    det = a * e - b * d
    x, y = points[..., 0] - c, points[..., 1] - f
    return np.stack([(e * x - b * y) / det, (a * y - d * x) / det], -1)


def to_lon_lat(points: Points, crs: CRS) -> Points:
    """Longitudes and latitudes in degrees `[..., 2]` of map coordinates `[..., 2]`; not finite outside the domain."""
    lon, lat = transformer(crs, LON_LAT).transform(points[..., 0], points[..., 1])
    return np.stack([np.asarray(lon), np.asarray(lat)], -1)


def ground_vectors(starts: Points, ends: Points, crs: CRS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True lengths in metres and azimuths in degrees (clockwise from north) between map points `[N, 2]`.

    For a local (engineering) system without a datum the map's own unit is taken as the metre's multiple.

    Returns:
        `(length_m [N], azimuth_deg [N])`, azimuths in [0, 360).
    """
    if crs.is_engineering:
        unit = float(crs.axis_info[0].unit_conversion_factor or 1.0) if crs.axis_info else 1.0
        step = (ends - starts) * unit
        return np.hypot(step[:, 0], step[:, 1]), np.degrees(np.arctan2(step[:, 0], step[:, 1])) % 360
    first, second = to_lon_lat(starts, crs), to_lon_lat(ends, crs)
    azimuth, _, length = GEOD.inv(first[:, 0], first[:, 1], second[:, 0], second[:, 1])
    return np.asarray(length), np.asarray(azimuth) % 360


@dataclass(frozen=True, slots=True)
class PixelSize:
    """True ground size of one pixel in metres: `y_m` from row to row, `x_m` from column to column."""

    y_m: float
    x_m: float

    @property
    def mean_m(self) -> float:
        """Geometric mean of the two."""
        return math.sqrt(self.y_m * self.x_m)


def pixel_size(transform: Affine, crs: CRS, *, col: float, row: float) -> PixelSize:
    """True ground size of the pixel grid around one position, also in Web Mercator and in degrees.

    Raises:
        GeoreferenceError: the position lies outside the CRS's domain.
    """
    reach = 8.0
    starts = np.array([[col - reach, row], [col, row - reach]])
    ends = np.array([[col + reach, row], [col, row + reach]])
    lengths, _ = ground_vectors(pixel_to_map(starts, transform), pixel_to_map(ends, transform), crs)
    x_m, y_m = (float(length) / (2 * reach) for length in lengths)
    if not (math.isfinite(x_m) and math.isfinite(y_m) and x_m > 0 and y_m > 0):
        place = f"pixel ({col:.0f}, {row:.0f})"
        msg = f"{place} lies outside the domain of {crs.name!r}: check the scene's CRS and transform"
        raise GeoreferenceError(msg)
    return PixelSize(y_m=y_m, x_m=x_m)
