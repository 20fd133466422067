"""Labels where a scene has no pixels: nobody can find what is not there to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geopdn.errors import SceneReadError
from geopdn.geometry import boxes as box
from geopdn.geometry.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geopdn.scene import PixelSource

LEAST_VALID = 0.5
"""Share of an object's bounds that must be valid for it to count."""
LONGEST_PX = 256
"""Longer bounds are looked at in a coarser level."""


def unseen(source: PixelSource, boxes: box.Boxes) -> NDArray[np.bool_]:
    """`[M]` True for boxes `[M, 5]` of which less than half lies on valid pixels (nodata, masks, outside).

    Where a block is damaged they count as seen: the run that missed them says so.
    """
    hidden = np.zeros(len(boxes), np.bool_)
    for index, (x0, y0, x1, y1) in enumerate(box.bounds(boxes)):
        level = 0
        while max(x1 - x0, y1 - y0) > LONGEST_PX << level:
            level += 1
        row, col, row_stop, col_stop = (int(np.floor(edge)) >> level for edge in (y0, x0, y1, x1))
        window = Window(row, col, row_stop - row + 1, col_stop - col + 1, level)
        try:
            hidden[index] = source.read(window).valid.mean() < LEAST_VALID
        except SceneReadError:
            continue
    return hidden
