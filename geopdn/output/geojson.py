"""GeoJSON after RFC 7946: lon/lat with 7 decimals, counter-clockwise, cut at the antimeridian."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geopdn.errors import GeoreferenceError, OutputError
from geopdn.geometry.ground import LON_LAT, to_lon_lat
from geopdn.output.frames import BATCH, detection_batches

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pyproj import CRS

    from geopdn.detections import RunResult

DECIMALS = 7  # about a centimetre, as the RFC advises

_DIGITS = 9  # of scores and metres; a decimal text needs no more
_POLAR = 80.0  # degrees of latitude beyond which a straight side is visibly bent in lon/lat
_POINTS_PER_POLAR_SIDE = 8
_WORLD = shapely.box(-180, -90, 180, 90)


def check_lon_lat(crs: CRS | None) -> None:
    """Refuse systems that have no longitude and latitude.

    Raises:
        GeoreferenceError: there is no CRS, or a local (engineering) one.
    """
    if crs is None or crs.is_engineering:
        reason = "has no CRS" if crs is None else f"has the local CRS {crs.name!r}"
        msg = f"GeoJSON needs longitudes and latitudes, but the scene {reason}: write a .gpkg instead"
        raise GeoreferenceError(msg)


def write_geojson(result: RunResult, path: Path, *, batch: int = BATCH) -> None:
    """Write the detections as a FeatureCollection, with the facts of the run as its foreign member `geopdn`.

    GDAL writes the features of one batch after the other (its line-delimited driver follows RFC 7946), so memory
    stays bounded; the lines are then joined into one collection.

    Raises:
        GeoreferenceError: no longitudes and latitudes exist for the scene or for some detections.
        OutputError: the driver lost a feature.
    """
    import pyogrio

    check_lon_lat(result.frame.crs)
    lines = path.with_name(f"{path.name}.lines")
    facts = {"scene": result.frame.name, "classes": list(result.classes), **result.facts}
    head = json.dumps(_plain(facts), sort_keys=True, ensure_ascii=True, allow_nan=False)
    written = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{\n"type": "FeatureCollection",\n"geopdn": {head},\n"features": [')
        for frame in detection_batches(result, batch=batch) if len(result.detections) else ():
            rings = shapely.get_coordinates(frame.geometry.array).reshape(len(frame), 5, 2)[:, :4]
            polygons = lon_lat_polygons(rings, result.frame.crs)  # type: ignore[arg-type]
            placed = frame.set_geometry(polygons, crs=LON_LAT)
            options = {"COORDINATE_PRECISION": str(DECIMALS), "SIGNIFICANT_FIGURES": str(_DIGITS)}
            pyogrio.write_dataframe(placed, lines, driver="GeoJSONSeq", **options)
            with lines.open(encoding="utf-8") as features:
                for feature in features:
                    file.write(",\n" if written else "\n")
                    file.write(feature.rstrip("\n"))
                    written += 1
            lines.unlink()
        file.write("\n]\n}\n")
    if written != len(result.detections):
        msg = f"{path}: GDAL wrote {written} of {len(result.detections)} features; nothing was kept"
        raise OutputError(msg)


def lon_lat_polygons(rings: NDArray[np.float64], crs: CRS) -> NDArray[np.object_]:
    """Lon/lat geometries `[N]` of map quadrilaterals `[N, 4, 2]`, a MultiPolygon where the antimeridian cuts one.

    Raises:
        GeoreferenceError: quadrilaterals outside the domain of the CRS, or with a pole inside; says how many.
    """
    points = to_lon_lat(rings, crs)
    with np.errstate(invalid="ignore"):
        outside = ~(np.isfinite(points).all((1, 2)) & (np.abs(points[..., 1]) <= 90).all(1))
    if outside.any():
        msg = (
            f"{int(outside.sum())} of {len(rings)} detections lie outside the domain of {crs.name!r}"
            f" (the first is detection {int(np.argmax(outside)) + 1} of its batch): write a .gpkg instead"
        )
        raise GeoreferenceError(msg)
    polygons = np.empty(len(rings), dtype=object)
    polar = (np.abs(points[..., 1]) > _POLAR).any(1)
    polygons[~polar] = _cut(points[~polar])
    polygons[polar] = _cut(to_lon_lat(_denser(rings[polar]), crs))
    return polygons


def lon_lat_outline(ring: NDArray[np.float64], crs: CRS, *, what: str) -> shapely.Geometry:
    """Lon/lat geometry of one map ring `[K, 2]`, a MultiPolygon where the antimeridian cuts it.

    Args:
        ring: dense enough for its sides to be straight in longitudes and latitudes.
        crs: of the ring.
        what: whose outline it is, for messages.

    Raises:
        GeoreferenceError: it lies outside the domain of the CRS, or has a pole inside.
    """
    points = to_lon_lat(ring[None], crs)
    if not np.isfinite(points).all():
        msg = f"{what} reaches outside the domain of {crs.name!r}: its outline has no longitudes and latitudes"
        raise GeoreferenceError(msg)
    if _turns(points)[0]:
        msg = f"{what} has a pole inside, which GeoJSON cannot hold: cut the scene"
        raise GeoreferenceError(msg)
    outline: shapely.Geometry = _cut(points)[0]
    return outline


def _denser(rings: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rings `[N, 4, 2]` with several points a side, `[N, 4 * points, 2]`."""
    share = np.arange(_POINTS_PER_POLAR_SIDE)[:, None] / _POINTS_PER_POLAR_SIDE  # [points, 1]
    start, stop = rings[:, :, None], np.roll(rings, -1, 1)[:, :, None]  # [N, 4, 1, 2]
    return (start + (stop - start) * share).reshape(len(rings), 4 * len(share), 2)


def _cut(points: NDArray[np.float64]) -> NDArray[np.object_]:
    """Polygons `[N]` of lon/lat rings `[N, K, 2]`, rounded, cut into parts within [-180, 180]."""
    lon, steps = points[..., 0], _steps(points)
    poles = int(_turns(points).sum())
    if poles:
        msg = f"{poles} detections have a pole inside, which GeoJSON cannot hold: write a .gpkg instead"
        raise GeoreferenceError(msg)
    lon = lon[:, :1] + np.concatenate([np.zeros_like(lon[:, :1]), steps[:, :-1].cumsum(1)], 1)
    whole = np.round(np.stack([lon, points[..., 1]], -1), DECIMALS)
    polygons: NDArray[np.object_] = np.asarray(shapely.polygons(whole), dtype=object)
    for index in np.flatnonzero((np.abs(whole[..., 0]) > 180).any(1)):
        polygons[index] = _within_world(whole[index])
    return polygons


def _steps(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Differences `[N, K]` of the longitudes of rings `[N, K, 2]`, the short way round."""
    lon = points[..., 0]
    steps: NDArray[np.float64] = (np.diff(lon, axis=1, append=lon[:, :1]) + 180) % 360 - 180
    return steps


def _turns(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """`[N]` True where a ring goes all the way round: a pole is inside."""
    turns: NDArray[np.bool_] = np.abs(_steps(points).sum(1)) > 180
    return turns


def _within_world(ring: NDArray[np.float64]) -> shapely.Geometry:
    """The parts of a ring `[K, 2]` with continuous longitudes, each moved into [-180, 180]."""
    parts = []
    for turn in (-360.0, 0.0, 360.0):
        part = shapely.intersection(shapely.Polygon(ring + np.array([turn, 0.0])), _WORLD)
        part = shapely.transform(part, lambda xy: np.round(xy, DECIMALS))
        part = shapely.remove_repeated_points(part)
        if isinstance(part, shapely.Polygon) and part.area > 0:
            parts.append(part)
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _plain(value: Any) -> Any:
    """The value with numbers that JSON cannot hold as null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
