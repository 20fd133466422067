"""Stage 2, second half: the LSTM that re-weights what has not been seen after each patch, as it learns.

A search asks it through `geopdn.model.advice`, which says the same in arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from geopdn.model.advice import (
    DECADES,
    FAINT,
    LEAST_RATE,
    LIKENESS_LIMIT,
    N_STATISTICS,
    SCALE_LIMITS,
    SLOPE_LIMIT,
)

State = tuple[Tensor, Tensor]
"""Hidden and cell `[1, B, hidden]`."""


@dataclass(frozen=True, slots=True)
class DriveAdvice:
    """What the controller says after the last patch; as `geopdn.model.advice.Advice`, in batches.

    Attributes:
        query: `[B, G]`.
        log_scale: `[B]`.
        slope: `[B]`.
    """

    query: Tensor
    log_scale: Tensor
    slope: Tensor


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
        self, pooled: Tensor, context: Tensor, statistics: Tensor, state: State | None = None
    ) -> tuple[DriveAdvice, State]:
        """Take in a sequence of patches.

        Args:
            pooled: `[B, n, dim]` pooled patch features, in the order they were looked at.
            context: `[B, n, G]` global grid at each patch.
            statistics: `[B, n, N_STATISTICS]` see `geopdn.model.advice.Told.statistics`.
            state: state after earlier patches.

        Returns:
            Advice after the last patch, and the state to go on from.
        """
        x = torch.cat([self.patch(pooled), self.place(context)], -1) + self.statistics(statistics)
        y, state = self.lstm(torch.tanh(x), state)
        out = self.out(y[:, -1])
        scale, slope = out[:, -2].clamp(*SCALE_LIMITS), out[:, -1].clamp(-SLOPE_LIMIT, SLOPE_LIMIT)
        return DriveAdvice(query=out[:, :-2], log_scale=scale, slope=slope), state


def likeness(grid: Tensor, advice: DriveAdvice) -> Tensor:
    """Log factors `[B, h, w]` by what the cells of the grid `[B, G, h, w]` look like."""
    like = torch.einsum("bg,bghw->bhw", advice.query, grid.float()) / grid.shape[1] ** 0.5
    limited: Tensor = like.clamp(-LIKENESS_LIMIT, LIKENESS_LIMIT)
    return limited


def log_factors(like: Tensor, advice: DriveAdvice, rate: Tensor) -> Tensor:
    """Log factors on the rates of cells of one scene, of any shape; as `geopdn.model.advice.Advice.log_factors`.

    Args:
        like: see `likeness`, at the cells.
        advice: of a batch of one.
        rate: expected objects a cell.
    """
    strength = torch.log10(rate.clamp_min(LEAST_RATE) / FAINT).clamp(*DECADES)
    return like + advice.log_scale + advice.slope * strength
