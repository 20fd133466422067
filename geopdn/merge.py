"""Remove duplicates across windows and scales: ownership by cores, joining of cut boxes, oriented suppression.

An object belongs to the window whose core holds its centre, so duplicates are the exception: the same object in
overlapping cores, in windows of two scales, or one object cut by the edges of two windows. The result depends on
the set of detections only, never on their order, and merging a merged result changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from geopdn.detections import Detections
from geopdn.geometry import boxes as box
from geopdn.geometry import overlap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopdn.detections import WindowRecord
    from geopdn.geometry.window import Size

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

# A cut box that an uncut one covers by more than this share of its own area is a piece of the same object.
COVERED = 0.6
# Boxes shorter than this many level-0 pixels are also compared by the distance of their centres: between boxes of
# a few pixels the IoU jumps with every fraction of a pixel.
TINY_PX = 8.0
TINY_DISTANCE = 0.5
# Two cut boxes continue each other where they fill at least this share of their common minimum rotated rectangle;
# a whole chain of them may bend a little more.
PAIR_FILL = 0.8
CHAIN_FILL = 0.7
# Cut boxes this near (pixels of their own level) touch.
TOUCH_PX = 1.0
# Unions are taken on a grid this fine: without one GEOS fails on rectangles that nearly coincide.
GRID_PX = 1e-6
# Pairs that may be held in memory at once: about 16 bytes each before they are filtered.
MAX_PAIRS = 8_000_000
PAIR_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class MergeResult:
    """What remains after merging, and what became of the rest.

    `len(detections) + n_nonfinite + n_foreign + n_duplicates` is the number of detections that came in.

    Attributes:
        detections: one per object, in canonical order.
        n_nonfinite: dropped because the box or the score was not a finite number.
        n_foreign: dropped because the centre lies outside the core of the window that found it.
        n_duplicates: suppressed by a better box, or used up in a joined one.
        n_joined: boxes in `detections` that were joined from pieces during this call.
    """

    detections: Detections
    n_nonfinite: int
    n_foreign: int
    n_duplicates: int
    n_joined: int


def core_array(records: Sequence[WindowRecord]) -> Index:
    """Cores `[n_windows, 4]` (row0, col0, row1, col1; level-0 pixels) of window records, placed by their index."""
    cores = np.zeros((max((record.index for record in records), default=-1) + 1, 4), np.int64)
    for record in records:
        core = record.core
        cores[record.index] = core.row, core.col, core.row_stop, core.col_stop
    return cores


def merge(
    detections: Detections, *, cores: Index, size: Size, iou: float = 0.3, core_margin_px: float = 4.0
) -> MergeResult:
    """Remove duplicates across windows and scales.

    Args:
        detections: of all windows, in any order.
        cores: `[n_windows, 4]` row0, col0, row1, col1 of each window's core in level-0 pixels;
            `detections.window` points into it. See `core_array`.
        size: level-0 size of the scene: cores that reach its edge own what lies beyond it.
        iou: boxes of one class that overlap by more than this oriented IoU are one object.
        core_margin_px: a centre may lie this far outside its core, in pixels of the level it was found at.

    Returns:
        One detection per object, with counts of what was dropped.

    Raises:
        ValueError: a detection names a window that has no core.
    """
    cores = np.asarray(cores, np.int64).reshape(-1, 4)
    if len(detections) and not (detections.window.min() >= 0 and detections.window.max() < len(cores)):
        low, high = detections.window.min(), detections.window.max()
        msg = f"detections name windows {low} to {high} but there are {len(cores)} cores: pass one core a window"
        raise ValueError(msg)
    finite = detections.take(detections.is_finite())
    reach = _reach(cores, size)
    owned = finite.take(_owned(finite.boxes, finite.level, reach[finite.window], margin_px=core_margin_px))
    current, n_joined, n_before = _ordered(owned), 0, -1
    while len(current) != n_before:  # what joining and suppression remove may have kept others from joining
        n_before = len(current)
        current = current.take(_survivors(current, range(_n_uncut(current)), iou=iou))
        current, n_new = _join(current, reach, margin_px=core_margin_px)
        strikers = range(0 if n_new else _n_uncut(current), len(current))
        current = current.take(_survivors(current, strikers, iou=iou))
        n_joined += n_new
    return MergeResult(
        detections=current.in_canonical_order(),
        n_nonfinite=len(detections) - len(finite),
        n_foreign=len(finite) - len(owned),
        n_duplicates=len(owned) - len(current),
        n_joined=n_joined,
    )


def _reach(cores: Index, size: Size) -> NDArray[np.float64]:
    """Cores as float `[n, 4]`, those at the scene's edge extended to infinity outward."""
    reach = cores.astype(np.float64)
    reach[:, :2][cores[:, :2] <= 0] = -np.inf
    reach[:, 2:][cores[:, 2:] >= (size.height, size.width)] = np.inf
    return reach


def _owned(boxes: box.Boxes, level: Index, reach: NDArray[np.float64], *, margin_px: float) -> Mask:
    """`[N]` True where the centre lies in its core `[N, 4]`, to within the margin at that level."""
    x, y = boxes[:, 0], boxes[:, 1]
    margin = margin_px * 2.0**level
    rows = (y >= reach[:, 0] - margin) & (y <= reach[:, 2] + margin)
    inside: Mask = rows & (x >= reach[:, 1] - margin) & (x <= reach[:, 3] + margin)
    return inside


def _ordered(detections: Detections) -> Detections:
    """From best to worst: uncut before cut, then (-score, row, column, label), then every other column.

    All columns take part, so that detections that differ at all have one order.
    """
    x, y, length, width, angle = detections.boxes.T
    rest = (detections.level, detections.window, angle, width, length)
    return detections.take(np.lexsort((*rest, detections.label, x, y, -detections.score, detections.cut)))


def _n_uncut(ordered: Detections) -> int:
    """Number of uncut detections, which come first in the order of `_ordered`."""
    return len(ordered) - int(ordered.cut.sum())


def _survivors(found: Detections, strikers: range, *, iou: float) -> Mask:
    """Greedy suppression, exactly: a box falls if a better box that itself stands is the same object.

    Boxes are taken in blocks, from the best down; a block is settled within itself, then what stands in it
    strikes everything below. Neighbours come from a spatial index, so memory stays bounded.

    Args:
        found: in the order of `_ordered`.
        strikers: positions that may strike others; the rest are only struck.
        iou: see `merge`.

    Returns:
        `[N]` True for those that stand.
    """
    n = len(found)
    standing = np.ones(n, np.bool_)
    padded = found.boxes.copy()
    padded[:, 2:4] = np.maximum(padded[:, 2:4], 1.0)  # a box without area still has neighbours
    limits = box.bounds(padded)
    outlines = np.asarray(shapely.box(*limits.T), dtype=object)
    tree = shapely.STRtree(outlines)
    most = int(np.clip(MAX_PAIRS // max(n, 1), 1, 512))
    start, step = strikers.start, 8
    while start < strikers.stop:
        block = np.arange(start, min(start + step, strikers.stop))
        start += len(block)
        block = block[standing[block]]
        if not len(block):
            continue
        position, lower = tree.query(outlines[block])
        step = int(np.clip(PAIR_CHUNK * len(block) // len(position), 1, most))  # crowds in small blocks
        upper = block[position]
        near = (lower > upper) & standing[lower] & (found.label[lower] == found.label[upper])
        upper, lower = upper[near], lower[near]
        within = lower <= block[-1]
        first = np.flatnonzero(within)
        first = first[np.lexsort((lower[first], upper[first]))]
        first = first[_same_object(found, limits, upper[first], lower[first], iou=iou)]
        for strong, weak in zip(upper[first].tolist(), lower[first].tolist(), strict=True):
            if standing[strong]:
                standing[weak] = False
        upper, lower = upper[~within], lower[~within]
        alive = standing[upper]
        upper, lower = upper[alive], lower[alive]
        standing[lower[_same_object(found, limits, upper, lower, iou=iou)]] = False
    return standing


def _same_object(found: Detections, limits: NDArray[np.float64], upper: Index, lower: Index, *, iou: float) -> Mask:
    """`[P]` True where box `lower` shows the object of the better box `upper`; exact, cheap bounds first."""
    same = np.zeros(len(upper), np.bool_)
    for start in range(0, len(upper), PAIR_CHUNK):
        part = slice(start, start + PAIR_CHUNK)
        first, second = found.boxes[upper[part]], found.boxes[lower[part]]
        area_first, area_second = overlap.area(first), overlap.area(second)
        a, b = limits[upper[part]], limits[lower[part]]
        sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)  # [P, 2]
        most = np.minimum(sides.prod(1), np.minimum(area_first, area_second))  # upper bound of the overlap
        piece = found.cut[lower[part]] & ~found.cut[upper[part]]
        may = (most > iou * (area_first + area_second - most)) | (piece & (most > COVERED * area_second))
        shared = np.zeros(len(first))
        shared[may] = overlap.shared_area(first[may], second[may])
        match = (shared > iou * (area_first + area_second - shared)) | (piece & (shared > COVERED * area_second))
        tiny = (first[:, 2:4].max(1, initial=0) < TINY_PX) & (second[:, 2:4].max(1, initial=0) < TINY_PX)
        match[tiny] |= _centre_distance(first[tiny], second[tiny]) < TINY_DISTANCE
        same[part] = match
    return same


def _centre_distance(first: box.Boxes, second: box.Boxes) -> NDArray[np.float64]:
    """Distance of centres `[P]` in units of the boxes' mean extent in that direction.

    The Mahalanobis distance under the mean of the two boxes' covariances (sides of at least a pixel): for equal
    squares the distance over the side; boxes that touch side by side or end to end are 1 apart.
    """
    total = np.zeros((len(first), 3))  # xx, xy, yy
    for boxes in (first, second):
        along, across = np.maximum(boxes[:, 2:4], 1.0).T ** 2
        cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
        total[:, 0] += along * cos**2 + across * sin**2
        total[:, 1] += (along - across) * cos * sin
        total[:, 2] += along * sin**2 + across * cos**2
    xx, xy, yy = total.T / 2
    dx, dy = (first[:, :2] - second[:, :2]).T
    squared = (yy * dx**2 - 2 * xy * dx * dy + xx * dy**2) / (xx * yy - xy**2)
    distance: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0.0))
    return distance


def _join(found: Detections, reach: NDArray[np.float64], *, margin_px: float) -> tuple[Detections, int]:
    """Replace chains of cut boxes that continue each other by their minimum rotated rectangles.

    Returns:
        All detections in the order of `_ordered`, joined ones no longer cut, and the number of joined ones.
    """
    pieces = np.flatnonzero(found.cut)
    upper, lower = _continuing(found.take(pieces))
    if not len(upper):
        return found, 0
    chain = _chains(len(pieces), upper, lower)
    joined, used = [], np.zeros(len(found), np.bool_)
    for number in np.flatnonzero(np.bincount(chain) > 1).tolist():
        members = pieces[chain == number]  # best first
        whole = _joined(found.take(members), reach, margin_px=margin_px)
        if whole is not None:
            joined.append(whole)
            used[members] = True
    return _ordered(Detections.concatenate([found.take(~used), *joined])), len(joined)


def _chains(n: int, upper: Index, lower: Index) -> Index:
    """`[n]` the first member of the chain that each of n pieces belongs to, given linked pairs."""
    first = np.arange(n)
    while True:
        least = np.minimum(first[upper], first[lower])
        if (first[upper] == least).all() and (first[lower] == least).all():
            return first
        np.minimum.at(first, upper, least)
        np.minimum.at(first, lower, least)


def _continuing(pieces: Detections) -> tuple[Index, Index]:
    """Index pairs of cut boxes of one class, from different windows, that touch and form one rectangle."""
    tolerance = TOUCH_PX * 2.0**pieces.level
    limits = box.bounds(pieces.boxes)
    outlines = np.asarray(shapely.box(*(limits + tolerance[:, None] * (-1, -1, 1, 1)).T), dtype=object)
    first, second = shapely.STRtree(outlines).query(outlines)
    keep = (first < second) & (pieces.label[first] == pieces.label[second])
    keep &= pieces.window[first] != pieces.window[second]
    first, second = first[keep], second[keep]
    polygons = box.to_polygons(pieces.boxes)
    gap = shapely.distance(polygons[first], polygons[second])
    near = gap <= np.maximum(tolerance[first], tolerance[second])
    first, second = first[near], second[near]
    a, b = pieces.boxes[first], pieces.boxes[second]
    together = overlap.area(a) + overlap.area(b) - overlap.shared_area(a, b)
    points = np.asarray(shapely.multipoints(np.concatenate([box.corners(a), box.corners(b)], 1)), dtype=object)
    full = together >= PAIR_FILL * shapely.area(shapely.oriented_envelope(points))
    return first[full], second[full]


def _joined(members: Detections, reach: NDArray[np.float64], *, margin_px: float) -> Detections | None:
    """One detection for a chain of pieces (best first), or None if they bend or no core holds its centre."""
    whole = box.from_polygons([shapely.MultiPoint(box.corners(members.boxes).reshape(-1, 2))])
    together = shapely.area(shapely.union_all(box.to_polygons(members.boxes), grid_size=GRID_PX))
    if together < CHAIN_FILL * overlap.area(whole)[0]:
        return None
    level = members.level[:1]
    owns = _owned(np.repeat(whole, len(reach), 0), np.repeat(level, len(reach)), reach, margin_px=margin_px)
    owners = [*members.window[owns[members.window]], *np.flatnonzero(owns)]
    if not owners:
        return None
    window = np.array(owners[:1], np.int64)
    return Detections(whole, members.score[:1], members.label[:1], window, level, np.zeros(1, np.bool_))
