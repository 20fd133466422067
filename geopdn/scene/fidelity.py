"""Whether a file's overviews are means of its pixels, as networks know them, or lossy or sampled in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geopdn.geometry.window import Window
from geopdn.scene.levels import block_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from geopdn.geometry.window import Size

    Masked = tuple[NDArray[Any], NDArray[np.bool_] | None]

SIDE = 64
"""Overview pixels a side of a place that is compared."""
QUARTERS = (1, 3, 2)
"""Of the diagonal: where the places lie."""
RATIO = 0.25
"""Of what pixels under an overview pixel vary by: lossless means are off by 0.04 to 0.12 of it, cubic convolution by
0.13 to 0.22, bilinear by 0.35 to 0.45, JPEG by 0.35 to 1.3 whatever made the means, nearest neighbour by 1 (measured
on 0.5 m scenes)."""
STEP = 1.0
"""What integers may be off by, whatever they vary by."""


def places(size: Size, *, level: int, side: int = SIDE) -> Iterator[Window]:
    """Three places of an overview, at the quarters of its diagonal.

    Args:
        size: of the scene.
        level: the overview's.
        side: of a place, in overview pixels; less where the overview is smaller.
    """
    whole = size.at_level(level)
    for quarter in QUARTERS:
        row, col = (max(0, min(n - side, n * quarter // 4 - side // 2)) for n in (whole.height, whole.width))
        yield Window(row, col, min(side, whole.height), min(side, whole.width), level)


def is_mean(shown: Masked, under: Masked, *, step: int) -> bool | None:
    """Whether an overview's pixels are means of those under them, as far as one place can tell.

    Args:
        shown: values `[C, h, w]` of the overview and mask (None for all valid).
        under: `[C, h * step, w * step]` of full resolution, likewise.
        step: full-resolution pixels a side of an overview pixel.

    Returns:
        None where too little is valid, or nothing varies.
    """
    values, valid = under
    mean, known = block_mean(values.astype(np.float64), valid, step)
    square, _ = block_mean(values.astype(np.float64) ** 2, valid, step)
    both = np.ones(mean.shape[1:], np.bool_)
    for mask in (shown[1], known):
        both &= True if mask is None else mask
    if 2 * both.sum() < both.size:
        return None
    varies = float(np.sqrt(np.maximum(square - mean**2, 0)[:, both].mean()))
    off = float(np.sqrt(((shown[0] - mean)[:, both] ** 2).mean()))
    if varies == 0:
        return None
    return off <= max(RATIO * varies, STEP if values.dtype.kind in "iu" else 0.0)
