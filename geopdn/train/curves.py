"""Fit calibration curves: of rates by Poisson's likelihood, of probabilities by Bernoulli's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from geopdn.model.curves import bent

SMOOTHNESS = 0.5  # in objects, for each squared bend of the curve
SHRINKAGE = 0.05


def fit_rates(logs: Tensor, counts: Tensor, knots: Sequence[float]) -> Tensor:
    """The curve that makes expected counts of rates.

    Args:
        logs: `[n]` log rates of cells.
        counts: `[n]` objects in them.
        knots: see `bent`.

    Returns:
        `[len(knots)]` values for `bent`; the curve never falls.
    """
    counts = counts.double()[None]

    def loss(log_rate: Tensor) -> Tensor:
        return (log_rate.exp() - counts * log_rate).sum()

    return _fit(logs, knots, loss)


def fit_surroundings(logs: Tensor, rates: Tensor, counts: Tensor, knots: Sequence[float]) -> Tensor:
    """What rates are worth by what is expected around them.

    Args:
        logs: `[n]` logarithms of the objects expected around cells.
        rates: `[n]` expected objects in them.
        counts: `[n]` objects in them.
        knots: see `bent`.

    Returns:
        `[len(knots)]` logarithms of the factor on the rates.
    """
    logs, rates, counts = logs.double()[None], rates.double()[None], counts.double()[None]

    def loss(bent_logs: Tensor) -> Tensor:
        log_factor = bent_logs - logs
        return (rates * log_factor.exp() - counts * log_factor).sum()

    return _fit(logs[0], knots, loss)


def fit_probabilities(logits: Tensor, right: Tensor, knots: Sequence[float]) -> Tensor:
    """The curve that makes probabilities of scores.

    Args:
        logits: `[n]` logits of the scores of detections.
        right: `[n]` whether each found an object.
        knots: see `bent`.

    Returns:
        `[len(knots)]` values for `bent`; the curve never falls.
    """
    target = right.double()[None]

    def loss(values: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(values, target, reduction="sum")

    return _fit(logits, knots, loss)


def _fit(x: Tensor, knots: Sequence[float], loss: Callable[[Tensor], Tensor]) -> Tensor:
    """The most likely curve, smooth, shrunk a little towards no change."""
    step, x = knots[1] - knots[0], x.double()[None]
    free = torch.zeros(len(knots), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([free], max_iter=200, line_search_fn="strong_wolfe")

    def total() -> Tensor:
        optimiser.zero_grad()
        bends = free[2:] - 2 * free[1:-1] + free[:-2]
        falls = torch.relu(-(free[1:] - free[:-1]) - 0.9 * step)
        cost = loss(bent(x, free[None], knots))
        cost = cost + SMOOTHNESS * bends.square().sum() + SHRINKAGE * free.square().sum() + 1e3 * falls.square().sum()
        cost.backward()  # type: ignore[no-untyped-call]
        return cost

    optimiser.step(total)  # type: ignore[no-untyped-call]
    return free.detach().float()
