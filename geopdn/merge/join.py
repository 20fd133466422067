"""Objects that the edge of a window cuts: pieces that continue each other become one box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from geopdn.detections import Detections
from geopdn.geometry import boxes as box
from geopdn.geometry import overlap
from geopdn.merge.neighbours import Neighbours, bounds_of
from geopdn.merge.order import ranking
from geopdn.merge.ownership import NOBODY, owners

if TYPE_CHECKING:
    from collections.abc import Iterator

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

# Two cut boxes continue each other where they fill at least this share of their common minimum rotated rectangle;
# a whole chain of them may bend a little more.
PAIR_FILL = 0.8
CHAIN_FILL = 0.7
# Cut boxes this near (pixels of their own level) touch.
TOUCH_PX = 1.0
# Unions are taken on a grid this fine: without one GEOS fails on rectangles that nearly coincide.
GRID_PX = 1e-6
# Candidate pairs, and pieces of chains, worked on at once: about 2 kB each as geometries.
MAX_PAIRS = 1 << 15
BLOCK = 1 << 13


def join(found: Detections, reach: Floats, *, margin_px: float) -> tuple[Detections, int]:
    """Replace chains of cut boxes that continue each other by their minimum rotated rectangles.

    A chain stays in pieces where it bends, or where no core holds the centre of the whole.

    Args:
        found: in the order of `ranking`.
        reach: `[n_windows, 4]`, see `reach_of`.
        margin_px: see `merge`.

    Returns:
        All detections in the order of `ranking`, joined ones no longer cut, and the number of joined ones.
    """
    pieces = np.flatnonzero(found.cut)
    chain = _chains(found.take(pieces))
    links = np.bincount(chain, minlength=len(pieces))[chain]
    order = np.argsort(chain, kind="stable")  # best first in each chain
    order = order[links[order] > 1]
    if not len(order):
        return found, 0
    wholes, used = [], np.zeros(len(found), np.bool_)
    for part in _batches(chain[order]):
        members = pieces[order[part]]
        _, group = np.unique(chain[order[part]], return_inverse=True)
        joined, is_used = _joined(found.take(members), group, reach, margin_px=margin_px)
        wholes.append(joined)
        used[members[is_used]] = True
    n_new = sum(map(len, wholes))
    if not n_new:
        return found, 0
    together = Detections.concatenate([found.take(~used), *wholes])
    return together.take(ranking(together)), n_new


def _batches(chain: Index) -> Iterator[slice]:
    """Slices of chains that lie together, each about a block long."""
    ends = np.append(np.flatnonzero(np.diff(chain)) + 1, len(chain))
    start = 0
    while start < len(chain):
        last = min(int(np.searchsorted(ends, start + BLOCK)), len(ends) - 1)
        stop = int(ends[last])
        yield slice(start, stop)
        start = stop


def _joined(members: Detections, group: Index, reach: Floats, *, margin_px: float) -> tuple[Detections, Mask]:
    """One detection for every chain that can be joined, and `[M]` which of the members are used up in them.

    Args:
        members: pieces, chain after chain, best first in each.
        group: `[M]` the number of each one's chain, from 0.
        reach: see `join`.
        margin_px: see `merge`.
    """
    points = box.corners(members.boxes).reshape(-1, 2)
    wholes = box.from_polygons(np.asarray(shapely.multipoints(points, indices=np.repeat(group, 4)), object))
    chains = np.asarray(shapely.geometrycollections(box.to_polygons(members.boxes), indices=group), object)
    together = shapely.area(shapely.union_all(chains[:, None], grid_size=GRID_PX, axis=1))
    best = np.flatnonzero(np.diff(group, prepend=-1))
    owner = owners(wholes, members.level[best], reach, group=group, window=members.window, margin_px=margin_px)
    good = (together >= CHAIN_FILL * overlap.area(wholes)) & (owner != NOBODY)
    best = best[good]
    uncut = np.zeros(len(best), np.bool_)
    joined = Detections(wholes[good], members.score[best], members.label[best], owner[good], members.level[best], uncut)
    return joined, good[group]


def _chains(pieces: Detections) -> Index:
    """`[n]` the first member of the chain that each piece belongs to.

    Pieces of one class, from different windows, that touch and fill one rectangle are linked, block by block.
    """
    first = np.arange(len(pieces))
    tolerance: Floats = TOUCH_PX * np.exp2(pieces.level.astype(np.float64))
    limits = bounds_of(pieces.boxes, around=tolerance)
    neighbours = Neighbours(limits)
    start = 0
    while start < len(pieces):
        n, position, lower = neighbours.of(limits[start : start + BLOCK], limit=MAX_PAIRS)
        upper = start + position
        start += n
        near = (upper < lower) & (pieces.label[upper] == pieces.label[lower])
        near &= pieces.window[upper] != pieces.window[lower]
        upper, lower = upper[near], lower[near]
        linked = _continue_each_other(pieces, upper, lower, tolerance=tolerance)
        _link(first, upper[linked], lower[linked])
    return first


def _continue_each_other(pieces: Detections, upper: Index, lower: Index, *, tolerance: Floats) -> Mask:
    """`[P]` True for pairs of pieces that touch and fill their common rectangle."""
    a, b = pieces.boxes[upper], pieces.boxes[lower]
    gap = shapely.distance(box.to_polygons(a), box.to_polygons(b))
    good: Mask = gap <= np.maximum(tolerance[upper], tolerance[lower])
    a, b = a[good], b[good]
    together = overlap.area(a) + overlap.area(b) - overlap.shared_area(a, b)
    points = np.asarray(shapely.multipoints(np.concatenate([box.corners(a), box.corners(b)], 1)), dtype=object)
    good[good] = together >= PAIR_FILL * shapely.area(shapely.oriented_envelope(points))
    return good


def _link(first: Index, upper: Index, lower: Index) -> None:
    """Put linked pairs into one chain each; `first` points to the first member, and is changed in place."""
    while True:
        a, b = first[upper], first[lower]
        if (a == b).all():
            return
        np.minimum.at(first, np.maximum(a, b), np.minimum(a, b))
        while (first[first] != first).any():
            first[:] = first[first]
