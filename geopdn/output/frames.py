"""A run as tables, with map polygons and true ground sizes: detections, windows, the run itself, raw boxes.

The polygons lie in the scene's own system in float64 and use the edge convention of the pixel grid; exterior rings
run counter-clockwise in map axes whatever the transform. Without a CRS the map is the pixel grid with
x = column and y = -row, so that it is displayed upright.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from geopdn.errors import OutputError
from geopdn.geometry.boxes import BOX_FIELDS, Boxes, corners
from geopdn.geometry.ground import ground_vectors, pixel_to_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geopandas import GeoDataFrame

    from geopdn.detections import Detections, RunResult, SceneFrame, WindowRecord

BATCH = 50_000  # rows turned into polygons at a time: bounds memory at about 100 MB

READ_COLUMNS = ("read_row", "read_col", "read_height", "read_width")

_COLUMN_NAME = re.compile(r"[A-Za-z0-9_]{1,60}")
_RESERVED = frozenset({"fid", "ogc_fid", "geom", "geometry", "rowid"})
_SWAP_ABOVE = 1 + 1e-6  # a width that beats the length by less is the same side within rounding

Floats = NDArray[np.float64]


def map_transform(frame: SceneFrame) -> Affine:
    """The transform that output uses: the scene's own, or upright pixels (x = column, y = -row) without a CRS."""
    return frame.transform if frame.crs is not None else Affine(1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def map_rings(points: Floats, transform: Affine) -> Floats:
    """Map rings `[N, K, 2]` of pixel rings `[N, K, 2]` that run from +x to +y; counter-clockwise in map axes."""
    rings = pixel_to_map(points, transform)
    return rings if transform.determinant > 0 else rings[:, ::-1]


def text(value: str) -> str:
    """The text as every format can hold it: no NUL (it would end the string), no half characters of odd file names."""
    return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def utc(stamp: str) -> datetime | None:
    """An ISO 8601 text as a time in UTC (without a zone it is taken as UTC), None where it is not one."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def writable(detections: Detections) -> NDArray[np.bool_]:
    """`[N]` True where a detection makes a polygon: finite box and score, and both sides longer than 0.001 px."""
    solid: NDArray[np.bool_] = detections.is_finite() & (detections.boxes[:, 2:4] > 1e-3).all(1)
    return solid


def ground_sizes(boxes: Boxes, frame: SceneFrame) -> tuple[Floats, Floats, Floats, Floats]:
    """True sizes of boxes `[N, 5]`, geodesic between the middles of opposite sides.

    Pixels that are not square on the ground (degrees away from the equator) can make the box's width the longer
    side: length, width and heading then change places, so that length >= width holds on the ground.

    Returns:
        `(length_m, width_m, heading_deg, area_m2)`, each `[N]`; heading in [0, 180), clockwise from true north.
        All NaN without a CRS, and where the box lies outside the domain of the CRS.
    """
    if frame.crs is None or len(boxes) == 0:
        unknown = np.full(len(boxes), np.nan)
        return unknown, unknown, unknown, unknown
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    half_along = np.stack([cos, sin], -1) * boxes[:, 2:3] / 2  # [N, 2]
    half_across = np.stack([-sin, cos], -1) * boxes[:, 3:4] / 2  # [N, 2]
    (along, along_azimuth), (across, across_azimuth) = (
        ground_vectors(
            pixel_to_map(boxes[:, :2] - half, frame.transform),
            pixel_to_map(boxes[:, :2] + half, frame.transform),
            frame.crs,
        )
        for half in (half_along, half_across)
    )
    # The sine is 1 where the ground box is a rectangle; elsewhere it is a parallelogram.
    area = along * across * np.abs(np.sin(np.radians(along_azimuth - across_azimuth)))
    swap = across > along * _SWAP_ABOVE
    length, width = np.where(swap, across, along), np.where(swap, along, across)
    heading = np.where(swap, across_azimuth, along_azimuth) % 180
    heading = np.where(heading >= 180, 0.0, heading)  # -1e-16 % 180 is 180.0
    return tuple(np.where(np.isfinite(area), column, np.nan) for column in (length, width, heading, area))  # type: ignore[return-value]


def detection_batches(result: RunResult, *, batch: int = BATCH) -> Iterator[GeoDataFrame]:
    """The `detections` layer in batches of at most `batch` rows; one empty batch where nothing was found.

    Raises:
        OutputError: boxes that are not finite or have no area (a fault upstream), with their number.
    """
    bad = int((~writable(result.detections)).sum())
    if bad:
        msg = f"{bad} of {len(result.detections)} detections are not finite or have no area: filter them when merging"
        raise OutputError(msg)
    for start in range(0, max(len(result.detections), 1), batch):
        yield _detection_frame(result, start, batch)


def _detection_frame(result: RunResult, start: int, batch: int) -> GeoDataFrame:
    rows = slice(start, start + batch)
    found, frame = result.detections, result.frame
    boxes, level = found.boxes[rows], found.level[rows]
    n = len(boxes)
    length, width, heading, area = ground_sizes(boxes, frame)
    names = np.array([text(name) for name in result.classes], dtype=object)
    columns = {
        "id": np.arange(start + 1, start + n + 1, dtype=np.int64),
        "label": names[found.label[rows]] if n else np.zeros(0, object),
        "score": found.score[rows],
        "length_m": length,
        "width_m": width,
        "heading_deg": heading if result.has_heading else np.full(n, np.nan),
        "area_m2": area,
        "scale": np.left_shift(np.int64(1), level),
        "window": found.window[rows],
        "scene": np.full(n, text(frame.name), dtype=object),
        "datetime": _times(frame.datetime, n),
    }
    return _frame(columns, _polygons(boxes, frame), frame)


def detection_polygons(detections: Detections, frame: SceneFrame) -> NDArray[np.object_]:
    """Map polygons `[N]` of detections, as in the layer."""
    return _polygons(detections.boxes, frame)


def _polygons(boxes: Boxes, frame: SceneFrame) -> NDArray[np.object_]:
    """Map polygons `[N]` of boxes `[N, 5]`."""
    rings = map_rings(corners(boxes), map_transform(frame))  # [N, 4, 2]
    return np.asarray(shapely.polygons(rings), dtype=object)


def window_batches(result: RunResult, *, batch: int = BATCH) -> Iterator[GeoDataFrame]:
    """The `windows` layer in batches: one row a window, the polygon of its core; one empty batch without windows."""
    for start in range(0, max(len(result.windows), 1), batch):
        yield _window_frame(result.windows[start : start + batch], result.frame)


def _window_frame(records: tuple[WindowRecord, ...], frame: SceneFrame) -> GeoDataFrame:
    cores = [record.core for record in records]
    edges = np.array([[c.row, c.col, c.height, c.width] for c in cores], np.int64).reshape(-1, 4)
    columns = {
        "id": np.array([r.index for r in records], np.int64),
        "kind": np.array([text(r.kind) for r in records], object),
        "scale": np.array([1 << r.window.level for r in records], np.int64),
        "reason": np.array([r.reason for r in records], object),
        "round": np.array([r.round for r in records], np.int64),
        "expected": _finite(np.array([r.expected for r in records], np.float64)),
        "found": np.array([r.found for r in records], np.int64),
        "status": np.array([r.status for r in records], object),
        "cause": np.array([text(r.cause) for r in records], object),
        "row": edges[:, 0],
        "col": edges[:, 1],
        "height": edges[:, 2],
        "width": edges[:, 3],
        **dict(zip(READ_COLUMNS, _read_pixels(records).T, strict=True)),
    }
    return _frame(columns, _rectangles(edges, frame), frame)


def failed_windows(result: RunResult) -> tuple[WindowRecord, ...]:
    """The windows that could not be read, by index."""
    return tuple(record for record in result.windows if record.status == "failed")


def failure_frame(result: RunResult) -> GeoDataFrame:
    """The `failures` layer: one row a window that could not be read, the polygon of its core: ground not searched."""
    records = failed_windows(result)
    edges = np.array([[r.core.row, r.core.col, r.core.height, r.core.width] for r in records], np.int64).reshape(-1, 4)
    columns = {
        "window": np.array([r.index for r in records], np.int64),
        "kind": np.array([text(r.kind) for r in records], object),
        "level": np.array([r.window.level for r in records], np.int64),
        "cause": np.array([text(r.cause) for r in records], object),
    }
    return _frame(columns, _rectangles(edges, result.frame), result.frame)


def _read_pixels(records: tuple[WindowRecord, ...]) -> NDArray[np.int64]:
    """`[N, 4]` row, col, height, width of what was read, in pixels of the window's own level."""
    windows = [record.window for record in records]
    return np.array([[w.row, w.col, w.height, w.width] for w in windows], np.int64).reshape(-1, 4)


def n_raw(result: RunResult) -> int:
    """Rows of the `raw` layer."""
    return 0 if result.raw is None else int(result.raw.is_finite().sum())


def raw_batches(result: RunResult, *, batch: int = BATCH) -> Iterator[GeoDataFrame]:
    """The `raw` layer in batches: what all windows found, as it was found; nothing where it was not kept.

    Boxes stand in pixels of level 0 beside their polygons, so that merging again starts from the same numbers.
    """
    if result.raw is None:
        return
    raw = result.raw.take(result.raw.is_finite())
    for start in range(0, max(len(raw), 1), batch):
        yield _raw_frame(result, raw.take(np.arange(start, min(start + batch, len(raw)))), start)


def _raw_frame(result: RunResult, part: Detections, start: int) -> GeoDataFrame:
    n = len(part)
    names = np.array([text(name) for name in result.classes], dtype=object)
    columns = {
        "id": np.arange(start + 1, start + n + 1, dtype=np.int64),
        "label": names[part.label] if n else np.zeros(0, object),
        "class": part.label,
        "score": part.score,
        "scale": np.left_shift(np.int64(1), part.level),
        "window": part.window,
        "cut": part.cut,
        **dict(zip(BOX_FIELDS, part.boxes.T, strict=True)),
    }
    return _frame(columns, _polygons(part.boxes, result.frame), result.frame)


def run_frame(result: RunResult) -> GeoDataFrame:
    """The `run` layer: one row with the scene's footprint and the facts of the run.

    Scalars become columns, nested values JSON text; a fact without a value is a null number.

    Raises:
        ValueError: a fact's name cannot be a column.
    """
    frame = result.frame
    row: dict[str, Any] = {
        "scene": text(frame.name),
        "datetime": text(frame.datetime),
        "height": frame.size.height,
        "width": frame.size.width,
        "transform": json.dumps(list(frame.transform[:6])),
        "has_heading": result.has_heading,
        "classes": json.dumps(list(result.classes), ensure_ascii=False),
        "n_detections": len(result.detections),
    }
    taken = set(row) | _RESERVED
    for name, value in result.facts.items():
        if not _COLUMN_NAME.fullmatch(name) or name.lower() in taken:
            msg = (
                f"the fact {name!r} cannot be a column: names are unique, [A-Za-z0-9_], and not one of {sorted(taken)}"
            )
            raise ValueError(msg)
        taken.add(name.lower())
        row[name] = _cell(value)
    columns = {name: np.array([value], object if isinstance(value, str) else None) for name, value in row.items()}
    scene = np.array([[0, 0, frame.size.height, frame.size.width]], np.int64)
    return _frame(columns, _rectangles(scene, frame), frame)


def _cell(value: Any) -> str | float | bool:
    """A fact as a single table cell."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        return text(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else math.nan
    return text(json.dumps(value, sort_keys=True, ensure_ascii=False))


def _rectangles(edges: NDArray[np.int64], frame: SceneFrame) -> NDArray[np.object_]:
    """Map polygons `[N]` of pixel rectangles `[N, 4]` (row, col, height, width) of level 0."""
    row, col, height, width = edges.astype(np.float64).T
    x, y = [col, col + width, col + width, col], [row, row, row + height, row + height]
    points = np.stack([np.stack(x, -1), np.stack(y, -1)], -1)  # [N, 4, 2]
    return np.asarray(shapely.polygons(map_rings(points, map_transform(frame))), dtype=object)


def _times(stamp: str, n: int) -> Any:
    """A column of `n` equal times in UTC, null where the text is not a time."""
    import pandas as pd

    moment = utc(stamp)
    return pd.Series([pd.NaT if moment is None else pd.Timestamp(moment)] * n, dtype="datetime64[ms, UTC]")


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _frame(columns: dict[str, Any], polygons: NDArray[np.object_], frame: SceneFrame) -> GeoDataFrame:
    import geopandas as gpd

    return gpd.GeoDataFrame(columns, geometry=polygons, crs=frame.crs)
