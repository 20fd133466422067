"""Sparse GeoTIFFs of any size, written in a moment: blocks that are not painted are not in the file."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK = 512
UTM_31N, PIXEL_IS_AREA = 32631, 1
SHORT, LONG, DOUBLE, ASCII, LONG8 = 3, 4, 12, 2, 16


def write_sparse(
    path: Path,
    side: int,
    painted: Iterable[tuple[int, int, NDArray[np.uint8]]],
    *,
    levels: int = 4,
    nodata: str | None = "0",
    pixel_m: float = 0.5,
) -> Path:
    """A square RGB BigTIFF, tiled, uncompressed, with overviews, all of it sparse.

    Args:
        path: the file.
        side: in pixels.
        painted: row, column and pixels `[3, h, w]` of areas that are not empty; all multiples of `BLOCK`.
        levels: overviews, each half of the one before, block means.
        nodata: as GDAL stores it, None for none.
        pixel_m: side of a pixel.
    """
    painted = list(painted)
    with path.open("wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16))
        for level in range(levels + 1):
            held = -(-side // (1 << level))
            across = -(-held // BLOCK)
            blocks: dict[int, NDArray[np.uint8]] = {}
            for row, col, pixels in painted:
                _paint(blocks, pixels, row >> level, col >> level, level=level, across=across)
            start = 16 if level == 0 else file.tell()
            place = _Directory(start, last=level == levels)
            offsets, counts = np.zeros(across**2, np.uint64), np.zeros(across**2, np.uint64)
            place.add(254, LONG, [int(level > 0)])
            place.add(256, LONG, [held])
            place.add(257, LONG, [held])
            place.add(258, SHORT, [8, 8, 8])
            place.add(259, SHORT, [1])
            place.add(262, SHORT, [2])
            place.add(277, SHORT, [3])
            place.add(284, SHORT, [1])
            place.add(322, LONG, [BLOCK])
            place.add(323, LONG, [BLOCK])
            place.add(324, LONG8, offsets)
            place.add(325, LONG8, counts)
            if level == 0:
                place.add(33550, DOUBLE, [pixel_m, pixel_m, 0.0])
                place.add(33922, DOUBLE, [0.0, 0.0, 0.0, 500_000.0, 5_000_000.0, 0.0])
                keys = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, PIXEL_IS_AREA, 3072, 0, 1, UTM_31N]
                place.add(34735, SHORT, keys)
            if nodata is not None:
                place.add(42113, ASCII, [*nodata.encode(), 0])
            end = place.end
            for number in sorted(blocks):
                offsets[number], counts[number] = end, blocks[number].nbytes
                end += blocks[number].nbytes
            file.write(place.packed(following=end))
            for number in sorted(blocks):
                file.write(blocks[number].tobytes())
    return path


def _paint(
    blocks: dict[int, NDArray[np.uint8]], pixels: NDArray[np.uint8], row: int, col: int, *, level: int, across: int
) -> None:
    """Put an area's means into the blocks of one level."""
    step = 1 << level
    bands, height, width = pixels.shape
    means = pixels.reshape(bands, height // step, step, width // step, step).mean((2, 4)).round().astype(np.uint8)
    for i in range(row // BLOCK, -(-(row + height // step) // BLOCK)):
        for j in range(col // BLOCK, -(-(col + width // step) // BLOCK)):
            block = blocks.setdefault(i * across + j, np.zeros((BLOCK, BLOCK, 3), np.uint8))
            top, left = max(row, i * BLOCK), max(col, j * BLOCK)
            bottom = min(row + means.shape[1], (i + 1) * BLOCK)
            right = min(col + means.shape[2], (j + 1) * BLOCK)
            part = means[:, top - row : bottom - row, left - col : right - col]
            block[top - i * BLOCK : bottom - i * BLOCK, left - j * BLOCK : right - j * BLOCK] = np.moveaxis(part, 0, -1)


class _Directory:
    """One image file directory of a BigTIFF with its values behind it."""

    def __init__(self, start: int, *, last: bool) -> None:
        self.start, self.last = start, last
        self.entries: list[tuple[int, int, object]] = []

    def add(self, tag: int, kind: int, values: object) -> None:
        self.entries.append((tag, kind, values))

    @property
    def end(self) -> int:
        return len(self.packed(following=0)) + self.start

    def packed(self, *, following: int) -> bytes:
        behind = self.start + 8 + 20 * len(self.entries) + 8
        head, tail = struct.pack("<Q", len(self.entries)), b""
        for tag, kind, values in self.entries:
            raw = bytes(values) if kind == ASCII else np.asarray(values).astype(f"<{_numpy(kind)}").tobytes()
            field = raw.ljust(8, b"\0") if len(raw) <= 8 else struct.pack("<Q", behind + len(tail))
            tail += raw if len(raw) > 8 else b""
            head += struct.pack("<HHQ", tag, kind, len(values)) + field
        return head + struct.pack("<Q", 0 if self.last else following) + tail


def _numpy(kind: int) -> str:
    return {SHORT: "u2", LONG: "u4", DOUBLE: "f8", LONG8: "u8"}[kind]
