"""What people say of detections, in the file that a report saves: right, wrong, and objects that were missed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geopdn.errors import ResultError
from geopdn.output.fields import RIGHT, WRONG

FORMAT = "geopdn marks 1"
LARGEST = 64 << 20
"""Bytes of a file of marks."""

_EXPECTED = "expected the file that a report of `geopdn report` saves"


@dataclass(frozen=True, slots=True)
class Missed:
    """An object that was not found; its place in the grid's pixels, its size on the ground."""

    column: float
    row: float
    size_m: float
    label: str


@dataclass(frozen=True, slots=True)
class Marks:
    """A review.

    Attributes:
        digest: of the detections it is about (`geopdn.output.found`).
        reviews: `right` or `wrong` by the detection's `id`, empty where an earlier mark was taken away.
        missed: objects to add.
    """

    digest: str
    reviews: dict[int, str]
    missed: tuple[Missed, ...]


def read_marks(path: str | Path) -> Marks:
    """Read marks.

    Raises:
        ResultError: it is not such a file, or a value in it is none.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            msg = f"{path} is larger than {LARGEST >> 20} MB: {_EXPECTED}"
            raise ResultError(msg)
        record: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}): {_EXPECTED}"
        raise ResultError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{path} is not JSON ({error}): {_EXPECTED}"
        raise ResultError(msg) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        msg = f"{path} is not of the format {FORMAT!r} but {found!r}: {_EXPECTED}"
        raise ResultError(msg)
    try:
        reviews = {int(number): str(mark) for number, mark in record["reviews"].items()}
        missed = tuple(
            Missed(float(one["column"]), float(one["row"]), float(one["size_m"]), str(one["label"]))
            for one in record["missed"]
        )
        marks = Marks(str(record["digest"]), reviews, missed)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        msg = f"{path} holds marks that no report wrote ({error!r}): {_EXPECTED}"
        raise ResultError(msg) from error
    odd = sorted(set(reviews.values()) - {RIGHT, WRONG, ""})
    if odd:
        msg = f"{path}: marks are {RIGHT}, {WRONG} or empty, found {odd[:5]}: correct the file"
        raise ResultError(msg)
    if not all(math.isfinite(v) for one in missed for v in (one.column, one.row)) or not all(
        math.isfinite(one.size_m) and one.size_m > 0 for one in missed
    ):
        msg = f"{path}: a missed object has no place or no size: correct the file"
        raise ResultError(msg)
    return marks
