"""Earlier dates of the same ground: cross-attention from what today's overview shows to what theirs show."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopdn.model.curves import bent
from geopdn.model.fusion import N_FREQUENCIES, fourier
from geopdn.model.saliency import KNOTS
from geopdn.model.streams import CELL_STRIDE, GRID_STRIDE, GlobalFeatures, overview_of

LONGEST_GAP = 16.0  # of the slowest wave, in natural logarithms of days


@dataclass(frozen=True, slots=True, eq=False)
class EarlierDates:
    """Overviews of T earlier dates, each on the grid of the current one.

    Attributes:
        overviews: `[B, T, 3C + 2, H, W]`, as of `pack_overview`.
        known: `[B, T, H/4, W/4]` 1 where a date shows a cell, 0 where it is missing (outside, cloud mask, no date).
        days: `[B, T]` gap to the current date in days, either way; 0 where it is not known.
    """

    overviews: Tensor
    known: Tensor
    days: Tensor

    def of(self, i: int) -> EarlierDates:
        """Those of one image of the batch."""
        one = slice(i, i + 1)
        return EarlierDates(self.overviews[one], self.known[one], self.days[one])


def dates_in_memory(earlier: Tensor, days: Tensor | None, missing: Tensor | None, *, level: int) -> EarlierDates:
    """Earlier dates from full-resolution images in memory.

    Args:
        earlier: `[B, T, C, H, W]` stretched to about [0, 1].
        days: `[B, T]`, None where that is not known.
        missing: `[B, T, H, W]` True where a date shows nothing.
        level: of the overview.
    """
    b, t, _, h, w = earlier.shape
    grid_px, cell_px = GRID_STRIDE << level, CELL_STRIDE << level
    valid = torch.ones_like(earlier[:, :, :1]) if missing is None else (~missing[:, :, None]).to(earlier.dtype)
    beyond = (0, -w % grid_px, 0, -h % grid_px)
    pixels, valid = (F.pad(part.flatten(0, 1), beyond) for part in (earlier * valid, valid))
    overviews = overview_of(pixels, valid, step=1 << level)
    known = (F.max_pool2d(valid, cell_px)[:, 0] > 0).to(earlier.dtype)
    gaps = torch.zeros(b, t, device=earlier.device) if days is None else days
    overviews, known = (part.reshape(b, t, *part.shape[1:]) for part in (overviews, known))
    return EarlierDates(overviews, known, gaps)


class TemporalAttention(nn.Module):
    """Each position of a map attends to the same position of the same map of every earlier date.

    Keys and values see 3 x 3 positions, so that dates may lie a position apart; a learnt key stands for "nothing to be
    learnt from any of them". `now + out(GELU(feed(LN(q), LN(attended))))`, the last projection starting at zero:
    before training, dates change nothing; positions that no date shows never change.

    Args:
        channels: of the map.
        dim: embedding size.
        heads: attention heads (Vaswani et al. 2017).
    """

    def __init__(self, channels: int, *, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Conv2d(channels, dim, 1)
        self.key_value = nn.Conv2d(channels, 2 * dim, 3, padding=1)
        self.gap = nn.Linear(2 * N_FREQUENCIES, dim)
        self.nothing = nn.Parameter(torch.zeros(2 * dim))
        self.norm = nn.LayerNorm(dim)
        self.feed = nn.Linear(2 * dim, 2 * dim)
        self.out = nn.Linear(2 * dim, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, now: Tensor, earlier: Sequence[Tensor], known: Tensor, days: Tensor) -> Tensor:
        """The map with what earlier dates say of it.

        Args:
            now: `[B, C, h, w]`.
            earlier: of each of T dates `[B, C, h, w]`.
            known: `[B, T, h, w]` 1 where a date shows the position.
            days: `[B, T]`.

        Returns:
            `[B, C, h, w]`; `now` itself without dates.
        """
        if not earlier:
            return now
        b, _, h, w = now.shape
        query = self._split(self.query(now))  # [B, heads, dim / heads, h, w]
        gaps = self.gap(fourier(torch.log1p(days.abs())[..., None], longest=LONGEST_GAP))  # [B, T, dim]
        keys, values = (self._split(part[None, :, None, None].expand(b, -1, h, w)) for part in self.nothing.chunk(2))
        scale = 1 / math.sqrt(query.shape[2])
        top = (query * keys).sum(2) * scale  # [B, heads, h, w]; the softmax over dates, one date at a time
        total, attended = torch.ones_like(top), values
        for t, features in enumerate(earlier):
            key, value = self.key_value(features).chunk(2, 1)
            logit = (query * self._split(key + gaps[:, t, :, None, None])).sum(2) * scale
            logit = logit.masked_fill(known[:, t, None] == 0, -math.inf)
            highest = torch.maximum(top, logit)
            kept, new = (top - highest).exp(), (logit - highest).exp()
            attended = attended * kept[:, :, None] + self._split(value) * new[:, :, None]
            total, top = total * kept + new, highest
        attended = (attended / total[:, :, None]).flatten(1, 2)
        both = [self.norm(x.permute(0, 2, 3, 1)) for x in (query.flatten(1, 2), attended)]
        change = self.out(F.gelu(self.feed(torch.cat(both, -1)))).permute(0, 3, 1, 2)
        fused: Tensor = now + change * (known.amax(1, keepdim=True) > 0)
        return fused

    def _split(self, x: Tensor) -> Tensor:
        """`[B, dim, h, w]` by heads."""
        b, dim, h, w = x.shape
        return x.reshape(b, self.heads, dim // self.heads, h, w)


class TemporalFusion(nn.Module):
    """The saliency's cells and the global grid, each with what earlier dates say of it.

    With one date it is the identity, exactly.

    Args:
        cells: channels of the cells.
        grid: channels of the grid.
        heads: attention heads, or the most that divide the channels of the grid.
        n_sizes: size classes K.

    Attributes:
        calibration: `[K, len(KNOTS)]` what rates with dates are worth, fitted after training (`geopdn.model.curves`).
    """

    calibration: Tensor

    def __init__(self, *, cells: int, grid: int, heads: int, n_sizes: int) -> None:
        super().__init__()
        self.register_buffer("calibration", torch.zeros(n_sizes, len(KNOTS)))
        heads = math.gcd(grid, heads)
        self.cells = TemporalAttention(cells, dim=grid, heads=heads)
        self.grid = TemporalAttention(grid, dim=grid, heads=heads)

    def forward(
        self, now: GlobalFeatures, earlier: EarlierDates | None, stream: Callable[[Tensor], GlobalFeatures]
    ) -> GlobalFeatures:
        """What the global stream sees today and saw then.

        Args:
            now: of the current date.
            earlier: the other dates' overviews, None without.
            stream: the global stream, which looks at them one by one.
        """
        if earlier is None or not earlier.overviews.shape[1]:
            return now
        seen = [
            stream(earlier.overviews[:, t].contiguous(memory_format=torch.channels_last))
            for t in range(earlier.overviews.shape[1])
        ]
        known = F.max_pool2d(earlier.known, GRID_STRIDE // CELL_STRIDE)
        return GlobalFeatures(
            cells=self.cells(now.cells, [x.cells for x in seen], earlier.known, earlier.days),
            grid=self.grid(now.grid, [x.grid for x in seen], known, earlier.days),
        )

    def calibrated(self, rate: Tensor, earlier: EarlierDates | None) -> Tensor:
        """Rates `[B, K, h, w]` where a date shows the cell brought to what was found on places held out."""
        if earlier is None or not earlier.overviews.shape[1] or not self.calibration.any():
            return rate
        logs = rate.clamp_min(1e-9).log().flatten(2)
        bent_rate = bent(logs, self.calibration, KNOTS).exp().view_as(rate)
        return torch.where(earlier.known.amax(1, keepdim=True) > 0, bent_rate, rate)
