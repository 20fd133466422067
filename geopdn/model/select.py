"""Choosing windows on one in-memory image: greedy coverage of the expected counts, on tensors.

The engine plans whole scenes with `geopdn.plan`; this is the same rule in its plainest form, for `forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from geopdn.config import WindowKind


@dataclass(frozen=True, slots=True)
class Selected:
    """A chosen window: top row and left column in level-0 pixels (halo included), kind index, expected finds."""

    row: int
    col: int
    kind: int
    expected: float


def select_windows(
    rate: Tensor, covered: Tensor, priorities: Tensor, kinds: Sequence[WindowKind], *, cell_px: int, count: int
) -> tuple[list[Selected], Tensor]:
    """Take the window of greatest gain per tensor pixel, inhibit what it covers, repeat.

    What two windows of the same place find is taken to be nested (the better one finds what the other does), so a
    second look of the same kind gains nothing: gain = sum of `rate * max(0, priority - covered)` over the core.

    Args:
        rate: `[K, h, w]` expected objects a cell.
        covered: `[K, h, w]` probability that an object there has been found by the windows so far.
        priorities: `[n_kinds, K]` probability that a window of that kind finds an object of that size class.
        kinds: kinds of windows.
        cell_px: side of a cell in level-0 pixels.
        count: windows to take, at most.

    Returns:
        The windows in the order they were taken, and `covered` after them.
    """
    covered = covered.clone()
    chosen: list[Selected] = []
    for _ in range(count):
        best: tuple[float, int, int, int, float] | None = None
        for k, kind in enumerate(kinds):
            side = max(1, kind.core // cell_px)
            weighted = (rate * (priorities[k][:, None, None] - covered).clamp_min(0)).sum(0)[None, None]
            gain = F.avg_pool2d(F.pad(weighted, (0, side - 1, 0, side - 1)), side, 1)[0, 0] * side * side
            value, index = torch.max(gain.flatten(), 0)
            worth = float(value) / kind.tensor**2
            if float(value) > 0 and (best is None or worth > best[0]):
                row, col = divmod(int(index), gain.shape[1])
                best = (worth, row, col, k, float(value))
        if best is None:
            break
        _, row, col, k, expected = best
        kind = kinds[k]
        side = max(1, kind.core // cell_px)
        core = covered[:, row : row + side, col : col + side]
        covered[:, row : row + side, col : col + side] = torch.maximum(core, priorities[k][:, None, None])
        chosen.append(Selected(row * cell_px - kind.halo, col * cell_px - kind.halo, k, expected))
    return chosen, covered
