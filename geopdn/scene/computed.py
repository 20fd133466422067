"""An overview computed from all pixels of a scene and kept, in memory or in a temporary file."""

from __future__ import annotations

import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geopdn.errors import ResourceLimitError
from geopdn.scene.cells import Cells, stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from geopdn.errors import SceneReadError
    from geopdn.geometry.window import Size, Window
    from geopdn.scene.reader import PixelSource


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of the overview that could not be computed, because a block of the scene is damaged."""

    window: Window
    """On the overview's level."""
    cause: str


class ComputedCells:
    """The cells of a whole scene, from one pass over its full resolution.

    Means are kept to 1/16 of a stored unit (8 bits), as float32 (16 bits, float32) or as float64.

    Args:
        source: what is read from.
        level: the cells' level.
        progress: called with the scene pixels done and in all.
        memory_bytes: above this the cells lie in a temporary file, which is removed when they are closed.
        part_bytes: see `stream`.

    Raises:
        ResourceLimitError: no room for the temporary file.
    """

    def __init__(
        self,
        source: PixelSource,
        *,
        level: int,
        progress: Callable[[int, int], None] | None,
        memory_bytes: int,
        part_bytes: int | None = None,
    ) -> None:
        size, n_bands = source.size.at_level(level), len(source.band_names)
        kind = np.dtype(
            [
                ("mean", _mean_dtype(source.dtype), n_bands),
                ("low", source.dtype, n_bands),
                ("high", source.dtype, n_bands),
                ("count", np.min_scalar_type(1 << (2 * level))),
            ]
        )
        total = size.area * kind.itemsize
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self._held: _InMemory | _OnDisk | None = None
        if total > memory_bytes:
            self.folder = tempfile.TemporaryDirectory(prefix="geopdn-", ignore_cleanup_errors=True)
        try:
            self._held = _InMemory(size, kind) if self.folder is None else _OnDisk(Path(self.folder.name), size, kind)
            unread: list[Unread] = []

            def record(window: Window, error: SceneReadError) -> None:
                unread.append(Unread(window, str(error)))

            for window, cells in stream(
                source, level=level, progress=progress, on_failure=record, part_bytes=part_bytes
            ):
                part = np.empty((window.height, window.width), kind)
                for name in ("mean", "low", "high"):
                    part[name] = np.moveaxis(getattr(cells, name), 0, -1)
                part["count"] = cells.count
                self._held.write(window, part)
        except BaseException:
            self.close()
            raise
        self.unread = tuple(unread)

    def read(self, window: Window) -> Cells:
        """The cells of a window inside their level."""
        if self._held is None:
            msg = "the overview is closed: open it again"
            raise ValueError(msg)
        part = self._held.read(window)
        mean, low, high = (np.ascontiguousarray(np.moveaxis(part[name], -1, 0)) for name in ("mean", "low", "high"))
        return Cells(mean, low, high, np.ascontiguousarray(part["count"]))

    def close(self) -> None:
        """Release memory and the temporary file."""
        if self._held is not None:
            self._held.close()
        self._held = None
        if self.folder is not None:
            self.folder.cleanup()


class _InMemory:
    """Records of all cells as an array."""

    def __init__(self, size: Size, kind: np.dtype[Any]) -> None:
        self._cells = np.zeros((size.height, size.width), kind)

    def write(self, window: Window, part: NDArray[Any]) -> None:
        self._cells[window.row : window.row_stop, window.col : window.col_stop] = part

    def read(self, window: Window) -> NDArray[Any]:
        return self._cells[window.row : window.row_stop, window.col : window.col_stop]

    def close(self) -> None:
        pass


class _OnDisk:
    """Records of all cells in a file, row by row. Written and read, not mapped: mapped pages count as memory.

    The file's room is reserved: a full disk would end the process later.
    """

    def __init__(self, folder: Path, size: Size, kind: np.dtype[Any]) -> None:
        self._kind, self._width = kind, size.width
        self._lock = threading.Lock()
        n_bytes = size.area * kind.itemsize
        try:
            self._file = (folder / "cells").open("w+b", buffering=0)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, n_bytes)
            else:
                self._file.truncate(n_bytes)
        except OSError as error:
            raise ResourceLimitError(
                f"no room for {n_bytes >> 20} MiB of a computed overview in {folder} ({error.strerror}): set TMPDIR to "
                "a larger disk, or write the overview once with `geopdn prepare`"
            ) from error

    def write(self, window: Window, part: NDArray[Any]) -> None:
        for offset, record in enumerate(part):
            with self._lock:
                self._seek(window.row + offset, window.col)
                self._file.write(record.tobytes())

    def read(self, window: Window) -> NDArray[Any]:
        part = np.empty((window.height, window.width), self._kind)
        rows = part.view(np.uint8).reshape(window.height, -1)
        for offset in range(window.height):
            with self._lock:
                self._seek(window.row + offset, window.col)
                self._file.readinto(rows[offset])
        return part

    def _seek(self, row: int, col: int) -> None:
        self._file.seek((row * self._width + col) * self._kind.itemsize)

    def close(self) -> None:
        self._file.close()


def _mean_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A float type that holds means of `dtype` with an error of at most 1/16."""
    if dtype.itemsize == 1:
        return np.dtype(np.float16)
    return np.dtype(np.float32 if dtype.itemsize == 2 or dtype == np.float32 else np.float64)
