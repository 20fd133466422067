"""Stages 1 and 2 over a whole scene: the overview through the global stream, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.engine.dates import Date, DateReaders
from geopdn.engine.freed import give_back
from geopdn.engine.side_by_side import side_by_side, workers
from geopdn.geometry.window import Size, Window
from geopdn.memory import MOST_PART, MemoryPlan
from geopdn.model.network import Network, Planes
from geopdn.model.surroundings import correct
from geopdn.scene import PixelSource, Stretch
from geopdn.scene.overview import Overview, OverviewReader, open_overview

TILE = 1024  # overview pixels, at most: the maps of one take 0.1 to 0.35 GB
GRID_DTYPE = np.float16  # of the whole scene's grid: a quarter of a gigabyte less at 100,000 px than float32
HALO = 96  # overview pixels seen around a tile, a multiple of the grid's stride; seams change the counts by 1 %

LIMITS = np.finfo(GRID_DTYPE).min, np.finfo(GRID_DTYPE).max

Progress = Callable[[int, int], None]


@dataclass(slots=True, eq=False)
class SceneMap:
    """What the global stream makes of a scene.

    Attributes:
        rate: `[K, h, w]` float32 expected objects of each size class in each cell, 0 where nothing is valid.
        grid: `[G, h/4, w/4]` float16, the global grid; fusion changes it. None where no network uses it.
        valid: `[h, w]` True where a cell has a valid pixel.
        statistics: whether minima and maxima were known.
        source: where the overview came from: `sidecar`, `overviews`, `computed`, or `none` without a map.
        cell_px: side of a cell in level-0 pixels.
        unread: windows of the overview's level under which the scene is damaged, with the cause.
    """

    rate: NDArray[np.float32]
    grid: NDArray[np.float16] | None
    valid: NDArray[np.bool_]
    statistics: bool
    source: str
    cell_px: int
    unread: tuple[tuple[Window, str], ...] = ()


def look_at_overview(
    source: PixelSource,
    net: Network,
    *,
    stretch: Stretch,
    progress: Progress | None = None,
    statistics: bool = True,
    memory: MemoryPlan | None = None,
    dates: Sequence[Date] = (),
) -> SceneMap:
    """Run the global stream over the scene's overview.

    Args:
        source: the scene.
        net: the network.
        stretch: the scene's radiometric stretch.
        progress: called with (done, total) tiles.
        statistics: use minima and maxima where they are known; False shows the network the mean alone.
        memory: how large buffers may be, None for their usual sizes.
        dates: earlier dates of the same ground.

    Returns:
        The map of expected counts and the global grid of the whole scene.
    """
    level = net.config.overview_level
    with (
        _opened(source, level=level, stretch=stretch, memory=memory) as reader,
        DateReaders(dates, level=level) as earlier,
    ):
        height, width = reader.size.height, reader.size.width
        h, w = -(-height // 4), -(-width // 4)
        gh, gw = -(-height // 16), -(-width // 16)
        rate = np.zeros((net.config.n_size_classes, h, w), np.float32)
        valid = np.zeros((h, w), np.bool_)
        grid = np.zeros((net.config.grid, gh, gw), GRID_DTYPE)
        looker = _Looker(reader, net, statistics=statistics, earlier=earlier if dates else None)
        tiles = tiles_of(reader.size, level=level)
        n_workers = workers(len(tiles), net.device, most=None if memory is None else memory.workers)
        for done, (tile, seen) in enumerate(side_by_side(looker.look, tiles, n_workers=n_workers)):
            if seen is not None:
                rows, cols = tile.cells(4, valid.shape)
                n, m = rows.stop - rows.start, cols.stop - cols.start
                rate[:, rows, cols], valid[rows, cols] = seen.rate[:, :n, :m], seen.valid[:n, :m]
                rows, cols = tile.cells(16, (gh, gw))
                grid[:, rows, cols] = seen.grid[:, : rows.stop - rows.start, : cols.stop - cols.start]
            if progress:
                progress(done + 1, len(tiles))
        net.rest()
        give_back()
        correct(rate, valid, net.surroundings)
        unread = tuple((part.window, part.cause) for part in reader.unread)
        return SceneMap(
            rate=rate,
            grid=grid,
            valid=valid,
            statistics=looker.statistics,
            source=reader.kind,
            cell_px=net.config.cell_px,
            unread=unread,
        )


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the overview and what is looked at for it.

    Attributes:
        core: what the answer is kept of; tiles' cores cover the overview, each pixel once, and may reach beyond it.
        view: the core with what lies around it.
    """

    core: Window
    view: Window

    def cells(self, stride: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns of the core in a map `[h, w]` of the whole overview, of some stride."""
        i, j = self.core.row // stride, self.core.col // stride
        h, w = shape
        return (
            slice(i, min(h, i + self.core.height // stride)),
            slice(j, min(w, j + self.core.width // stride)),
        )

    def core_of(self, values: NDArray[Any], stride: int) -> NDArray[Any]:
        """The core of a map `[C, h, w]` of the view, of some stride."""
        i, j = (self.core.row - self.view.row) // stride, (self.core.col - self.view.col) // stride
        return values[:, i : i + self.core.height // stride, j : j + self.core.width // stride]


def tiles_of(size: Size, *, level: int) -> list[Tile]:
    """Tiles of an overview, row by row: as few as `TILE` allows, of about the same size."""
    rows, cols = (_parts(n) for n in (size.height, size.width))
    return [
        Tile(
            Window(row.start, col.start, row.stop - row.start, col.stop - col.start, level),
            Window(top.start, left.start, top.stop - top.start, left.stop - left.start, level),
        )
        for row, top in rows
        for col, left in cols
    ]


def _parts(n: int) -> list[tuple[slice, slice]]:
    """Cores and views of the tiles along one axis of `n` pixels."""
    side = 16 * math.ceil(n / math.ceil(n / TILE) / 16)
    parts = []
    for start in range(0, n, side):
        stop = min(start + side, 16 * math.ceil(n / 16))
        beyond = slice(start - HALO, start - HALO + 32 * math.ceil((stop - start + 2 * HALO) / 32))
        parts.append((slice(start, stop), beyond))
    return parts


def _opened(source: PixelSource, *, level: int, stretch: Stretch, memory: MemoryPlan | None) -> OverviewReader:
    if memory is None:
        return open_overview(source, level=level, stretch=stretch)
    return open_overview(
        source, level=level, stretch=stretch, memory_bytes=memory.kept, part_bytes=min(memory.part, MOST_PART) or None
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What the global stream says of one tile, its halo cut off: `SceneMap`'s rate, valid and grid."""

    rate: NDArray[np.float32]
    valid: NDArray[np.bool_]
    grid: NDArray[np.float16]


class _Looker:
    """The global stream on tiles; one after another that show the same single value are looked at once."""

    def __init__(
        self,
        reader: OverviewReader,
        net: Network,
        *,
        statistics: bool,
        earlier: DateReaders | None,
    ) -> None:
        self._reader, self._net, self._earlier = reader, net, earlier
        self.statistics = statistics and reader.has_ranges
        self._known: tuple[bytes, _Seen] | None = None

    def look(self, tile: Tile) -> tuple[Tile, _Seen | None]:
        """A tile, and what the network says of it; None where nothing is valid. Called from several threads."""
        view = self._reader.read(tile.view)
        if not view.valid.any():
            return tile, None
        value, known = None if self._earlier else _single_value(view, tile.core), self._known
        if value is not None and known is not None and known[0] == value:
            return tile, known[1]
        valid = _cells(view.valid)
        planes = planes_of(view, statistics=self.statistics)
        del view  # tens of megabytes that the network does not need
        give_back()
        looked = self._net.look(planes, () if self._earlier is None else self._earlier.read(tile.view, self._planes))
        seen = _Seen(
            rate=tile.core_of(looked.rate, 4) * tile.core_of(valid[None], 4)[0],
            valid=tile.core_of(valid[None], 4)[0],
            grid=tile.core_of(looked.grid, 16).clip(*LIMITS).astype(GRID_DTYPE),
        )
        if value is not None:
            self._known = value, seen
        return tile, seen

    def _planes(self, view: Overview) -> Planes:
        """Those of an earlier date, which has no statistics where they are not used."""
        return planes_of(view, statistics=self.statistics)


def planes_of(view: Overview, *, statistics: bool) -> Planes:
    """A part of an overview as the network takes it, with or without the statistics that it may have."""
    low, high = (view.low, view.high) if statistics else (None, None)
    return Planes(view.mean, view.valid, low, high)


def _cells(valid: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where any of the 4 x 4 overview pixels of a cell is valid."""
    height, width = valid.shape
    return np.asarray(np.any(valid.reshape(height // 4, 4, width // 4, 4) > 0, axis=(1, 3)))


def _single_value(view: Overview, core: Window) -> bytes | None:
    """What tells a tile of one value from others (blocks that are not in a sparse file), None for any other tile."""
    planes = [view.valid[None], view.mean, *(plane for plane in (view.low, view.high) if plane is not None)]
    corners = [plane[:, :1, :1] for plane in planes]
    if any((plane != corner).any() for plane, corner in zip(planes, corners, strict=True)):
        return None
    return b"".join(
        [*(corner.tobytes() for corner in corners), repr((view.valid.shape, core.height, core.width)).encode()]
    )
