"""Calibration curves: piecewise linear in a logarithm or a logit, identity until they are fitted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def bent(x: Tensor, values: Tensor, knots: Sequence[float]) -> Tensor:
    """Numbers through one curve a row, straight on beyond the first and last knot.

    Args:
        x: `[..., K, n]` or `[K, n]` numbers.
        values: `[K, len(knots)]` what is added at each knot; what is added in between is interpolated.
        knots: ascending, evenly spaced.
    """
    place = ((x - knots[0]) / (knots[1] - knots[0])).clamp(0, len(knots) - 1)
    left = place.floor().clamp(max=len(knots) - 2)
    share, left = place - left, left.long()
    table = values.to(x.dtype).expand(*x.shape[:-2], *values.shape)
    low, high = torch.gather(table, -1, left), torch.gather(table, -1, left + 1)
    return x + low + share * (high - low)
