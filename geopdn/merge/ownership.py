"""Which window owns an object: the one whose core holds its centre, to within a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopdn.detections import WindowRecord
    from geopdn.geometry.boxes import Boxes
    from geopdn.geometry.window import Size

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

NOBODY = -1


def core_array(records: Sequence[WindowRecord]) -> Index:
    """Cores `[n_windows, 4]` (row0, col0, row1, col1; level-0 pixels) of window records, placed by their index."""
    cores = np.zeros((max((record.index for record in records), default=-1) + 1, 4), np.int64)
    for record in records:
        core = record.core
        cores[record.index] = core.row, core.col, core.row_stop, core.col_stop
    return cores


def reach_of(cores: Index, size: Size) -> Floats:
    """Cores as float `[n, 4]`, those at the scene's edge extended to infinity outward."""
    reach = cores.astype(np.float64)
    reach[:, :2][cores[:, :2] <= 0] = -np.inf
    reach[:, 2:][cores[:, 2:] >= (size.height, size.width)] = np.inf
    return reach


def owned(boxes: Boxes, level: Index, reach: Floats, *, margin_px: float) -> Mask:
    """`[N]` True where the centre of a box `[N, 5]` lies in its core `[N, 4]`, to within the margin at that level."""
    x, y = boxes[:, 0], boxes[:, 1]
    margin = margin_px * 2.0**level
    inside: Mask = (y >= reach[:, 0] - margin) & (y <= reach[:, 2] + margin)
    inside &= (x >= reach[:, 1] - margin) & (x <= reach[:, 3] + margin)
    return inside


def owners(boxes: Boxes, level: Index, reach: Floats, *, group: Index, window: Index, margin_px: float) -> Index:
    """The window that owns each box made of several.

    Args:
        boxes: `[G, 5]`, one a group.
        level: `[G]` level whose pixels the margin is measured in.
        reach: `[n_windows, 4]`, see `reach_of`.
        group: `[M]` the group that each member belongs to.
        window: `[M]` the windows of the members, those of the best first in each group.
        margin_px: see `merge`.

    Returns:
        `[G]` window of the best member that owns it, else the first of all windows that does, else `NOBODY`.
    """
    mine = owned(boxes[group], level[group], reach[window], margin_px=margin_px)
    first = np.full(len(boxes), len(window), np.int64)
    np.minimum.at(first, group[mine], np.flatnonzero(mine))
    owner = np.append(window, NOBODY)[first]
    for number in np.flatnonzero(owner == NOBODY).tolist():
        box, its_level = (np.broadcast_to(column[number], (len(reach), *column.shape[1:])) for column in (boxes, level))
        others = np.flatnonzero(owned(box, its_level, reach, margin_px=margin_px))
        owner[number] = others[0] if len(others) else NOBODY
    return owner
