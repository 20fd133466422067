"""Stage 2, second half: the LSTM that re-weights what has not been seen after each patch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

N_STATISTICS = 8
MODULATION_LIMIT = 2.0


@dataclass(frozen=True, slots=True)
class DriveState:
    """State of the controller.

    Attributes:
        hidden: `[1, B, hidden]`.
        cell: `[1, B, hidden]`.
    """

    hidden: Tensor
    cell: Tensor


@dataclass(frozen=True, slots=True)
class DriveAdvice:
    """What the controller says after the last patch.

    Attributes:
        query: `[B, G]` direction in the global grid's space: cells that look like it are worth more.
        log_scale: `[B]` correction of all rates, natural log.
        stop: `[B]` logit that what remains is not worth a further round (advisory).
    """

    query: Tensor
    log_scale: Tensor
    stop: Tensor


class PatchDriveController(nn.Module):
    """`LSTM(dim, hidden)` over the sequence of patches.

    Each step takes the pooled patch feature with the global context at that place and what was found against what
    was expected. The output matrix starts at zero: an untrained controller changes nothing.

    Args:
        dim: size of the LSTM's input; half of it is the patch, half the place.
        grid: channels of the global grid.
        hidden: state size.
    """

    def __init__(self, *, dim: int, grid: int, hidden: int) -> None:
        super().__init__()
        self.patch = nn.Linear(dim, dim // 2)
        self.place = nn.Linear(grid, dim - dim // 2)
        self.statistics = nn.Linear(N_STATISTICS, dim)
        self.lstm = nn.LSTM(dim, hidden, batch_first=True)
        self.out = nn.Linear(hidden, grid + 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, pooled: Tensor, context: Tensor, statistics: Tensor, state: DriveState | None = None
    ) -> tuple[DriveAdvice, DriveState]:
        """Take in a sequence of patches.

        Args:
            pooled: `[B, n, dim]` pooled patch features, in the order they were looked at.
            context: `[B, n, G]` global grid at each patch.
            statistics: `[B, n, N_STATISTICS]` see `patch_statistics`.
            state: state after earlier patches.

        Returns:
            Advice after the last patch, and the state to go on from.
        """
        x = torch.cat([self.patch(pooled), self.place(context)], -1) + self.statistics(statistics)
        start = None if state is None else (state.hidden, state.cell)
        y, (hidden, cell) = self.lstm(torch.tanh(x), start)
        out = self.out(y[:, -1])
        advice = DriveAdvice(query=out[:, :-2], log_scale=out[:, -2].clamp(-2, 2), stop=out[:, -1])
        return advice, DriveState(hidden=hidden, cell=cell)


def patch_statistics(found: Tensor, expected: Tensor, score: Tensor, extent_log2: Tensor, share: Tensor) -> Tensor:
    """The controller's numbers of each patch, `[..., N_STATISTICS]`.

    Args:
        found: objects found.
        expected: objects expected.
        score: mean score of what was found, 0 if nothing was.
        extent_log2: log2 of the window's extent in grid cells.
        share: share of the scene seen so far, in [0, 1].
    """
    ratio = torch.log((found + 0.5) / (expected + 0.5))
    surprise = (found - expected) / torch.sqrt(expected + 0.5)
    return torch.stack(
        [
            torch.log1p(found),
            torch.log1p(expected),
            ratio,
            surprise.clamp(-4, 4),
            score,
            extent_log2,
            share,
            (found > 0).to(found.dtype),
        ],
        -1,
    )


def modulation(grid: Tensor, advice: DriveAdvice) -> Tensor:
    """Log factors `[B, h, w]` on the rates of each grid cell `[B, G, h, w]`, within +-`MODULATION_LIMIT`."""
    g = grid.shape[1]
    likeness = torch.einsum("bg,bghw->bhw", advice.query, grid.float()) / g**0.5
    factors: Tensor = likeness.clamp(-MODULATION_LIMIT, MODULATION_LIMIT) + advice.log_scale[:, None, None]
    return factors
