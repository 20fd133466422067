"""The detections of a result as people see and review them, read from its GeoPackage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geopdn.detections import SceneFrame, WindowRecord
from geopdn.errors import ResultError
from geopdn.geometry.ground import map_to_pixel
from geopdn.output.fields import MISSED, PICTURE, REVIEW, REVIEWS, RIGHT
from geopdn.output.frames import map_transform
from geopdn.output.saved import AGAIN, EXPECTED, layers_of, read_head, read_windows

COLUMNS = ("id", "label", "score", "length_m", "width_m", "heading_deg", "area_m2", "scale", "window")


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a result says, as a report and a review need it.

    Attributes:
        path: the file.
        frame: georeferencing of the grid.
        classes: class names.
        has_heading: whether boxes say a heading.
        windows: in the order of their index.
        facts: of the run.
        table: the detections, N rows with `COLUMNS`, `review` (empty text where nothing is marked), the best first,
            and `picture` where the file has that column.
        rings: `[N, K, 2]` object array of outlines, each in the grid's pixels.
        added: outlines and classes of objects that people added.
        digest: of the detections, without what people said of them.
    """

    path: Path
    frame: SceneFrame
    classes: tuple[str, ...]
    has_heading: bool
    windows: tuple[WindowRecord, ...]
    facts: dict[str, Any]
    table: Any
    rings: tuple[NDArray[np.float64], ...]
    added: tuple[tuple[str, NDArray[np.float64]], ...]
    digest: str

    def __len__(self) -> int:
        return len(self.table)


def read_found(path: str | Path) -> Found:
    """Read a result; the file is opened for reading only.

    Raises:
        ResultError: it is not a GeoPackage that `geopdn detect`, `merge` or `review` wrote.
    """
    import pyogrio

    path = Path(path)
    try:
        layers_of(path, needed=("detections", "windows", "run"))
        return _read(path)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {error}; {EXPECTED}"
        raise ResultError(msg) from error
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        msg = f"{path} holds values that geopdn did not write ({error}): {AGAIN}"
        raise ResultError(msg) from error


def _read(path: Path) -> Found:
    import pyogrio

    frame, classes, has_heading, facts = read_head(path)
    table = pyogrio.read_dataframe(path, layer="detections")
    absent = [name for name in COLUMNS if name not in table.columns]
    if absent:
        raise ValueError(f"layer `detections` has no column {absent[0]!r}")
    table[REVIEW] = _reviews(table, path)
    added = table[table[REVIEW].isin((MISSED, RIGHT)) & table["score"].isna()]
    table = table[table["score"].notna()].sort_values(["score", "id"], ascending=[False, True], ignore_index=True)
    if table["id"].isna().any() or table["id"].duplicated().any():
        raise ValueError("the column `id` of layer `detections` does not number the detections")
    kept = [*COLUMNS, REVIEW, *([PICTURE] if PICTURE in table.columns else [])]
    return Found(
        path=path,
        frame=frame,
        classes=classes,
        has_heading=has_heading,
        windows=read_windows(path),
        facts=facts,
        table=table[kept],
        rings=_rings(table.geometry, frame),
        added=tuple(zip([_text(v) for v in added["label"]], _rings(added.geometry, frame), strict=True)),
        digest=_digest(table),
    )


def _reviews(table: Any, path: Path) -> list[str]:
    """Marks in lower case, empty where there is none."""
    if REVIEW not in table.columns:
        return [""] * len(table)
    marks = [_text(value).strip().lower() for value in table[REVIEW]]
    odd = sorted(set(marks) - {"", *REVIEWS})
    if odd:
        msg = f"{path}: column {REVIEW!r} should hold {', '.join(REVIEWS)} or nothing, found {odd[:5]}: correct it"
        raise ResultError(msg)
    return marks


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _rings(geometries: Any, frame: SceneFrame) -> tuple[NDArray[np.float64], ...]:
    """Outlines in the grid's pixels, without the repeated last corner; empty geometries have none."""
    hulls = shapely.convex_hull(np.asarray(geometries.values, object))  # [N]; missing ones stay so
    points, owner = shapely.get_coordinates(hulls, return_index=True)
    pixels = map_to_pixel(points.reshape(-1, 2), map_transform(frame))
    counts = np.bincount(owner, minlength=len(hulls))
    if not len(hulls):
        return ()
    return tuple(ring[:-1] for ring in np.split(pixels, np.cumsum(counts)[:-1]))


def _digest(table: Any) -> str:
    """Of what was found, whatever people say of it: marks belong to these detections and no others."""
    ordered = table.sort_values("id")
    hashed = hashlib.sha256()
    hashed.update(ordered["id"].to_numpy(np.int64).tobytes())
    for name in ("score", "length_m"):
        hashed.update(ordered[name].to_numpy(np.float64).tobytes())
    hashed.update("\0".join(map(_text, ordered["label"])).encode("utf-8", "replace"))
    return hashed.hexdigest()[:16]
