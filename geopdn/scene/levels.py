"""Block means: pixels of a coarser level from those of a finer one, mask-aware, in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Values = NDArray[Any]
Valid = NDArray[np.bool_]


def _accumulator(dtype: np.dtype[Any], step: int) -> np.dtype[Any]:
    """A type that holds the sum of `step * step` values of `dtype` exactly (64-bit and floats: float64)."""
    if dtype.kind == "f" or dtype.itemsize == 8:
        return np.dtype(np.float64)
    wide = 8 if dtype.itemsize == 4 or step > 256 else 4
    return np.dtype(f"{dtype.kind}{wide}")


def block_sum(array: NDArray[Any], step: int, dtype: DTypeLike) -> NDArray[Any]:
    """Sums `[..., H / step, W / step]` over blocks of an array `[..., H, W]` whose sides are multiples of `step`."""
    narrow = np.uint16 if array.dtype == np.uint8 and step <= 256 else dtype  # 256 * 255 fits 16 bits
    rows = array[..., 0::step, :].astype(narrow)
    for index in range(1, step):
        rows += array[..., index::step, :]
    out = rows[..., 0::step].astype(dtype)
    for index in range(1, step):
        out += rows[..., index::step]
    return out


def _pad(array: NDArray[Any], step: int) -> NDArray[Any]:
    """Zeros (False) below and to the right, up to whole blocks."""
    height, width = array.shape[-2:]
    margin = [(0, 0)] * (array.ndim - 2) + [(0, -height % step), (0, -width % step)]
    return np.pad(array, margin) if any(after for _, after in margin) else array


def block_mean(values: Values, valid: Valid | None, step: int) -> tuple[Values, Valid | None]:
    """Means over blocks of `step x step` pixels; invalid pixels do not count.

    Args:
        values: `[C, h, w]`, 0 where not valid. The last row and column of blocks may be partial.
        valid: `[h, w]`, or None where all pixels are valid.
        step: a power of two.

    Returns:
        Values `[C, ceil(h / step), ceil(w / step)]` of the same dtype (integers rounded half up, 0 where not
        valid) and the mask: a block is valid where at least half of its pixels that exist are. None for all valid.
    """
    if step == 1:
        return values, valid
    height, width = values.shape[-2:]
    whole = height % step == 0 and width % step == 0
    if valid is None and whole:
        total = block_sum(values, step, _accumulator(values.dtype, step))
        if total.dtype.kind == "f":
            return _to_dtype(total / (step * step), values.dtype), None
        total += total.dtype.type(step * step // 2)
        return (total // total.dtype.type(step * step)).astype(values.dtype), None
    mask = np.ones((height, width), np.bool_) if valid is None else valid
    counts = block_sum(_pad(mask, step).view(np.uint8), step, np.int64)
    existing = np.outer(_extent(height, step), _extent(width, step))
    kept = (2 * counts >= existing) & (counts > 0)
    total = block_sum(_pad(values, step), step, np.float64)
    mean = _to_dtype(total / np.maximum(counts, 1), values.dtype)
    mean[:, ~kept] = 0
    return mean, None if valid is None else kept


def _extent(length: int, step: int) -> NDArray[np.int64]:
    """Numbers of existing pixels of the blocks along one axis."""
    starts = np.arange(0, length, step)
    extents: NDArray[np.int64] = np.minimum(starts + step, length) - starts
    return extents


def _to_dtype(mean: NDArray[np.float64], dtype: np.dtype[Any]) -> Values:
    """Float64 means in `dtype`; integers rounded half up and kept inside the type's range."""
    if dtype.kind == "f":
        return mean.astype(dtype)
    rounded = np.floor(mean + 0.5)
    if dtype.itemsize == 8:  # float64 cannot hold the upper limits of 64-bit integers
        rounded = np.clip(rounded, float(np.iinfo(dtype).min), np.nextafter(float(np.iinfo(dtype).max), 0))
    return rounded.astype(dtype)
