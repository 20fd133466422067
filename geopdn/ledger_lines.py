"""What a ledger says of one window, as a line of text with its checksum."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from geopdn.detections import Detections, Status
from geopdn.geometry.window import Window

MAX_LINE = 1 << 26
"""Bytes of a line, at most; a window with a hundred thousand boxes takes a tenth of it."""

_CHECKED = re.compile(rb"[0-9a-f]{8} ")
_COLUMNS = (("boxes", "<f8", 5), ("score", "<f8", 1), ("label", "<i8", 1), ("cut", "|b1", 1))


@dataclass(frozen=True, slots=True)
class Key:
    """What makes a window of a run: the same pixels with another core, or with another grid, bring something else.

    Attributes:
        window: pixels read.
        core: the part whose objects belong to it.
        round: of the search; the grid that conditions the head changes between rounds.
    """

    window: Window
    core: Window
    round: int


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What one window brought.

    Attributes:
        status: `read`, `empty` or `failed`.
        cause: why it failed.
        detections: of its core; `window` is 0, the window's position belongs to the run.
        n_invalid: boxes that were dropped because they were not finite or had no area.
        tokens: `[16, dim]` float32 as they are fused, None where nothing is.
        pooled: `[dim]` float32, likewise.
    """

    status: Status
    cause: str
    detections: Detections
    n_invalid: int = 0
    tokens: NDArray[np.float32] | None = None
    pooled: NDArray[np.float32] | None = None


def checked_line(record: dict[str, Any]) -> bytes:
    """A record as a line: CRC32, JSON, newline."""
    body = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def record_of(line: bytes) -> dict[str, Any]:
    """The record of a line.

    Raises:
        ValueError: the line is cut or was changed.
    """
    body = line[9:-1]
    if not line.endswith(b"\n") or not _CHECKED.match(line) or int(line[:8], 16) != zlib.crc32(body):
        raise ValueError("the line is cut or was changed")
    record = json.loads(body)
    if not isinstance(record, dict):
        raise TypeError("the line holds no record")
    return record


def encode(key: Key, entry: Entry) -> bytes:
    """The line of a window; numbers are kept exactly."""
    w, c, found = key.window, key.core, entry.detections
    record: dict[str, Any] = {
        "window": [w.row, w.col, w.height, w.width, w.level],
        "core": [c.row, c.col, c.height, c.width],
        "round": key.round,
        "status": entry.status,
    }
    if entry.cause:
        record["cause"] = entry.cause
    if entry.n_invalid:
        record["invalid"] = entry.n_invalid
    if len(found):
        record["found"] = len(found)
        record |= {name: _text(getattr(found, name), dtype) for name, dtype, _ in _COLUMNS}
    if entry.tokens is not None and entry.pooled is not None:
        record |= {"tokens": _text(entry.tokens, "<f4"), "pooled": _text(entry.pooled, "<f4")}
    return checked_line(record)


def key_of(record: dict[str, Any]) -> Key:
    """The window that a record is of.

    Raises:
        ValueError: the record is of no window; so do KeyError and TypeError say.
    """
    row, col, height, width, level = record["window"]
    return Key(Window(row, col, height, width, level), Window(*record["core"]), int(record["round"]))


def entry_of(record: dict[str, Any]) -> Entry:
    """What a record says of its window.

    Raises:
        ValueError: it contradicts itself; so do KeyError and TypeError say.
    """
    status, n = record["status"], int(record.get("found", 0))
    if status not in get_args(Status) or n < 0:
        raise ValueError(f"status {status!r}, {n} boxes")
    found = Detections.empty()
    if n:
        columns = {name: _array(record[name], dtype, (n, width)) for name, dtype, width in _COLUMNS}
        level = np.full(n, record["window"][4], np.int64)
        flat = {name: columns[name].reshape(n) for name in ("score", "label", "cut")}
        found = Detections(boxes=columns["boxes"], window=np.zeros(n, np.int64), level=level, **flat)
    tokens = pooled = None
    if "pooled" in record:
        pooled = _array(record["pooled"], "<f4", (-1,))
        tokens = _array(record["tokens"], "<f4", (-1, len(pooled)))
    return Entry(status, str(record.get("cause", "")), found, int(record.get("invalid", 0)), tokens, pooled)


def _text(values: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def _array(text: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array, which no other holds; a text of another length is no array of that shape (ValueError)."""
    values = np.frombuffer(base64.b64decode(text, validate=True), dtype).reshape(shape)
    return values.astype(np.dtype(dtype).newbyteorder("="))
