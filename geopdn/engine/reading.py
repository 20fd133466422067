"""Reading planned windows ahead of the network, in file order, in batches of one kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopdn.coverage import Planned
from geopdn.engine.stage import ValueScaling
from geopdn.errors import SceneReadError
from geopdn.scene import PixelSource

BATCH_PX = {"cpu": 1 << 18, "cuda": 1 << 22}
"""Tensor pixels of a batch: on a CPU the maps of a larger one leave its caches, which costs a third of the speed."""
AHEAD_PX = 1 << 20  # tensor pixels that are read ahead of the batch in work, at least
READERS = 2


@dataclass(frozen=True, slots=True, eq=False)
class ReadWindow:
    """One window as the network takes it.

    Attributes:
        index: position of the window in the run's list.
        planned: what was planned.
        values: `[C, s, s]` scaled, None where nothing was valid or reading failed.
        cause: why reading failed, else empty.
    """

    index: int
    planned: Planned
    values: NDArray[np.float32] | None
    cause: str = ""


def in_file_order(planned: Sequence[tuple[int, Planned]], *, batch_px: int) -> list[list[tuple[int, Planned]]]:
    """Batches of windows of one tensor size, by kind, then in file order.

    Args:
        planned: (index, window) pairs in any order.
        batch_px: tensor pixels of a batch; at least one window.
    """
    groups: dict[tuple[int, int, int], list[tuple[int, Planned]]] = {}
    for index, item in planned:
        groups.setdefault((item.window.level, item.window.height, item.window.width), []).append((index, item))
    batches: list[list[tuple[int, Planned]]] = []
    for key in sorted(groups):
        items = sorted(groups[key], key=lambda pair: (pair[1].window.row, pair[1].window.col, pair[0]))
        n = max(1, batch_px // (key[1] * key[2]))
        batches += [items[i : i + n] for i in range(0, len(items), n)]
    return batches


def read_ahead(
    source: PixelSource, scaling: ValueScaling, batches: Iterable[list[tuple[int, Planned]]], *, batch_px: int
) -> Iterator[list[ReadWindow]]:
    """Read batches with threads, a few of them ahead.

    Args:
        source: the scene; safe to read from several threads.
        scaling: applied to every window alike.
        batches: see `in_file_order`.
        batch_px: tensor pixels of a batch.
    """
    with ThreadPoolExecutor(READERS) as pool:
        ahead: list[list[Future[ReadWindow]]] = []
        most = 2 + AHEAD_PX // batch_px
        for batch in batches:
            ahead.append([pool.submit(_read, source, scaling, index, item) for index, item in batch])
            if len(ahead) > most:
                yield [future.result() for future in ahead.pop(0)]
        while ahead:
            yield [future.result() for future in ahead.pop(0)]


def _read(source: PixelSource, scaling: ValueScaling, index: int, item: Planned) -> ReadWindow:
    try:
        pixels = source.read(item.window)
    except SceneReadError as error:
        return ReadWindow(index, item, None, cause=str(error))
    if not pixels.valid.any():
        return ReadWindow(index, item, None)
    return ReadWindow(index, item, scaling.apply(pixels))
