"""The overview that the network looks at: the whole scene at low resolution, from the cheapest source there is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from geopdn.errors import NoOverviewsWarning
from geopdn.scene.agreement import warn_of_mismatch
from geopdn.scene.cells import Cells, existing, largest_part
from geopdn.scene.computed import ComputedCells, Unread
from geopdn.scene.reader import AHEAD_CACHE, Pixels, Scene
from geopdn.scene.resample import ResampledScene
from geopdn.scene.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from geopdn.geometry.window import Window
    from geopdn.scene.radiometry import Stretch
    from geopdn.scene.reader import PixelSource

COSTLY_PX = 64 << 20
"""Scenes of more pixels than this are worth a warning where they have no overviews."""


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """A window of the overview, in stretched values as of `Stretch.apply`."""

    mean: NDArray[np.float32]
    """`[C, h, w]`, 0 where no scene pixel is valid."""
    low: NDArray[np.float32] | None
    """`[C, h, w]` minimum of the valid scene pixels, 0 where there are none; None where only the mean is known."""
    high: NDArray[np.float32] | None
    """`[C, h, w]` maximum, as `low`."""
    valid: NDArray[np.float32]
    """`[h, w]` share of valid ones among the scene pixels under each overview pixel, in [0, 1]; 0 outside."""


class OverviewReader:
    """Windows of one level; a context manager. Make one with `open_overview`. Any number of threads may read.

    Args:
        fetch: gives the cells of a window inside the level.
        close: releases what `fetch` reads from.
        kind: where the cells come from.
        source: the scene.
        level: the overview's level.
        stretch: the scene's.
        unread: what is missing.
    """

    def __init__(
        self,
        fetch: Callable[[Window], Cells],
        *,
        close: Callable[[], None],
        kind: Literal["sidecar", "overviews", "computed"],
        source: PixelSource,
        level: int,
        stretch: Stretch,
        unread: tuple[Unread, ...] = (),
    ) -> None:
        self.kind = kind
        self.level = level
        self.size = source.size.at_level(level)
        self.unread = unread
        """Windows of a computed overview under which the scene is damaged; `valid` is 0 there."""
        self.has_ranges = kind != "overviews"
        """Whether minima and maxima are known."""
        self._fetch, self._close = fetch, close
        self._scene_size = source.size
        self._stretch = stretch

    def read(self, window: Window) -> Overview:
        """Read a window of the overview's level; outside the scene everything is 0.

        Raises:
            SceneReadError: a block under the window is damaged.
            ValueError: a window of another level.
        """
        if window.level != self.level:
            msg = f"expected a window of level {self.level}, got {window}"
            raise ValueError(msg)
        shape = (len(self._stretch.low), window.height, window.width)
        mean = np.zeros(shape, np.float32)
        low, high = (np.zeros(shape, np.float32), np.zeros(shape, np.float32)) if self.has_ranges else (None, None)
        valid = np.zeros(shape[1:], np.float32)
        inside = window.clip(self.size)
        if inside is not None:
            cells = self._fetch(inside)
            rows = slice(inside.row - window.row, inside.row_stop - window.row)
            cols = slice(inside.col - window.col, inside.col_stop - window.col)
            valid[rows, cols] = cells.count / existing(inside, self._scene_size)
            some = cells.count > 0
            if not some.any():
                return Overview(mean, low, high, valid)
            mean[:, rows, cols] = self._stretch.apply(Pixels(cells.mean, some))
            if low is not None and high is not None:
                first, second = (self._stretch.apply(Pixels(ends, some)) for ends in (cells.low, cells.high))
                low[:, rows, cols] = np.minimum(first, second)  # a negative scale in the file turns them round
                high[:, rows, cols] = np.maximum(first, second)
        return Overview(mean, low, high, valid)

    def close(self) -> None:
        """Release memory, temporary files and the sidecar; the scene stays open. No thread may be reading."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_overview(
    source: PixelSource,
    *,
    level: int,
    stretch: Stretch,
    progress: Callable[[int, int], None] | None = None,
    memory_bytes: int = 256 << 20,
    part_bytes: int | None = None,
    sidecar: Path | None = None,
) -> OverviewReader:
    """Open the overview of a scene: its sidecar, else its own overviews (means only), else one pass over its pixels.

    Blocks that a pass cannot read are left out and listed in `OverviewReader.unread`.

    Args:
        source: a scene, or a resampled view of one; it must stay open while the overview is read.
        level: 3 for 1/8, 2 for 1/4.
        stretch: the source's.
        progress: called with the pixels done and in all, during a pass.
        memory_bytes: an overview computed here that is larger lies in temporary files.
        part_bytes: scene pixels that a pass summarises in one go, None for the usual number.
        sidecar: where the sidecar of a `Scene` lies, if not beside it.

    Raises:
        ResourceLimitError: no room for temporary files.
        ValueError: a level below 1.
    """
    if level < 1:
        msg = f"an overview is of level 1 or coarser, got {level}"
        raise ValueError(msg)
    found = Sidecar.find(source, level=level, path=sidecar) if isinstance(source, Scene) else None
    if found is not None:
        return OverviewReader(
            found.read, close=found.close, kind="sidecar", source=source, level=level, stretch=stretch
        )
    if _has_overviews(source, level=level):
        warn_of_mismatch(source, level=level)

        def read_means(window: Window) -> Cells:
            pixels = source.read(window)
            count = np.where(pixels.valid, existing(window, source.size), 0)
            return Cells(pixels.values, pixels.values, pixels.values, count)

        return OverviewReader(
            read_means, close=lambda: _end_ahead(source), kind="overviews", source=source, level=level, stretch=stretch
        )
    if source.size.area > COSTLY_PX:
        warnings.warn(
            f"{source.name} has no overviews: its overview at 1/{1 << level} costs a pass over all its "
            f"{source.size.area / 1e6:,.0f} million pixels; `geopdn prepare` writes one beside the scene, once",
            NoOverviewsWarning,
            stacklevel=2,
        )
    computed = ComputedCells(source, level=level, progress=progress, memory_bytes=memory_bytes, part_bytes=part_bytes)
    return OverviewReader(
        computed.read,
        close=computed.close,
        kind="computed",
        source=source,
        level=level,
        stretch=stretch,
        unread=computed.unread,
    )


def bytes_in_one_go(source: PixelSource, *, level: int, part_bytes: int) -> int:
    """Bytes of scene pixels that `open_overview` will summarise in one go: 0 where it finds an overview.

    Args:
        source: see `open_overview`.
        level: likewise.
        part_bytes: wanted; blocks may be larger.
    """
    if _has_overviews(source, level=level):
        return 0
    found = Sidecar.find(source, level=level) if isinstance(source, Scene) else None
    if found is None:
        return largest_part(source, level=level, part_bytes=part_bytes)
    found.close()
    return 0


def _has_overviews(source: PixelSource, *, level: int) -> bool:
    """Whether reading this level of the source goes through overviews of its file."""
    factors: tuple[int, ...] = getattr(source, "overview_factors", ())
    step = float(1 << level)
    if isinstance(source, ResampledScene):  # the factors count the pixels of the scene beneath
        step *= min(source.step_y, source.step_x)
    return any(2 <= factor <= step for factor in factors)


def read_ahead(source: PixelSource, *, level: int) -> None:
    """Begin to read what `open_overview` will want, where that is a level of the source's own file in small blocks."""
    if isinstance(source, Scene) and _has_overviews(source, level=level) and 4 * source.block_bytes <= AHEAD_CACHE:
        found = Sidecar.find(source, level=level)
        if found is None:
            source.read_ahead(level)
        else:
            found.close()


def _end_ahead(source: PixelSource) -> None:
    """The scene itself belongs to the caller."""
    if isinstance(source, Scene):
        source.end_ahead()
