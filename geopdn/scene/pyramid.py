"""Levels of a file: from its overviews where it has them, else averaged from full resolution."""

from __future__ import annotations

import math
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.errors import RasterioError

from geopdn.errors import OverviewMismatchWarning
from geopdn.geometry.window import Size, Window
from geopdn.scene.decode import Span, has_mask_band
from geopdn.scene.fidelity import is_mean, places
from geopdn.scene.handles import cause
from geopdn.scene.levels import block_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from geopdn.scene.decode import Decoder
    from geopdn.scene.handles import Handles

    Masked = tuple[NDArray[Any], NDArray[np.bool_] | None]

CHUNK_PX = 4 << 20
"""Pixels that are averaged in one go; bounds the memory of a read at a coarse level."""


@dataclass(frozen=True, slots=True)
class Overview:
    """One overview of a file that stands for a level."""

    level: int
    """Its sides are those of level 0 halved so many times, give or take the rounding of whoever wrote it."""
    number: int
    """Which of the file's, from 0."""
    size: Size
    """Its true size."""


class Pyramid:
    """Reads windows of any level of one file; call it inside `environment()`.

    Args:
        handles: the file.
        decoder: how its samples are read.
        block: what GDAL decodes at a time.
        use_overviews: False to read full resolution only.
    """

    def __init__(self, handles: Handles, decoder: Decoder, *, block: Size, use_overviews: bool) -> None:
        self._handles, self._decoder, self._block = handles, decoder, block
        dataset = handles.get()
        self.size = Size(dataset.height, dataset.width)
        self.overviews: tuple[Overview, ...] = tuple(self._find_overviews(dataset)) if use_overviews else ()
        self._are_means: bool | None = None  # until it has been asked
        self._asking = threading.Lock()

    def _find_overviews(self, dataset: Any) -> Iterator[Overview]:
        """The overviews that stand for a level, and carry the mask where the file has one."""
        seen = {0}
        for number in range(len(dataset.overviews(self._decoder.indexes[0]))):
            overview = self._handles.get(number)
            level = round(math.log2(max(self.size.height / overview.height, self.size.width / overview.width, 1.0)))
            pairs = ((overview.height, self.size.height), (overview.width, self.size.width))
            fits = all(abs((held << level) - full) < 2 << level for held, full in pairs)
            masked = not self._decoder.has_mask or has_mask_band(overview)
            if fits and masked and level not in seen:
                seen.add(level)
                yield Overview(level, number, Size(overview.height, overview.width))

    def read(self, window: Window) -> Masked:
        """Values `[C, height, width]` and mask (None for all valid) of a window that lies inside its level.

        See `_overview_for` on what it is read from. Where a local file's overview is corrupt, overviews are given up
        for good, with a warning.

        Raises:
            rasterio.errors.RasterioError: a block cannot be read.
        """
        overview = self._overview_for(window.level)
        if overview is not None:
            try:
                return self._average(window, overview)
            except RasterioError as error:
                if self._handles.is_remote:  # reading more would not help
                    raise
                self.overviews = ()
                warnings.warn(
                    f"{self._handles.path}: an overview cannot be read, full resolution is used: {cause(error)}",
                    OverviewMismatchWarning,
                    stacklevel=3,
                )
        return self._average(window, None)

    def _overview_for(self, level: int) -> Overview | None:
        """What a level is read from, None for full resolution.

        The coarsest overview that is fine enough. Where the file's overviews are not means, the pixels of half the
        size that lie under it are averaged instead, if the file has them: four times the decoding, no more.
        """
        fine = [overview for overview in self.overviews if overview.level <= level]
        found = max(fine, key=lambda overview: overview.level, default=None)
        if found is None or found.level < level or self.are_means():
            return found
        if level == 1:
            return None
        return next((overview for overview in fine if overview.level == level - 1), found)

    def are_means(self) -> bool:
        """Whether the file's overviews are means of its pixels: the finest is compared with them, once."""
        with self._asking:
            if self._are_means is None:
                self._are_means = self._compare()
            return self._are_means

    def _compare(self) -> bool:
        """Whether no place says that the finest overview is something else than means."""
        finest = min(self.overviews, key=lambda overview: overview.level, default=None)
        if finest is None:
            return True
        step = 1 << finest.level
        for window in places(self.size, level=finest.level):
            try:
                shown = self._read_under(window, finest, step=1)
                under = self._read_under(window, None, step=step)
            except RasterioError:
                continue
            if is_mean(shown, under, step=step) is False:
                return False
        return True

    def _average(self, window: Window, overview: Overview | None) -> Masked:
        """A window from the pixels of an overview or of level 0, in chunks of bounded size."""
        step = 1 << (window.level - (overview.level if overview else 0))
        parts = list(_chunks(window, step=step, block=self._block))
        if len(parts) == 1:
            return block_mean(*self._read_under(window, overview, step=step), step)
        values: NDArray[Any] | None = None
        valid = np.ones((window.height, window.width), np.bool_)
        masked = False
        for part in parts:
            means, mask = block_mean(*self._read_under(part, overview, step=step), step)
            if values is None:
                values = np.empty((len(means), window.height, window.width), means.dtype)
            rows = slice(part.row - window.row, part.row_stop - window.row)
            cols = slice(part.col - window.col, part.col_stop - window.col)
            values[:, rows, cols] = means
            if mask is not None:
                valid[rows, cols], masked = mask, True
        assert values is not None
        return values, valid if masked else None

    def _read_under(self, window: Window, overview: Overview | None, *, step: int) -> Masked:
        """The finer pixels, `step` times smaller, that lie under a window."""
        level = overview.level if overview else 0
        size = self.size.at_level(level)
        row, col = window.row * step, window.col * step
        height = min(window.row_stop * step, size.height) - row
        width = min(window.col_stop * step, size.width) - col
        if overview is None:
            return self._decoder.read(self._handles.get(), Span(row, col, height, width))
        rows = _overview_pixels(row, height, level=level, full=self.size.height, held=overview.size.height)
        cols = _overview_pixels(col, width, level=level, full=self.size.width, held=overview.size.width)
        span = Span(int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1)
        values, valid = self._decoder.read(self._handles.get(overview.number), span, resampled=True)
        if (np.diff(rows) != 1).any() or (np.diff(cols) != 1).any():
            grid = np.ix_(rows - rows[0], cols - cols[0])
            values, valid = values[:, *grid], None if valid is None else valid[grid]
        return values, valid


def _overview_pixels(start: int, length: int, *, level: int, full: int, held: int) -> NDArray[np.int64]:
    """Which overview pixels `[length]` hold the centres of a level's pixels, along one axis.

    An overview of `held` pixels spreads over all `full` ones, so its pixels are `full / held` wide and not
    `2**level`: without this, an overview of 126 pixels would lie 8 pixels off at the far side of a scene of 1001.
    """
    centres = (np.arange(start, start + length) + 0.5) * (1 << level)
    pixels: NDArray[np.int64] = np.clip(np.floor(centres * held / full).astype(np.int64), 0, held - 1)
    return pixels


def _chunks(window: Window, *, step: int, block: Size) -> Iterator[Window]:
    """Cut a window into parts of about `CHUNK_PX` source pixels, along multiples of the block size."""
    if step == 1 or window.area * step * step <= CHUNK_PX:
        yield window
        return
    wide = max(_multiple(block.width, math.isqrt(CHUNK_PX)), step)
    tall = max(_multiple(block.height, max(CHUNK_PX // wide, 1)), step)
    wide, tall = wide // step, tall // step  # in the window's own pixels
    row = window.row
    while row < window.row_stop:
        height = min((row // tall + 1) * tall, window.row_stop) - row
        col = window.col
        while col < window.col_stop:
            width = min((col // wide + 1) * wide, window.col_stop) - col
            yield Window(row, col, height, width, window.level)
            col += width
        row += height


def _multiple(unit: int, target: int) -> int:
    """The largest multiple of `unit` up to `target`, at least one."""
    return max(target // unit, 1) * unit
