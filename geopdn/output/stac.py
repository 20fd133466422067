"""A result as a STAC item: footprint, time, projection, files, and the model that found it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import shapely
from shapely.geometry import mapping

from geopdn import __version__
from geopdn.errors import ConfigError
from geopdn.geometry.ground import pixel_to_map
from geopdn.output.atomic import replacing
from geopdn.output.frames import map_rings, utc
from geopdn.output.geojson import check_lon_lat, lon_lat_outline
from geopdn.output.stac_model import CLASSIFICATION, MLM, Described, model_asset, model_properties

if TYPE_CHECKING:
    from datetime import datetime

    from geopdn.detections import SceneFrame

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
MEDIA = {
    ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json",
    ".fgb": "application/vnd.flatgeobuf",
    ".parquet": "application/vnd.apache.parquet",
    ".tif": "image/tiff; application=geotiff",
    ".tiff": "image/tiff; application=geotiff",
    ".jp2": "image/jp2",
    ".png": "image/png",
}
FACTS = ("share", "n_windows", "n_failed", "estimated_recall", "budget", "config_hash", "min_score", "aoi", "detector")
"""Facts of a run that become properties, where they have a value."""

_POINTS_PER_SIDE = 16  # straight sides on the map are bent in longitudes and latitudes
_STRAIGHT = 1e-6  # degrees, about 0.1 m: points that are this near to a straight side are left out
_ID = re.compile(r"[^\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Catalogued:
    """What becomes an item.

    Attributes:
        output: file of the detections; the item lies beside it.
        frame: where the pixels of the result lie.
        facts: of the run.
        n_detections: how many.
        scene: path or address of the scene, None where it is not known.
        model: what found them, None where nothing is known of it.
        stamp: acquisition time, ISO 8601; None for the scene's own.
        others: other files of the run by their role: `overview` (the picture), `saliency`.
    """

    output: Path
    frame: SceneFrame
    facts: dict[str, Any]
    n_detections: int
    scene: str | None = None
    model: Described | None = None
    stamp: str | None = None
    others: dict[str, Path] = field(default_factory=dict)


def item_path(output: Path) -> Path:
    """Where the item of a file of detections lies: `found.gpkg` -> `found.stac.json`."""
    return output.with_suffix(".stac.json")


def acquired(frame: SceneFrame, stamp: str | None) -> datetime:
    """When the scene was taken, in UTC.

    Raises:
        ConfigError: neither the scene nor the text says it.
    """
    moment = utc(frame.datetime if stamp is None else stamp)
    if moment is None:
        said = "says no acquisition time" if stamp is None else f"with the time {stamp!r}"
        raise ConfigError(
            f"{frame.name} {said}: a STAC item needs one, such as `geopdn stac RESULT --datetime 2024-05-01T10:30:00Z`"
        )
    return moment


def write_item(found: Catalogued, path: Path) -> Path:
    """Write the item, complete or not at all; the same input gives the same bytes.

    Raises:
        ConfigError: no acquisition time is known.
        GeoreferenceError: the scene has no longitudes and latitudes, or a pole inside.
        OutputError: it cannot be written.
    """
    record = item_of(found, folder=path.parent)
    with replacing(path) as temporary:
        text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    return path


def item_of(found: Catalogued, *, folder: Path) -> dict[str, Any]:
    """The item as an object for JSON, with addresses relative to a folder; raises as `write_item`."""
    from pystac import Asset, Item, Link

    frame = found.frame
    facts = json.loads(json.dumps(found.facts, sort_keys=True))  # nested ones in one order, wherever they come from
    moment = acquired(frame, found.stamp)
    footprint, bounds = footprint_of(frame)
    properties = {
        "title": f"Detections in {frame.name}",
        **_projection(frame),
        "processing:software": {"geopdn": str(facts.get("geopdn") or __version__)},
        "processing:lineage": "Sparse objects found in windows of the scene that the model chose",
        "geopdn:detections": found.n_detections,
        **{f"geopdn:{key}": facts[key] for key in FACTS if facts.get(key) is not None},
    }
    if facts.get("pixel_size_m"):
        properties["gsd"] = facts["pixel_size_m"]
    extensions = [PROJECTION, PROCESSING]
    if found.model is not None:
        properties |= model_properties(found.model, facts)
        extensions += [MLM, CLASSIFICATION]
    item = Item(
        id=_ID.sub("-", found.output.stem),
        geometry=footprint,
        bbox=bounds,
        datetime=moment,
        properties=properties,
        stac_extensions=extensions,
    )
    item.add_asset("detections", Asset.from_dict(_file(found.output, folder, title="Detections", roles=["data"])))
    for role, path in sorted(found.others.items()):
        item.add_asset(role, Asset.from_dict(_file(path, folder, title=role.capitalize(), roles=[role])))
    if found.model is not None:
        asset = model_asset(found.model)
        local = None if found.model.href is None else {"href": href(found.model.href, folder)}
        item.add_asset("model", Asset.from_dict({**asset, **(local or {})}))
    if found.scene is not None:
        media = MEDIA.get(Path(found.scene.partition("?")[0]).suffix.lower())
        item.add_link(Link("derived_from", href(found.scene, folder), media_type=media, title=frame.name))
    return item.to_dict(include_self_link=False, transform_hrefs=False)


def footprint_of(frame: SceneFrame) -> tuple[dict[str, Any], list[float]]:
    """Outline of a scene in longitudes and latitudes, as GeoJSON and as west, south, east and north.

    West is greater than east where the scene lies across the antimeridian (RFC 7946, section 5.2).

    Raises:
        GeoreferenceError: there are no longitudes and latitudes, or a pole is inside.
    """
    check_lon_lat(frame.crs)
    assert frame.crs is not None
    height, width = frame.size.height, frame.size.width
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    share = np.arange(_POINTS_PER_SIDE)[:, None] / _POINTS_PER_SIDE  # [points, 1]
    sides = corners[:, None] + (np.roll(corners, -1, 0) - corners)[:, None] * share  # [4, points, 2]
    ring = map_rings(sides.reshape(1, -1, 2), frame.transform)[0]
    outline = shapely.simplify(lon_lat_outline(ring, frame.crs, what=frame.name), _STRAIGHT)
    parts = [shapely.geometry.polygon.orient(part) for part in shapely.get_parts(outline)]
    west, south, east, north = shapely.bounds(outline).tolist()
    if len(parts) > 1:
        west = min(part.bounds[0] for part in parts if part.bounds[2] == 180)
        east = max(part.bounds[2] for part in parts if part.bounds[0] == -180)
    shape = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    geometry: dict[str, Any] = json.loads(json.dumps(mapping(shape)))  # lists instead of tuples
    return geometry, [west, south, east, north]


def href(place: str | Path, folder: Path) -> str:
    """An address as it is, a file relative to the folder; absolute only where no relative path leads to it."""
    if "://" in str(place):
        return str(place)
    try:
        relative = Path(os.path.relpath(Path(place).absolute(), folder.absolute())).as_posix()
    except ValueError:  # another drive
        return Path(place).absolute().as_uri()
    return quote(relative if relative.startswith("../") else f"./{relative}")


def _projection(frame: SceneFrame) -> dict[str, Any]:
    """The grid of the result, by the projection extension."""
    assert frame.crs is not None
    authority = frame.crs.to_authority()
    system = {"proj:code": ":".join(authority)} if authority else {"proj:code": None, "proj:wkt2": frame.crs.to_wkt()}
    corners = np.array([[0, 0], [frame.size.width, frame.size.height]], np.float64)
    corners = np.array([corners[0], [corners[1, 0], 0], corners[1], [0, corners[1, 1]]])
    places = pixel_to_map(corners, frame.transform)
    return {
        **system,
        "proj:shape": [frame.size.height, frame.size.width],
        "proj:transform": [float(value) for value in frame.transform[:6]],
        "proj:bbox": [*places.min(0).tolist(), *places.max(0).tolist()],
    }


def _file(path: Path, folder: Path, *, title: str, roles: list[str]) -> dict[str, Any]:
    media = MEDIA.get(path.suffix.lower())
    kind = {} if media is None else {"type": media}
    return {"href": href(path, folder), "title": title, **kind, "roles": roles}
