"""What the page's script is given: detections, windows and pictures as plain values, in pixels of the grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geopdn.errors import GeoreferenceError
from geopdn.geometry.ground import pixel_size
from geopdn.output.fields import PICTURE, REVIEW
from geopdn.output.marks import FORMAT
from geopdn.output.report.images import Placed, data_uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopdn.detections import SceneFrame, WindowRecord
    from geopdn.output.found import Found

MOST_LISTED = 5000
"""Detections, the best first, that the page lists and draws: browsers slow down beyond."""
DEFAULT_SIZE_M = 10.0
"""Of missed objects where nothing was found that tells it."""


def page_record(
    found: Found, *, whole: Placed | None, expected: Placed | None, close_ups: Sequence[Placed | None]
) -> dict[str, Any]:
    """Everything that the script shows.

    Args:
        found: the result.
        whole: the scene.
        expected: expected counts.
        close_ups: of the best detections, in their order.
    """
    metre_px = _pixel_m(found.frame)
    return {
        "format": FORMAT,
        "result": found.path.name,
        "scene": found.frame.name,
        "digest": found.digest,
        "size": [found.frame.size.width, found.frame.size.height],
        "pixelM": metre_px,
        "unit": "px" if found.frame.crs is None else "m",
        "classes": list(found.classes),
        "whole": None if whole is None else whole.as_record(),
        "expected": None if expected is None else expected.as_record(),
        "windows": _windows(found.windows),
        "detections": detection_records(found, close_ups=close_ups),
        "added": [{"label": label, "ring": _ring(ring)} for label, ring in found.added],
        "missedSize": _usual_size(found, metre_px),
    }


def detection_records(found: Found, *, close_ups: Sequence[Placed | None]) -> list[dict[str, Any]]:
    """The best detections; without close-ups those pictures that the result keeps."""
    rows = found.table.head(MOST_LISTED).to_dict("records")
    listed = []
    for number, (row, ring) in enumerate(zip(rows, found.rings[: len(rows)], strict=True)):
        record = {
            "id": int(row["id"]),
            "label": str(row["label"]),
            "score": round(float(row["score"]), 4),
            "length": _number(row["length_m"], 1),
            "width": _number(row["width_m"], 1),
            "heading": _number(row["heading_deg"], 0),
            "area": _number(row["area_m2"], 0),
            "scale": int(row["scale"]),
            "window": int(row["window"]),
            "review": row[REVIEW],
            "ring": _ring(ring),
        }
        kept = row.get(PICTURE)
        close_up = close_ups[number] if number < len(close_ups) else None
        if close_up is not None:
            record["picture"] = close_up.as_record()
        elif not close_ups and isinstance(kept, bytes) and kept:
            record["picture"] = {"href": data_uri(kept, "image/jpeg")}
        listed.append(record)
    return listed


def _number(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def _ring(points: NDArray[np.float64]) -> list[float]:
    """`[x0, y0, x1, y1, ...]`."""
    return [round(value, 2) for value in points.ravel().tolist()]


def _windows(windows: Sequence[WindowRecord]) -> list[dict[str, str]]:
    """One path for all windows that are drawn alike."""
    paths: dict[str, list[str]] = {}
    for record in windows:
        kind = "failed" if record.status == "failed" else f"scale{min(1 << record.window.level, 8)}"
        core = record.core
        paths.setdefault(kind, []).append(f"M{core.col} {core.row}h{core.width}v{core.height}h-{core.width}z")
    return [{"kind": kind, "path": "".join(parts)} for kind, parts in sorted(paths.items())]


def _pixel_m(frame: SceneFrame) -> float:
    """Ground size of a pixel in the middle; 1 where there is none."""
    if frame.crs is None:
        return 1.0
    try:
        size = pixel_size(frame.transform, frame.crs, col=frame.size.width / 2, row=frame.size.height / 2)
    except GeoreferenceError:
        return 1.0
    return size.mean_m


def _usual_size(found: Found, metre_px: float) -> float:
    """The median length of what was found; without a CRS in pixels."""
    lengths = found.table["length_m"].to_numpy(np.float64)
    if found.frame.crs is None:
        lengths = np.array([np.ptp(ring, axis=0).max() * metre_px for ring in found.rings if len(ring)])
    known = lengths[np.isfinite(lengths)]
    return round(float(np.median(known)), 1) if len(known) else DEFAULT_SIZE_M
