"""Stages 1 and 2 over a whole scene: the overview through the global stream, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geopdn.engine.freed import give_back
from geopdn.geometry.window import Window
from geopdn.memory import LEAST_PART, MemoryPlan
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.saliency import Saliency
from geopdn.model.streams import GlobalFeatures, overview_channels, pack_overview
from geopdn.scene import PixelSource, Stretch
from geopdn.scene.overview import Overview, OverviewReader, open_overview

TILE = 1024  # overview pixels, a multiple of the grid's stride
GRID_DTYPE = torch.float16  # of the whole scene's grid: a quarter of a gigabyte less at 100,000 px than float32
PACKED_ROWS = 128
HALO = 96  # overview pixels seen around a tile, a multiple of the grid's stride

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
    memory: MemoryPlan | None = None,
) -> SceneMap:
    """Run the global stream over the scene's overview.

    Args:
        source: the scene.
        net: the network, on `device`.
        stretch: the scene's radiometric stretch.
        device: where it runs.
        progress: called with (done, total) tiles.
        statistics: use minima and maxima where they are known; False shows the network the mean alone.
        memory: how large buffers may be, None for their usual sizes.

    Returns:
        The map of expected counts and the global grid of the whole scene.
    """
    level = net.config.overview_level
    with _opened(source, level=level, stretch=stretch, memory=memory) as reader:
        height, width = reader.size.height, reader.size.width
        h, w = -(-height // 4), -(-width // 4)
        gh, gw = -(-height // 16), -(-width // 16)
        rate = np.zeros((net.config.n_size_classes, h, w), np.float32)
        valid = np.zeros((h, w), np.bool_)
        grid = torch.zeros(net.config.grid, gh, gw, dtype=GRID_DTYPE, device=device)
        tiles = [(row, col) for row in range(0, height, TILE) for col in range(0, width, TILE)]
        known, same = False, _Looker(net)
        for done, (row, col) in enumerate(tiles):
            tall, wide = (min(TILE, -(-(end - start) // 16) * 16) for start, end in ((row, height), (col, width)))
            window = Window(row - HALO, col - HALO, tall + 2 * HALO, wide + 2 * HALO, level)
            view = reader.read(window)
            known = statistics and view.low is not None
            if view.valid.any():
                ch, cw, i, j = tall // 4, wide // 4, row // 4, col // 4
                share = torch.from_numpy(view.valid)[None, None]
                some = torch.nn.functional.max_pool2d(share, 4)[0, 0].numpy()[HALO // 4 :, HALO // 4 :][:ch, :cw] > 0
                value, packed = _single_value(view), _tensor(view, device, statistics=known)
                del view  # tens of megabytes that the network does not need
                give_back()
                features, saliency = same.look(packed, value)
                del packed
                part = saliency.rate[0, :, HALO // 4 :, HALO // 4 :][:, :ch, :cw].cpu().numpy() * some
                keep = (slice(i, min(i + ch, h)), slice(j, min(j + cw, w)))
                n, m = keep[0].stop - i, keep[1].stop - j
                rate[:, keep[0], keep[1]] = part[:, :n, :m]
                valid[keep] = some[:n, :m]
                gi, gj = row // 16, col // 16
                block = features.grid[0, :, HALO // 16 :, HALO // 16 :][:, : tall // 16, : wide // 16]
                target = grid[:, gi : gi + tall // 16, gj : gj + wide // 16]
                target.copy_(block[:, : target.shape[1], : target.shape[2]].clamp(*LIMITS))
            if progress:
                progress(done + 1, len(tiles))
        give_back()
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


def _opened(source: PixelSource, *, level: int, stretch: Stretch, memory: MemoryPlan | None) -> OverviewReader:
    if memory is None:
        return open_overview(source, level=level, stretch=stretch)
    return open_overview(
        source, level=level, stretch=stretch, memory_bytes=memory.kept, part_bytes=max(memory.part, LEAST_PART)
    )


class _Looker:
    """The global stream on tiles; one after another that show the same single value are looked at once."""

    def __init__(self, net: PatchDriveNet) -> None:
        self._net = net
        self._known: tuple[bytes, tuple[GlobalFeatures, Saliency]] | None = None

    def look(self, packed: Tensor, value: bytes | None) -> tuple[GlobalFeatures, Saliency]:
        """Look at a tile; `value` tells it from others if it is of a single one."""
        if value is None:
            return self._net.look(packed)
        if self._known is None or self._known[0] != value:
            self._known = value, self._net.look(packed)
        return self._known[1]


def _single_value(view: Overview) -> bytes | None:
    """What tells a tile of one value from others (blocks that are not in a sparse file), None for any other tile."""
    planes = [view.valid[None], view.mean, *(plane for plane in (view.low, view.high) if plane is not None)]
    corners = [plane[:, :1, :1] for plane in planes]
    if any((plane != corner).any() for plane, corner in zip(planes, corners, strict=True)):
        return None
    return b"".join([*(corner.tobytes() for corner in corners), repr(view.valid.shape).encode()])


def _tensor(view: Overview, device: torch.device, *, statistics: bool) -> Tensor:
    """The network's input `[1, 3C + 2, H, W]`, packed in strips of rows: packing takes four times what it gives."""
    _, height, width = view.mean.shape
    packed = torch.empty(1, overview_channels(len(view.mean)), height, width, memory_format=torch.channels_last)
    for top in range(0, height, PACKED_ROWS):
        rows = slice(top, top + PACKED_ROWS)
        mean, low, high = (
            None if plane is None else torch.from_numpy(plane[:, rows])[None]
            for plane in (view.mean, view.low if statistics else None, view.high if statistics else None)
        )
        assert mean is not None
        packed[:, :, rows] = pack_overview(mean, low, high, torch.from_numpy(view.valid[rows])[None, None])
    return packed.to(device)
