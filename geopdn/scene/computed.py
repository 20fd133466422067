"""An overview computed from all pixels of a scene and kept, in memory or in temporary files."""

from __future__ import annotations

import os
import tempfile
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
    from geopdn.geometry.window import Window
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
        memory_bytes: above this the cells lie in temporary files, which are removed when they are closed.

    Raises:
        ResourceLimitError: no room for the temporary files.
    """

    def __init__(
        self,
        source: PixelSource,
        *,
        level: int,
        progress: Callable[[int, int], None] | None,
        memory_bytes: int,
    ) -> None:
        size, n_bands = source.size.at_level(level), len(source.band_names)
        planes = (n_bands, size.height, size.width)
        kinds = {"mean": _mean_dtype(source.dtype), "low": source.dtype, "high": source.dtype}
        count = np.min_scalar_type(1 << (2 * level))
        total = size.area * (n_bands * sum(kind.itemsize for kind in kinds.values()) + count.itemsize)
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        if total > memory_bytes:
            self.folder = tempfile.TemporaryDirectory(prefix="geopdn-", ignore_cleanup_errors=True)
        try:
            self._cells: Cells | None = Cells(
                **{name: self._allocate(name, planes, kind) for name, kind in kinds.items()},
                count=self._allocate("count", planes[1:], count),
            )
            unread: list[Unread] = []

            def record(window: Window, error: SceneReadError) -> None:
                unread.append(Unread(window, str(error)))

            for window, cells in stream(source, level=level, progress=progress, on_failure=record):
                self._store(window, cells)
        except BaseException:
            self.close()
            raise
        self.unread = tuple(unread)

    def _allocate(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Zeros, in memory or in a file whose room is reserved: a full disk would end the process later."""
        if self.folder is None:
            return np.zeros(shape, dtype)
        path = Path(self.folder.name, name)
        try:
            with path.open("wb") as file:
                n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, n_bytes)
                else:
                    file.truncate(n_bytes)
            return np.memmap(path, dtype, mode="r+", shape=shape)
        except OSError as error:
            raise ResourceLimitError(
                f"no room for {n_bytes >> 20} MiB of a computed overview in {self.folder.name} ({error.strerror}): set "
                "TMPDIR to a larger disk, or write the overview once with `geopdn prepare`"
            ) from error

    def _store(self, window: Window, part: Cells) -> None:
        cells = self._held()
        place = np.s_[..., window.row : window.row_stop, window.col : window.col_stop]
        cells.mean[place], cells.low[place], cells.high[place] = part.mean, part.low, part.high
        cells.count[place] = part.count

    def read(self, window: Window) -> Cells:
        """The cells of a window inside their level."""
        cells = self._held()
        place = np.s_[..., window.row : window.row_stop, window.col : window.col_stop]
        return Cells(*(np.asarray(array[place]) for array in (cells.mean, cells.low, cells.high, cells.count)))

    def _held(self) -> Cells:
        if self._cells is None:
            msg = "the overview is closed: open it again"
            raise ValueError(msg)
        return self._cells

    def close(self) -> None:
        """Release memory and temporary files."""
        self._cells = None
        if self.folder is not None:
            self.folder.cleanup()


def _mean_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A float type that holds means of `dtype` with an error of at most 1/16."""
    if dtype.itemsize == 1:
        return np.dtype(np.float16)
    return np.dtype(np.float32 if dtype.itemsize == 2 or dtype == np.float32 else np.float64)
