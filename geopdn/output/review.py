"""Marks of people written into a copy of the result that they are about."""

from __future__ import annotations

import shutil
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geopdn.errors import ResultError
from geopdn.geometry.boxes import corners
from geopdn.geometry.ground import pixel_size
from geopdn.output.atomic import replacing
from geopdn.output.fields import MISSED, REVIEW
from geopdn.output.found import read_found
from geopdn.output.frames import ground_sizes, map_rings, map_transform
from geopdn.output.geopackage import fixed_clock, name_triggers

if TYPE_CHECKING:
    from geopdn.detections import SceneFrame
    from geopdn.output.marks import Marks, Missed


def write_reviewed(result: Path, marks: Marks, path: Path) -> Path:
    """Write a copy of a result with the marks in its column `review` and the missed objects as polygons.

    Marks that the result already has stay where the new ones say nothing. A missed object becomes an upright square
    of its size. The same input gives the same bytes.

    Args:
        result: a GeoPackage.
        marks: of these detections.
        path: the copy.

    Returns:
        The path that was written.

    Raises:
        ResultError: the marks are of another result, or it lies in a class that there is not.
        OutputError: it cannot be written.
    """
    found = read_found(result)
    if marks.digest != found.digest:
        msg = (
            f"the marks are not of {result}: its detections have the digest {found.digest}, the marks are of "
            f"{marks.digest}; give the result that the report was made of"
        )
        raise ResultError(msg)
    unknown = sorted(set(marks.reviews) - set(found.table["id"].tolist()))
    if unknown:
        msg = f"{result} has no detection {unknown[0]}: give the result that the report was made of"
        raise ResultError(msg)
    strange = sorted({one.label for one in marks.missed} - set(found.classes))
    if strange:
        msg = f"there is no class {strange[0]!r}: {result} has {', '.join(map(repr, found.classes))}; correct the marks"
        raise ResultError(msg)
    with replacing(path) as temporary:
        shutil.copyfile(result, temporary)
        with closing(sqlite3.connect(temporary)) as connection, connection:
            name_triggers(connection)
            present = {row[1] for row in connection.execute("PRAGMA table_info(detections)")}
            if REVIEW not in present:  # a result of an earlier geopdn
                connection.execute(f"ALTER TABLE detections ADD COLUMN {REVIEW} TEXT")
            connection.executemany(
                f"UPDATE detections SET {REVIEW} = ? WHERE id = ?",  # noqa: S608 (a constant)
                [(mark or None, number) for number, mark in sorted(marks.reviews.items())],
            )
        if marks.missed:
            _append(temporary, marks.missed, found.frame)
    return path


def _append(path: Path, missed: tuple[Missed, ...], frame: SceneFrame) -> None:
    """Add squares to the layer of detections; GDAL keeps its index."""
    import pyogrio

    with fixed_clock(), warnings.catch_warnings():
        if frame.crs is None:  # pixel space is asked for knowingly
            warnings.filterwarnings("ignore", message="'crs' was not provided", category=UserWarning)
        pyogrio.write_dataframe(
            _squares(missed, frame), path, layer="detections", driver="GPKG", geometry_type="Polygon", append=True
        )


def _squares(missed: tuple[Missed, ...], frame: SceneFrame) -> Any:
    """Missed objects as rows of the layer: what nobody can know of them is null."""
    import geopandas as gpd

    boxes = np.array([_box(one, frame) for one in missed], np.float64).reshape(-1, 5)
    length, width, _, area = ground_sizes(boxes, frame)
    columns = {
        "label": [one.label for one in missed],
        "length_m": length,
        "width_m": width,
        "area_m2": area,
        "scene": [frame.name] * len(missed),
        REVIEW: [MISSED] * len(missed),
    }
    rings = map_rings(corners(boxes), map_transform(frame))
    return gpd.GeoDataFrame(columns, geometry=shapely.polygons(rings), crs=frame.crs)


def _box(one: Missed, frame: SceneFrame) -> tuple[float, float, float, float, float]:
    """The upright square in pixels; without a CRS a pixel counts as a metre."""
    if frame.crs is None:
        return one.column, one.row, one.size_m, one.size_m, 0.0
    size = pixel_size(frame.transform, frame.crs, col=one.column, row=one.row)
    return one.column, one.row, one.size_m / size.x_m, one.size_m / size.y_m, 0.0
