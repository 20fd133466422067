"""After the optimisation, on held-out places: priorities and saliency become what they claim to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geopdn.budget import Budget
from geopdn.config import TrainConfig
from geopdn.engine import DetectOptions, saliency_rates
from geopdn.model.saliency import KNOTS, calibrated
from geopdn.model.targets import cell_counts, size_classes
from geopdn.model.weights import LoadedModel
from geopdn.train.check import check, opened
from geopdn.train.places import LabelledScene

FOUND_SCORE = 0.25
SMOOTHNESS = 0.5  # in objects, for each squared bend of the curve's log values
SHRINKAGE = 0.05


def fit_priorities(model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene]) -> None:
    """Replace the priorities by what windows of each kind find of each size class, when they look everywhere.

    Counts are shrunk towards the kind's mean over the size classes, by two objects' worth.
    """
    kinds, edges = config.model.kinds, config.model.size_edges_px
    found = np.zeros((len(kinds), len(edges) + 1))
    there = np.zeros_like(found)
    for k in range(len(kinds)):
        options = DetectOptions(budget=Budget(full=True), min_score=FOUND_SCORE, scan_with=k)
        for item in check(model, config, scenes, options):
            counted = ~item.truth.ignore
            size = size_classes(item.truth.boxes, edges)
            np.add.at(there[k], size[counted], 1)
            np.add.at(found[k], size[counted & (item.matches.found_by >= 0)], 1)
    mean = (found.sum(1, keepdims=True) + 0.5) / (there.sum(1, keepdims=True) + 1)
    share = np.clip((found + 2 * mean) / (there + 2), 0.001, 0.999)
    model.net.patch_priorities.theta.data = torch.from_numpy(np.log(share / (1 - share))).float()


def fit_saliency(model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene]) -> None:
    """Fit the curve that makes expected counts of each size class's rates, on all cells of the scenes."""
    net = model.net
    net.saliency_head.calibration.zero_()
    logs: list[list[NDArray[np.float32]]] = [[] for _ in range(config.model.n_size_classes)]
    counts: list[list[NDArray[np.float32]]] = [[] for _ in range(config.model.n_size_classes)]
    for scene in scenes:
        with opened(scene, config) as (source, truth):
            rate, valid = saliency_rates(source, model)
        true = cell_counts(
            truth.boxes,
            shape=rate.shape[1:],
            cell_px=net.cell_px,
            edges_px=config.model.size_edges_px,
        )
        for k in range(len(rate)):
            logs[k].append(np.log(rate[k][valid] + 1e-9))
            counts[k].append(true[k][valid])
    curves = [
        fit_curve(torch.from_numpy(np.concatenate(x)), torch.from_numpy(np.concatenate(n)))
        for x, n in zip(logs, counts, strict=True)
    ]
    net.saliency_head.calibration.copy_(torch.stack(curves))


def fit_curve(logs: Tensor, counts: Tensor) -> Tensor:
    """The calibration curve of one size class: Poisson likelihood, smooth, shrunk a little towards no change.

    Args:
        logs: `[n]` log rates of cells.
        counts: `[n]` objects in them.

    Returns:
        `[len(KNOTS)]` values, see `geopdn.model.saliency.calibrated`; the curve never falls.
    """
    step = KNOTS[1] - KNOTS[0]
    logs, counts = logs.double()[None], counts.double()[None]
    free = torch.zeros(len(KNOTS), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([free], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        log_rate = calibrated(logs, free[None])
        bends = free[2:] - 2 * free[1:-1] + free[:-2]
        falls = torch.relu(-(free[1:] - free[:-1]) - 0.9 * step)
        total = (log_rate.exp() - counts * log_rate).sum()
        total = total + SMOOTHNESS * bends.square().sum() + SHRINKAGE * free.square().sum() + 1e3 * falls.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return free.detach().float()
