"""Read back a run from a GeoPackage that geopdn wrote: everything but its detections, which merging makes anew."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from geopdn.detections import Detections, SceneFrame, WindowRecord
from geopdn.errors import ResultError
from geopdn.geometry.boxes import BOX_FIELDS
from geopdn.geometry.window import Size, Window
from geopdn.output.fields import PICTURE
from geopdn.output.frames import READ_COLUMNS, detection_polygons
from geopdn.output.geopackage import NO_SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame

BATCH = 200_000  # rows read at a time
EXPECTED = "expected a .gpkg that `geopdn detect` wrote"
AGAIN = "search the scene again with `geopdn detect`"

RAW_COLUMNS = ("class", "score", "scale", "window", "cut", *BOX_FIELDS)
CORE_COLUMNS = ("row", "col", "height", "width")
WINDOW_COLUMNS = (
    *("id", "kind", "scale", "reason", "round", "expected", "found", "status", "cause"),
    *CORE_COLUMNS,
    *READ_COLUMNS,
)
RUN_COLUMNS = ("scene", "datetime", "height", "width", "transform", "has_heading", "classes", "n_detections")
"""Columns of the `run` layer that are not facts."""


@dataclass(frozen=True, slots=True, eq=False)
class SavedRun:
    """A run without its detections; fields as of `RunResult`.

    Attributes:
        frame: georeferencing of the grid.
        classes: class names.
        has_heading: whether boxes say a heading.
        windows: in the order of their index.
        facts: of the run.
        raw: what all windows found.
        pictures: JPEG files by the polygon (WKB) of the detection that they show.
    """

    frame: SceneFrame
    classes: tuple[str, ...]
    has_heading: bool
    windows: tuple[WindowRecord, ...]
    facts: dict[str, Any]
    raw: Detections
    pictures: dict[bytes, bytes] = field(default_factory=dict)


def read_run(path: str | Path) -> SavedRun:
    """Read the layers `run`, `windows` and `raw`; the file is opened for reading only.

    Raises:
        ResultError: it is not such a file, or what it holds does not belong together.
    """
    import pyogrio

    path = Path(path)
    if not path.is_file():
        msg = f"{path} is not a file: {EXPECTED}"
        raise ResultError(msg)
    if path.suffix.lower() != ".gpkg":
        msg = f"{path} ends in {path.suffix!r}, which keeps no raw detections: {EXPECTED}"
        raise ResultError(msg)
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        if "run" not in layers or "windows" not in layers:
            msg = f"{path} has the layers {layers}, not `run`, `windows` and `raw`: {EXPECTED}"
            raise ResultError(msg)
        if "raw" not in layers:
            msg = f"{path} has no layer `raw`, so its detections cannot be made again: {AGAIN}"
            raise ResultError(msg)
        return _read(path)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}; {EXPECTED}"
        raise ResultError(msg) from error
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        msg = f"{path} holds values that geopdn did not write ({error}): {AGAIN}"
        raise ResultError(msg) from error


def layers_of(path: Path, *, needed: Sequence[str]) -> list[str]:
    """The layers of a result's GeoPackage.

    Raises:
        ResultError: it is no GeoPackage, or one of those needed is missing.
        pyogrio.errors.DataSourceError: it cannot be opened.
    """
    import pyogrio

    if not path.is_file() or path.suffix.lower() != ".gpkg":
        msg = f"{path} is not a GeoPackage: {EXPECTED}"
        raise ResultError(msg)
    layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
    missing = [name for name in needed if name not in layers]
    if missing:
        msg = f"{path} has no layer {missing[0]!r}, only {layers}: {EXPECTED}"
        raise ResultError(msg)
    return layers


def read_head(path: Path) -> tuple[SceneFrame, tuple[str, ...], bool, dict[str, Any]]:
    """The frame, the classes, whether boxes say a heading, and the facts: what the layer `run` says.

    Raises:
        ValueError: a value is not geopdn's; as KeyError and TypeError.
    """
    import pyogrio

    table = _rows(path, "run", RUN_COLUMNS)
    if len(table) != 1:
        raise ValueError(f"layer `run` has {len(table)} rows instead of 1")
    row = {name: table[name].tolist()[0] for name in table.columns}
    crs = pyogrio.read_info(path, layer="run")["crs"]
    system = None if crs is None else CRS.from_user_input(crs)
    frame = SceneFrame(
        name=str(row["scene"]),
        size=Size(int(row["height"]), int(row["width"])),
        transform=Affine(*json.loads(row["transform"])),
        crs=None if system is None or system.name.startswith(NO_SYSTEM) else system,
        datetime=row["datetime"] or "",
    )
    classes = tuple(str(name) for name in json.loads(row["classes"]))
    facts = {name: _fact(value) for name, value in row.items() if name not in RUN_COLUMNS}
    return frame, classes, bool(row["has_heading"]), facts


def read_windows(path: Path) -> tuple[WindowRecord, ...]:
    """The `windows` layer, whose rows stand in the order of their index.

    Raises:
        ValueError: a value is not geopdn's; as KeyError and TypeError.
    """
    return _windows(_rows(path, "windows", WINDOW_COLUMNS))


def _read(path: Path) -> SavedRun:
    """`read_run`; what does not fit raises ValueError, KeyError or TypeError."""
    frame, classes, has_heading, facts = read_head(path)
    windows = read_windows(path)
    raw = _raw(path)
    for name, values, stop in (("class", raw.label, len(classes)), ("window", raw.window, len(windows))):
        if len(values) and not (values.min() >= 0 and values.max() < stop):
            raise ValueError(f"layer `raw` has a {name} of {values.max()} where there are {stop}")
    return SavedRun(frame, classes, has_heading, windows, facts, raw, _pictures(path))


def _rows(path: Path, layer: str, columns: Sequence[str], *, skip: int = 0, limit: int | None = None) -> DataFrame:
    """Rows of a layer without geometry; the named columns must be there."""
    import pyogrio

    wanted = None if layer == "run" else list(columns)
    table: DataFrame = pyogrio.read_dataframe(
        path, layer=layer, columns=wanted, read_geometry=False, skip_features=skip, max_features=limit
    )
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise ValueError(f"layer `{layer}` has no column {missing[0]!r}")
    return table


def _raw(path: Path) -> Detections:
    """The `raw` layer, in batches; boxes and scores that are empty are not finite."""
    import pyogrio

    n = int(pyogrio.read_info(path, layer="raw", force_feature_count=True)["features"])
    parts = []
    for start in range(0, n, BATCH):
        table = _rows(path, "raw", RAW_COLUMNS, skip=start, limit=BATCH)
        parts.append(
            Detections(
                boxes=table[list(BOX_FIELDS)].to_numpy(np.float64),
                score=table["score"].to_numpy(np.float64),
                label=table["class"].to_numpy(np.int64),
                window=table["window"].to_numpy(np.int64),
                level=_levels(table),
                cut=table["cut"].to_numpy(np.bool_),
            )
        )
    return Detections.concatenate(parts)


def _pictures(path: Path) -> dict[bytes, bytes]:
    """Pictures of detections by their polygons."""
    import pyogrio

    if PICTURE not in pyogrio.read_info(path, layer="detections")["fields"]:
        return {}
    table = pyogrio.read_dataframe(path, layer="detections", columns=[PICTURE], where=f"{PICTURE} IS NOT NULL")
    polygons = shapely.to_wkb(np.asarray(table.geometry.values, object))
    return dict(zip(polygons.tolist(), map(bytes, table[PICTURE]), strict=True))


def pictures_again(detections: Detections, run: SavedRun) -> tuple[bytes, ...]:
    """Pictures of new detections of a saved run: of those whose boxes it had found, too; empty for others."""
    if not run.pictures:
        return ()
    polygons = shapely.to_wkb(detection_polygons(detections, run.frame)).tolist()
    known = [run.pictures.get(polygon, b"") for polygon in polygons]
    n = max((number for number, picture in enumerate(known, start=1) if picture), default=0)
    return tuple(known[:n])


def _levels(table: DataFrame) -> NDArray[np.int64]:
    """Levels of scales, which are powers of two."""
    scale = table["scale"].to_numpy(np.int64)
    level: NDArray[np.int64] = np.round(np.log2(np.maximum(scale, 1))).astype(np.int64)
    if not (scale == np.left_shift(np.int64(1), level)).all():
        raise ValueError("a scale is not a power of two")
    return level


def _windows(table: DataFrame) -> tuple[WindowRecord, ...]:
    """The `windows` layer, whose rows stand in the order of their index."""
    if table["id"].tolist() != list(range(len(table))):
        raise ValueError("layer `windows` is not numbered from 0")
    columns = [table[name].tolist() for name in WINDOW_COLUMNS if name not in (*CORE_COLUMNS, *READ_COLUMNS, "scale")]
    cores, reads = (table[list(names)].to_numpy(np.int64) for names in (CORE_COLUMNS, READ_COLUMNS))
    read_windows = np.column_stack([reads, _levels(table)]).tolist()
    return tuple(
        WindowRecord(index, Window(*read), Window(*core), kind, reason, round_, expected, found, status, cause)
        for (index, kind, reason, round_, expected, found, status, cause), core, read in zip(
            zip(*columns, strict=True), cores.tolist(), read_windows, strict=True
        )
    )


def _fact(value: Any) -> Any:
    """A cell of the `run` layer as the fact that it was written from."""
    if isinstance(value, float) and np.isnan(value):
        return None
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            nested = json.loads(value)
        except ValueError:
            return value
        return nested if json.dumps(nested, sort_keys=True, ensure_ascii=False) == value else value
    return value
