"""The order in which boxes are decided on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from geopdn.detections import Detections


def ranking(detections: Detections) -> NDArray[np.int64]:
    """`[N]` positions from best to worst: uncut before cut, then (-score, row, column, label), then every other column.

    All columns take part, so that detections that differ at all have one order.
    """
    x, y, length, width, angle = detections.boxes.T
    rest = (detections.level, detections.window, angle, width, length)
    return np.lexsort((*rest, detections.label, x, y, -detections.score, detections.cut))


def n_uncut(ranked: Detections) -> int:
    """Number of uncut detections, which come first in the order of `ranking`."""
    return len(ranked) - int(ranked.cut.sum())
