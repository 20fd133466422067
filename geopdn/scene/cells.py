"""Cells: the mean, minimum, maximum and number of the valid scene pixels under each pixel of an overview."""

from __future__ import annotations

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from geopdn.errors import SceneReadError
from geopdn.geometry.window import Size, Window
from geopdn.scene.levels import block_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from geopdn.scene.reader import Pixels, PixelSource

PART_BYTES = 16 << 20
"""Bytes of scene pixels that are summarised in one go; with what numpy needs for them, a fifth of the memory used."""
READERS = 2
"""Threads that read and summarise ahead."""
RETRY_SIDE = 512
"""Side, in scene pixels, of the pieces in which a part that cannot be read is tried again."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Statistics of the scene pixels under each overview pixel, in stored units; 0 where no pixel is valid."""

    mean: NDArray[Any]
    """`[C, h, w]`, of any type."""
    low: NDArray[Any]
    """`[C, h, w]` minimum of the valid pixels, in the scene's dtype."""
    high: NDArray[Any]
    """`[C, h, w]` maximum, as `low`."""
    count: NDArray[Any]
    """`[h, w]` number of valid scene pixels, an integer type."""


def summarise(pixels: Pixels, step: int) -> Cells:
    """Cells of `step x step` scene pixels; those of the last row and column may be partial.

    Returns:
        Cells `[C, ceil(h / step), ceil(w / step)]`, the mean as float64.
    """
    return _reduce(pixels.values, pixels.values, pixels.values, pixels.valid.view(np.uint8), step=step)


def coarsen(cells: Cells, step: int) -> Cells:
    """Cells `step` times larger; means are weighted by the numbers of pixels, so only their rounding is inherited."""
    if step == 1:
        return cells
    return _reduce(cells.mean.astype(np.float64) * cells.count, cells.low, cells.high, cells.count, step=step)


def existing(window: Window, size: Size) -> NDArray[np.int64]:
    """Numbers `[h, w]` of scene pixels under each cell of a window inside the cells' level."""
    step = 1 << window.level
    rows = np.clip(size.height - np.arange(window.row, window.row_stop) * step, 0, step)
    cols = np.clip(size.width - np.arange(window.col, window.col_stop) * step, 0, step)
    return np.outer(rows, cols)


def _reduce(total: NDArray[Any], low: NDArray[Any], high: NDArray[Any], count: NDArray[Any], *, step: int) -> Cells:
    """Sums, minima and maxima over blocks of `step x step`, from sums, minima, maxima and counts."""
    empty = count == 0
    if empty.any():
        limits = np.finfo(low.dtype) if low.dtype.kind == "f" else np.iinfo(low.dtype)
        low, high = np.where(empty, limits.max, low), np.where(empty, limits.min, high)
    counts = block_sum(_pad(count, step), step, np.int64)
    mean = block_sum(_pad(total, step), step, np.float64) / np.maximum(counts, 1)
    lows = _extreme(_pad(low, step, mode="edge"), step, np.minimum)
    highs = _extreme(_pad(high, step, mode="edge"), step, np.maximum)
    nothing = counts == 0
    if nothing.any():
        lows[:, nothing] = 0
        highs[:, nothing] = 0
    return Cells(mean, lows, highs, counts)


def _extreme(array: NDArray[Any], step: int, choose: np.ufunc) -> NDArray[Any]:
    """Minima or maxima `[..., H / step, W / step]` of blocks; whole rows first, which is fast."""
    rows = array[..., 0::step, :].copy()
    for index in range(1, step):
        choose(rows, array[..., index::step, :], out=rows)
    out = rows[..., 0::step].copy()
    for index in range(1, step):
        choose(out, rows[..., index::step], out=out)
    return out


def _pad(array: NDArray[Any], step: int, mode: str = "constant") -> NDArray[Any]:
    """Rows below and columns to the right up to whole blocks: zeros, or (`edge`) the last ones again."""
    height, width = array.shape[-2:]
    margin = [(0, 0)] * (array.ndim - 2) + [(0, -height % step), (0, -width % step)]
    if not any(after for _, after in margin):
        return array
    return np.pad(array, margin, mode=mode)  # type: ignore[call-overload, no-any-return]


def stream(
    source: PixelSource,
    *,
    level: int,
    progress: Callable[[int, int], None] | None = None,
    on_failure: Callable[[Window, SceneReadError], None] | None = None,
    part_bytes: int | None = None,
) -> Iterator[tuple[Window, Cells]]:
    """All cells of one level, part by part, from one pass over the full resolution in the order of its blocks.

    Args:
        source: what is read from; threads read ahead.
        level: the cells' level; the windows that are yielded lie on it and cover it once.
        progress: called with the scene pixels done and in all.
        on_failure: called with each window that cannot be read, which is then left out; None raises instead.
        part_bytes: scene pixels that are summarised in one go, where blocks are not larger; None for `PART_BYTES`.

    Raises:
        SceneReadError: a block cannot be read.
    """
    total, done = source.size.area, 0
    parts = deque(_parts(source, level=level, part_bytes=part_bytes or PART_BYTES))
    pending: deque[tuple[Window, Future[Cells]]] = deque()
    with ThreadPoolExecutor(READERS, thread_name_prefix="overview") as pool:
        while parts or pending:
            while parts and len(pending) <= READERS:
                part = parts.popleft()
                pending.append((part, pool.submit(_read, source, part)))
            part, future = pending.popleft()
            error = future.exception()
            if error is None:
                yield part, future.result()
            elif isinstance(error, SceneReadError) and on_failure is not None:
                yield from _piecewise(source, part, on_failure)
            else:
                raise error
            done += int(existing(part, source.size).sum())
            if progress is not None:
                progress(done, total)


def largest_part(source: PixelSource, *, level: int, part_bytes: int) -> int:
    """Bytes of the scene pixels that `stream` summarises in one go when asked for `part_bytes`: at least a block."""
    part = next(_parts(source, level=level, part_bytes=part_bytes)).at_full_resolution().clip(source.size)
    assert part is not None
    return part.area * len(source.band_names) * source.dtype.itemsize


def _read(source: PixelSource, part: Window) -> Cells:
    """The cells of a window inside their level."""
    pixels = part.at_full_resolution().clip(source.size)
    assert pixels is not None
    read = source.read(pixels)
    if not read.valid.any():  # as wherever a sparse file has no blocks: nothing to sum up
        shape = (len(read.values), part.height, part.width)
        nothing = np.zeros(shape, read.values.dtype)
        return Cells(np.zeros(shape), nothing, nothing, np.zeros(shape[1:], np.int64))
    return summarise(read, 1 << part.level)


def _piecewise(
    source: PixelSource, part: Window, on_failure: Callable[[Window, SceneReadError], None]
) -> Iterator[tuple[Window, Cells]]:
    """Those pieces of a damaged part that can be read."""
    side = max(RETRY_SIDE >> part.level, 1)
    for piece in _tiles(part, side, side):
        try:
            cells = _read(source, piece)
        except SceneReadError as error:
            on_failure(piece, error)
        else:
            yield piece, cells


def _parts(source: PixelSource, *, level: int, part_bytes: int) -> Iterator[Window]:
    """Windows that cover a level, of about `part_bytes` at full resolution, along the file's blocks."""
    block: Size = getattr(source, "block", Size(512, 512))
    area = max(part_bytes // (len(source.band_names) * source.dtype.itemsize), 1)
    wide = _along(block.width, math.isqrt(area), level=level)
    tall = _along(block.height, area // min(wide << level, source.size.width), level=level)
    size = source.size.at_level(level)
    return _tiles(Window(0, 0, size.height, size.width, level), tall, wide)


def _along(block: int, target: int, *, level: int) -> int:
    """Cells whose scene pixels are about `target`: whole blocks where these are smaller, at least one cell."""
    step = 1 << level
    unit = math.lcm(block, step)
    if unit > 2 * target:  # blocks in between cells: some of them are decoded twice
        unit = max(block, step)
    return max(max(target // unit, 1) * unit // step, 1)


def _tiles(window: Window, tall: int, wide: int) -> Iterator[Window]:
    """Cut a window into tiles, row by row."""
    for row in range(window.row, window.row_stop, tall):
        for col in range(window.col, window.col_stop, wide):
            height, width = min(tall, window.row_stop - row), min(wide, window.col_stop - col)
            yield Window(row, col, height, width, window.level)
