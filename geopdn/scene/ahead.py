"""A level of a scene read in the background, while whoever will want it is still getting ready."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.errors import RasterioError

from geopdn.errors import SceneError
from geopdn.geometry.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from geopdn.geometry.window import Size

    Masked = tuple[NDArray[Any], NDArray[np.bool_] | None]

STRIP_ROWS = 256
MOST_BYTES = 96 << 20
"""Of values that are kept; of a larger level the first rows."""


class ReadAhead:
    """The first rows of a level, each strip of them read once: by a thread of its own, or by who needs it sooner.

    Args:
        read: reads a window that lies inside the level, from any thread.
        level: which.
        size: of the level.
        n_bands: of the values.
        dtype: likewise.
    """

    def __init__(
        self, read: Callable[[Window], Masked], *, level: int, size: Size, n_bands: int, dtype: np.dtype[Any]
    ) -> None:
        self.level = level
        self._read, self._size = read, size
        a_strip = STRIP_ROWS * size.width * n_bands * dtype.itemsize
        self._tops = range(0, min(size.height, STRIP_ROWS * (MOST_BYTES // a_strip)), STRIP_ROWS)
        rows = min(size.height, self._tops.stop) if self._tops else 0
        self._values = np.empty((n_bands, rows, size.width), dtype)
        self._masks: dict[int, NDArray[np.bool_]] = {}
        self._lock = threading.Lock()
        self._begun: dict[int, threading.Event] = {}
        self._failed: set[int] = set()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="geopdn-read-ahead", daemon=True)
        self._thread.start()

    def take(self, window: Window) -> Masked | None:
        """Values and mask of a window that lies inside the level; None where it is to be read in the usual way."""
        if window.row_stop > self._values.shape[1]:
            return None
        tops = range(window.row // STRIP_ROWS * STRIP_ROWS, window.row_stop, STRIP_ROWS)
        for top in tops:
            self._fill(top)
            if top in self._failed:
                return None
        values = self._values[:, window.row : window.row_stop, window.col : window.col_stop].copy()
        if not any(top in self._masks for top in tops):
            return values, None
        valid = np.ones(values.shape[1:], np.bool_)
        for top in tops:
            if top in self._masks:
                first, last = max(top, window.row), min(top + STRIP_ROWS, window.row_stop)
                mask = self._masks[top][first - top : last - top, window.col : window.col_stop]
                valid[first - window.row : last - window.row] = mask
        return values, valid

    def close(self) -> None:
        """Read no more; the strip that is being read is finished first."""
        self._over = True
        self._thread.join()

    def _run(self) -> None:
        for top in self._tops:
            if self._over:
                return
            self._fill(top)

    def _fill(self, top: int) -> None:
        """Read a strip, or wait for who has begun to."""
        with self._lock:
            begun = self._begun.get(top)
            mine = begun is None
            if begun is None:
                begun = self._begun[top] = threading.Event()
        if not mine:
            begun.wait()
            return
        try:
            rows = min(STRIP_ROWS, self._size.height - top)
            values, valid = self._read(Window(top, 0, rows, self._size.width, self.level))
            self._values[:, top : top + rows] = values
            if valid is not None:
                self._masks[top] = valid
        except (RasterioError, SceneError, MemoryError):  # who needs it reads it again, and meets the error
            self._failed.add(top)
        except BaseException:
            self._failed.add(top)
            raise
        finally:
            begun.set()
