"""Stage 4: patch tokens fused into the global grid by attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

N_FREQUENCIES = 8


def fourier(values: Tensor, *, longest: float) -> Tensor:
    """Sines and cosines of values at octaves of wavelengths below `longest` (Vaswani et al. 2017).

    Args:
        values: `[..., m]`.
        longest: wavelength of the slowest component, in the unit of the values.

    Returns:
        `[..., m * 2 * N_FREQUENCIES]`.
    """
    octaves = 2.0 ** torch.arange(N_FREQUENCIES, device=values.device, dtype=torch.float32)
    phase = values.float()[..., None] * (2 * torch.pi / longest) * octaves
    return torch.cat([phase.sin(), phase.cos()], -1).flatten(-2)


class PlaceEncoding(nn.Module):
    """Position and scale as a vector that is added to queries and keys.

    Positions are in grid cells from the corner of the neighbourhood that attends, so that a scene of any size looks
    the same; the scale is log2 of a token's ground extent in grid cells.
    """

    def __init__(self, dim: int, *, longest: float = 64.0) -> None:
        super().__init__()
        self.longest = longest
        self.project = nn.Linear(3 * 2 * N_FREQUENCIES, dim)

    def forward(self, x: Tensor, y: Tensor, scale: Tensor) -> Tensor:
        """Coordinates and log2 scales `[..., n]` -> `[..., n, dim]`."""
        out: Tensor = self.project(fourier(torch.stack([x, y, 8 * scale], -1), longest=self.longest))
        return out


class CrossAttention(nn.MultiheadAttention):
    """Multi-head attention (Vaswani et al. 2017) of queries to tokens, without its weights.

    The parameters are those of `nn.MultiheadAttention`, whose own `forward` loads torch's symbolic shapes, and with
    them SymPy: half a second of every start.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__(dim, heads, batch_first=True)

    def forward(self, queries: Tensor, tokens: Tensor, absent: Tensor) -> Tensor:  # type: ignore[override]
        """Queries `[B, n, dim]`, tokens `[B, m, dim]`, `[B, m]` True where one is padding -> `[B, n, dim]`."""
        b, n, dim = queries.shape
        weight, bias = self.in_proj_weight, self.in_proj_bias
        q = F.linear(queries, weight[:dim], bias[:dim])
        k, v = F.linear(tokens, weight[dim:], bias[dim:]).chunk(2, -1)
        q, k, v = (x.reshape(b, -1, self.num_heads, self.head_dim).transpose(1, 2) for x in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=~absent[:, None, None])  # [B, heads, n, dim/heads]
        out: Tensor = self.out_proj(attended.transpose(1, 2).reshape(b, n, dim))
        return out


class Fusion(nn.Module):
    """Global cells are queries, patch tokens keys and values; the result stays on the global grid.

    `G' = G + out(FFN(LN(q + MHA(q, tokens))))`, the last projection starting at zero: before training, fusion
    changes nothing.

    Args:
        grid: channels of the global grid.
        dim: embedding size.
        heads: attention heads.
    """

    def __init__(self, *, grid: int, dim: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Linear(grid, dim)
        self.place = PlaceEncoding(dim)
        self.attention = CrossAttention(dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.out = nn.Linear(dim, grid)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, grid: Tensor, tokens: Tensor, places: Tensor, missing: Tensor | None = None) -> Tensor:
        """Fuse tokens into a neighbourhood of the grid.

        Args:
            grid: `[B, G, h, w]`.
            tokens: `[B, m, dim]`.
            places: `[B, m, 3]` x, y of each token in cells from the grid's corner, and log2 of its extent in cells.
            missing: `[B, m]` True where a token is padding. A row that is all missing leaves its grid unchanged.

        Returns:
            `[B, G, h, w]`.
        """
        b, g, h, w = grid.shape
        if tokens.shape[1] == 0:
            return grid
        y, x = torch.meshgrid(
            torch.arange(h, device=grid.device) + 0.5, torch.arange(w, device=grid.device) + 0.5, indexing="ij"
        )
        x, y = x.flatten().expand(b, -1), y.flatten().expand(b, -1)
        q = self.query(grid.flatten(2).transpose(1, 2)) + self.place(x, y, torch.zeros_like(x))  # [B, hw, dim]
        k = tokens + self.place(places[..., 0], places[..., 1], places[..., 2])  # [B, m, dim]
        if missing is None:
            missing = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=grid.device)
        nothing = missing.all(1)
        absent = missing.clone()
        absent[:, 0] &= ~nothing  # a row of nothing but padding must stay defined
        attended = self.attention(q, k, absent)
        change = self.out(self.feed(self.norm(q + attended)))  # [B, hw, G]
        change = change.masked_fill(nothing[:, None, None], 0.0)
        fused: Tensor = grid + change.transpose(1, 2).reshape(b, g, h, w)
        return fused


def sample_grid(grid: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Vectors `[n, G]` of one grid `[G, h, w]` at positions x, y `[n]` (cells from its corner), bilinear.

    Positions outside take the border's values. A grid held as float16 gives float32, like any other.
    """
    _, h, w = grid.shape
    left, right, across = _between(x, w)
    top, bottom, down = _between(y, h)
    upper = torch.lerp(grid[:, top, left].float(), grid[:, top, right].float(), across)  # [G, n]
    lower = torch.lerp(grid[:, bottom, left].float(), grid[:, bottom, right].float(), across)
    return torch.lerp(upper, lower, down).transpose(0, 1)


def _between(position: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two cells of `n` whose centres are nearest along one axis, and the weight of the second."""
    place = (position.float() - 0.5).clamp(0, n - 1)
    first = place.floor().long()
    return first, (first + 1).clamp_max(n - 1), place - first
