"""Stages 3 and 4 for one round of windows: inspect, detect, fuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from geopdn.coverage import Planned
from geopdn.detections import Detections
from geopdn.engine.grid import places_of, sampled, token_places
from geopdn.engine.reading import BATCH_PX, ReadWindow, in_file_order, read_ahead
from geopdn.engine.seen import Book, Seen
from geopdn.engine.side_by_side import side_by_side, workers
from geopdn.engine.stage import Finder, ValueScaling
from geopdn.geometry.window import Size, Window
from geopdn.model.decoded import Decoded
from geopdn.model.network import Network
from geopdn.model.probabilities import Probabilities
from geopdn.scene import PixelSource

FUSION_BLOCK = 16  # cells of the global grid; tokens of windows that touch a block are fused into it
FUSION_LIMIT = 64  # windows fused into one block in one round


def inspect_windows(
    planned: Sequence[tuple[int, Planned]],
    *,
    source: PixelSource,
    scaling: ValueScaling,
    finder: Finder,
    curves: Probabilities | None,
    grid: NDArray[np.float16] | None,
    grid_px: int,
    edge_px: float,
    device: str,
    min_score: float,
    keep_features: bool,
    concurrent: bool,
    book: Book | None,
    n_workers: int | None = None,
    done: Callable[[Seen], None],
) -> list[Seen]:
    """Read, look at and decode windows.

    Args:
        planned: (index, window) pairs.
        source: the scene.
        scaling: of its values.
        finder: looks at the windows.
        curves: make probabilities of its scores; None where they stay as they are.
        grid: global grid `[G, h, w]` that conditions the head, None on the dense path and for other detectors.
        grid_px: side of its cells in level-0 pixels.
        edge_px: see `is_cut`.
        device: where the network runs.
        min_score: lowest score that is kept.
        keep_features: whether the records hold tokens and pooled features.
        concurrent: whether the finder may be called from several threads.
        n_workers: how many batches are looked at at once, at most; None for the usual number.
        book: windows that it knows are not read again, others are noted in it.
        done: called for every window that is finished.

    Returns:
        One record a window, by index: the result does not depend on the order of reading.
    """
    least = min_score if curves is None else curves.least_raw(min_score)

    def look(batch: list[ReadWindow]) -> list[Seen]:
        seen = [
            Seen(item.index, "failed" if item.cause else "empty", item.cause, None, None, Detections.empty())
            for item in batch
            if item.values is None
        ]
        good = [item for item in batch if item.values is not None]
        if not good:
            return seen
        values = np.stack([item.values for item in good if item.values is not None])
        context = None if grid is None else sampled(grid, places_of([item.planned for item in good]), grid_px=grid_px)
        features, found = finder.find(values, context, min_score=least)
        n_invalid = found.n_invalid
        if curves is not None:
            levels = np.array([item.planned.window.level for item in good])
            found = curves.rescored(found, levels, min_score=min_score)
        for i, (item, part) in enumerate(zip(good, _split(found, good, source.size, edge_px=edge_px), strict=True)):
            kept = features if keep_features else None
            tokens, pooled = (None, None) if kept is None else (kept.tokens[i], kept.pooled[i])
            seen.append(Seen(item.index, "read", "", tokens, pooled, part, 0 if i else n_invalid))
        return seen

    batch_px = BATCH_PX[device]
    batches = in_file_order(planned, batch_px=batch_px)
    n_threads = workers(len(batches), device, most=n_workers) if concurrent else 1  # with and without a book the same
    result, batches = ([], batches) if book is None else book.recall_all(batches)
    for seen in result:
        done(seen)
    windows = dict(planned)
    for part in side_by_side(look, read_ahead(source, scaling, batches, batch_px=batch_px), n_workers=n_threads):
        if book is not None:
            book.note(part, windows)
        result += part
        for seen in part:
            done(seen)
    return sorted(result, key=lambda s: s.index)


def _split(found: Decoded, batch: Sequence[ReadWindow], size: Size, *, edge_px: float) -> list[Detections]:
    """Detections of each window of a batch in level-0 pixels, those whose centre lies in its core."""
    boxes, score = found.boxes.astype(np.float64), found.score.astype(np.float64)
    parts = []
    for i, item in enumerate(batch):
        mine = found.window == i
        full, level = item.planned.window.at_full_resolution(), item.planned.window.level
        local = boxes[mine]
        local[:, :4] *= 1 << level
        local[:, 0] += full.col
        local[:, 1] += full.row
        keep = in_core(local, item.planned.core, size) & np.isfinite(local).all(1)
        n = int(keep.sum())
        parts.append(
            Detections(
                boxes=local[keep],
                score=score[mine][keep],
                label=found.label[mine][keep],
                window=np.full(n, item.index, np.int64),
                level=np.full(n, level, np.int64),
                cut=is_cut(local[keep], full, size, edge_px=edge_px),
            )
        )
    return parts


def in_core(boxes: NDArray[np.float64], core: Window, size: Size) -> NDArray[np.bool_]:
    """Where a centre lies in a core, with a little tolerance so that nothing falls between two cores."""
    slack = 4.0
    top = core.row - slack if core.row > 0 else -np.inf
    left = core.col - slack if core.col > 0 else -np.inf
    bottom = core.row_stop + slack if core.row_stop < size.height else np.inf
    right = core.col_stop + slack if core.col_stop < size.width else np.inf
    x, y = boxes[:, 0], boxes[:, 1]
    in_scene = (x >= 0) & (y >= 0) & (x < size.width) & (y < size.height)
    inside: NDArray[np.bool_] = (x >= left) & (x < right) & (y >= top) & (y < bottom) & in_scene
    return inside


def is_cut(boxes: NDArray[np.float64], window: Window, size: Size, *, edge_px: float = 0.0) -> NDArray[np.bool_]:
    """Where a box reaches, within `edge_px` level-0 pixels, an edge of its window that is not an edge of the scene."""
    from geopdn.geometry.boxes import bounds

    x0, y0, x1, y1 = bounds(boxes).T if len(boxes) else np.zeros((4, 0))
    cut: NDArray[np.bool_] = (
        ((x0 < window.col + edge_px) & (window.col > 0))
        | ((y0 < window.row + edge_px) & (window.row > 0))
        | ((x1 > window.col_stop - edge_px) & (window.col_stop < size.width))
        | ((y1 > window.row_stop - edge_px) & (window.row_stop < size.height))
    )
    return cut


def fuse(grid: NDArray[np.float16], seen: Sequence[Seen], planned: Sequence[Planned], *, net: Network) -> None:
    """Fuse a round's tokens into the global grid, in place and block by block; others stay as they are.

    Args:
        grid: `[G, h, w]`; changed.
        seen: records of the round, by index.
        planned: their windows, in the same order.
        net: the network.
    """
    pairs = [(s, p) for s, p in zip(seen, planned, strict=True) if s.tokens is not None]
    if not pairs:
        return
    tokens = np.stack([s.tokens for s, _ in pairs if s.tokens is not None])  # [n, 16, dim]
    places = places_of([p for _, p in pairs])
    spots = token_places(places, grid_px=net.config.grid_px)  # [n, 16, 3]
    top, left, extent = places.T / net.config.grid_px
    bottom, right = top + extent, left + extent

    def changed(corner: tuple[int, int]) -> tuple[tuple[int, int], NDArray[np.float32]] | None:
        i, j = corner
        touches = (bottom > i) & (top < i + FUSION_BLOCK) & (right > j) & (left < j + FUSION_BLOCK)
        which = np.flatnonzero(touches)[:FUSION_LIMIT]
        if not len(which):
            return None
        local = spots[which].reshape(-1, 3) - np.array([j, i, 0], np.float32)
        block = grid[:, i : i + FUSION_BLOCK, j : j + FUSION_BLOCK].astype(np.float32)
        return corner, net.fuse(block, tokens[which].reshape(-1, tokens.shape[-1]), local)

    corners = [
        (i, j)
        for i in range(_first_block(top), min(_last(bottom), grid.shape[1]), FUSION_BLOCK)
        for j in range(_first_block(left), min(_last(right), grid.shape[2]), FUSION_BLOCK)
    ]
    for fused in side_by_side(changed, corners, n_workers=workers(len(corners), net.device)):
        if fused is not None:
            (i, j), block = fused
            grid[:, i : i + FUSION_BLOCK, j : j + FUSION_BLOCK] = block


def _first_block(starts: NDArray[np.float32]) -> int:
    return max(0, int(starts.min()) // FUSION_BLOCK * FUSION_BLOCK)


def _last(stops: NDArray[np.float32]) -> int:
    return math.ceil(float(stops.max()))
