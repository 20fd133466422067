"""How far two answers of a network to the same input are apart."""

from __future__ import annotations

from torch import Tensor

TIES = 1e-3
"""Share of positions that may be a peak in one answer only (neighbours equal but for rounding), or whose heading may be
anything (the direction of a vector of hardly any length)."""


def difference(a: Tensor, b: Tensor) -> float:
    """Largest difference as a share of the largest value of `a`; infinite where shapes differ or values are NaN."""
    if a.shape != b.shape:
        return float("inf")
    share = float((a - b).abs().max() / a.abs().max().clamp_min(1e-6))
    return share if share >= 0 else float("inf")


def box_difference(a: Tensor, b: Tensor, *, has_heading: bool) -> float:
    """The same for boxes of a detector `[1, n, values]`, oriented ones `[1, values, n]`, each kind of value by itself.

    Half a turn is no turn, and few positions may differ in what rounding decides (`TIES`).
    """
    if a.shape != b.shape:
        return float("inf")
    rows = [(x.transpose(1, 2) if has_heading else x)[0].double() for x in (a, b)]  # [n, values]
    scores = [x[:, 4:-1] if has_heading else x[:, 4:] for x in rows]
    turned = ((scores[0] == 0) != (scores[1] == 0)).any(1)
    if float(turned.double().mean()) > TIES:
        return float("inf")
    kinds = [*(tuple(x[:, i] for x in rows) for i in range(4)), tuple(x[~turned] for x in scores)]
    worst = max(difference(one, other) for one, other in kinds)
    if has_heading:
        turn = (rows[0][:, -1] - rows[1][:, -1]).sin().abs()
        worst = max(worst, float(turn.sort().values[int((1 - TIES) * (len(turn) - 1))]))
    return worst
