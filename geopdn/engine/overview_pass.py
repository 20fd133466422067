"""Stages 1 and 2 over a whole scene: the overview through the global stream, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geopdn.engine.side_by_side import side_by_side, workers
from geopdn.geometry.window import Size, Window
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.saliency import Saliency
from geopdn.model.streams import GlobalFeatures, pack_overview
from geopdn.scene import PixelSource, Stretch
from geopdn.scene.overview import Overview, open_overview

TILE = 1536  # overview pixels, at most: a network in strips takes 0.2 GB for one
GRID_DTYPE = torch.float16  # of the whole scene's grid: a quarter of a gigabyte less at 100,000 px than float32
HALO = 96  # overview pixels seen around a tile, a multiple of the grid's stride; seams change the counts by 1 %

LIMITS = torch.finfo(GRID_DTYPE).min, torch.finfo(GRID_DTYPE).max

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
    grid: Tensor | None
    valid: NDArray[np.bool_]
    statistics: bool
    source: str
    cell_px: int
    unread: tuple[tuple[Window, str], ...] = ()


def look_at_overview(
    source: PixelSource,
    net: PatchDriveNet,
    *,
    stretch: Stretch,
    device: torch.device,
    progress: Progress | None = None,
    statistics: bool = True,
) -> SceneMap:
    """Run the global stream over the scene's overview.

    Args:
        source: the scene.
        net: the network, on `device`.
        stretch: the scene's radiometric stretch.
        device: where it runs.
        progress: called with (done, total) tiles.
        statistics: use minima and maxima where they are known; False shows the network the mean alone.

    Returns:
        The map of expected counts and the global grid of the whole scene.
    """
    level = net.config.overview_level
    with open_overview(source, level=level, stretch=stretch) as reader:
        height, width = reader.size.height, reader.size.width
        h, w = -(-height // 4), -(-width // 4)
        gh, gw = -(-height // 16), -(-width // 16)
        rate = np.zeros((net.config.n_size_classes, h, w), np.float32)
        valid = np.zeros((h, w), np.bool_)
        grid = torch.zeros(net.config.grid, gh, gw, dtype=GRID_DTYPE, device=device)
        tiles = tiles_of(reader.size, level=level)
        known, looker = False, _Looker(net, device, statistics=statistics)
        views = ((tile, reader.read(tile.view)) for tile in tiles)
        seen = side_by_side(looker.look, views, n_workers=workers(len(tiles), device))
        for done, (tile, view, answer) in enumerate(seen):
            known = statistics and view.low is not None
            if answer is not None:
                features, saliency = answer
                rows, cols = tile.cells(4, valid.shape)
                share = torch.from_numpy(view.valid)[None, None]
                some = tile.core_of(torch.nn.functional.max_pool2d(share, 4)[0], 4)[
                    0, : h - rows.start, : w - cols.start
                ]
                valid[rows, cols] = some.numpy() > 0
                part = tile.core_of(saliency.rate[0], 4)[:, : h - rows.start, : w - cols.start]
                rate[:, rows, cols] = part.cpu().numpy() * valid[rows, cols]
                rows, cols = tile.cells(16, (gh, gw))
                block = tile.core_of(features.grid[0], 16)[:, : gh - rows.start, : gw - cols.start]
                grid[:, rows, cols] = block.clamp(*LIMITS).to(GRID_DTYPE)
            if progress:
                progress(done + 1, len(tiles))
        unread = tuple((part.window, part.cause) for part in reader.unread)
        return SceneMap(
            rate=rate,
            grid=grid,
            valid=valid,
            statistics=known,
            source=reader.kind,
            cell_px=net.cell_px,
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

    def core_of(self, values: Tensor, stride: int) -> Tensor:
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


_Answer = tuple[GlobalFeatures, Saliency]


class _Looker:
    """The global stream on tiles; one after another that show the same single value are looked at once."""

    def __init__(self, net: PatchDriveNet, device: torch.device, *, statistics: bool) -> None:
        self._net, self._device, self._statistics = net, device, statistics
        self._known: tuple[bytes, _Answer] | None = None

    def look(self, item: tuple[Tile, Overview]) -> tuple[Tile, Overview, _Answer | None]:
        """A tile and its view -> both, with what the network says of it; None where nothing is valid."""
        tile, view = item
        if not view.valid.any():
            return tile, view, None
        value, known = _single_value(view), self._known
        if value is not None and known is not None and known[0] == value:
            return tile, view, known[1]
        statistics = self._statistics and view.low is not None
        answer = self._net.look(_tensor(view, self._device, statistics=statistics))
        if value is not None:
            self._known = value, answer
        return tile, view, answer


def _single_value(view: Overview) -> bytes | None:
    """What tells a tile of one value from others (blocks that are not in a sparse file), None for any other tile."""
    planes = [view.valid[None], view.mean, *(plane for plane in (view.low, view.high) if plane is not None)]
    corners = [plane[:, :1, :1] for plane in planes]
    if any((plane != corner).any() for plane, corner in zip(planes, corners, strict=True)):
        return None
    return b"".join([*(corner.tobytes() for corner in corners), repr(view.valid.shape).encode()])


def _tensor(view: Overview, device: torch.device, *, statistics: bool) -> Tensor:
    mean = torch.from_numpy(view.mean)[None]
    low = torch.from_numpy(view.low)[None] if statistics and view.low is not None else None
    high = torch.from_numpy(view.high)[None] if statistics and view.high is not None else None
    packed = pack_overview(mean, low, high, torch.from_numpy(view.valid)[None, None])
    return packed.to(device, memory_format=torch.channels_last)
