"""The pixel grid on which a file of detections is compared with labels when the scene itself is not at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from geopdn.detections import SceneFrame
from geopdn.errors import LabelError
from geopdn.evaluate.layers import LabelFile, read_layer
from geopdn.geometry.window import Size


def recorded_frame(path: str | Path) -> SceneFrame | None:
    """The scene's grid from the layer `run` of a GeoPackage written by geopdn, None where there is none.

    The footprint is the scene's outline, counter-clockwise; whether the grid is mirrored cannot be told from it
    and does not matter to any measure, so the usual case (rows run down) is taken.
    """
    import pyogrio

    if "run" not in {str(name) for name in pyogrio.list_layers(path)[:, 0]}:
        return None
    table = read_layer(LabelFile(Path(path), layer="run"))
    if len(table) != 1 or not {"scene", "height", "width"} <= set(table.columns):
        return None
    row, ring = table.iloc[0], shapely.get_coordinates(table.geometry.iloc[0])
    height, width = int(row["height"]), int(row["width"])
    origin, along, down = ring[3], (ring[2] - ring[3]) / width, (ring[0] - ring[3]) / height
    transform = Affine(along[0], down[0], origin[0], along[1], down[1], origin[1])
    return SceneFrame(name=str(row["scene"]), size=Size(height, width), transform=transform, crs=_crs(table))


def frame_around(found: Any, labels: Any, *, name: str) -> SceneFrame:
    """A grid of one map unit (a metre) around detections and labels, in a projected system.

    Args:
        found: GeoDataFrame of detections; its system is kept where it is projected, so that boxes stay upright.
        labels: GeoDataFrame of labels.
        name: what to call the detections.

    Raises:
        LabelError: there is nothing on either side, or the detections are of several scenes.
    """
    tables = [table[~(table.geometry.isna() | table.geometry.is_empty)] for table in (found, labels)]
    crs = _crs(found) or _crs(labels)
    if crs is not None and not crs.is_projected:
        crs = _local_crs(next((table for table in tables if len(table)), labels))
    if crs is not None and all(_crs(table) is not None for table in tables):
        tables = [table.to_crs(crs) for table in tables]
    limits = np.array([table.total_bounds for table in tables if len(table)]).reshape(-1, 4)
    limits = limits[np.isfinite(limits).all(1)]
    if not len(limits):
        msg = f"neither {name} nor the labels hold a geometry: there is nothing to compare"
        raise LabelError(msg)
    (x0, y0), (x1, y1) = limits[:, :2].min(0).tolist(), limits[:, 2:].max(0).tolist()
    size = Size(int(np.ceil(y1 - y0)) + 2, int(np.ceil(x1 - x0)) + 2)
    scenes = set(map(str, found["scene"])) if "scene" in found.columns else set()
    if len(scenes) > 1:
        msg = f"{name} holds detections of {len(scenes)} scenes: evaluate one at a time, naming the scene"
        raise LabelError(msg)
    return SceneFrame(
        name=scenes.pop() if scenes else name, size=size, transform=Affine(1, 0, x0 - 1, 0, -1, y1 + 1), crs=crs
    )


def _local_crs(table: Any) -> CRS:
    """The UTM zone of a table, near the poles a system centred on it."""
    try:
        return CRS.from_user_input(table.estimate_utm_crs())
    except (RuntimeError, ValueError):
        x, y = np.asarray(table.total_bounds).reshape(2, 2).mean(0)
        return CRS.from_proj4(f"+proj=laea +lat_0={y} +lon_0={x} +datum=WGS84 +units=m")


def _crs(table: Any) -> CRS | None:
    return None if table.crs is None else CRS.from_user_input(table.crs)
