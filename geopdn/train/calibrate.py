"""After the optimisation, on held-out places: priorities and saliency become what they claim to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from geopdn.budget import Budget
from geopdn.config import TrainConfig
from geopdn.engine import DetectOptions, saliency_rates
from geopdn.model.targets import cell_counts, size_classes
from geopdn.model.weights import LoadedModel
from geopdn.train.check import check, opened
from geopdn.train.places import LabelledScene

FOUND_SCORE = 0.25


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
    """Fit a scale and an exponent of the rates for each size class by Poisson likelihood, shrunk towards none."""
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
    x = [torch.from_numpy(np.concatenate(part)) for part in logs]
    n = [torch.from_numpy(np.concatenate(part)) for part in counts]
    fitted = torch.zeros(len(x), 2, requires_grad=True)
    optimiser = torch.optim.LBFGS([fitted], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        total = 2.0 * fitted[:, 0].square().sum() + 8.0 * fitted[:, 1].square().sum()
        for k in range(len(x)):
            log_rate = x[k] * fitted[k, 1].exp() + fitted[k, 0]
            total = total + (log_rate.exp() - n[k] * log_rate).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    net.saliency_head.calibration.copy_(fitted.detach().clamp(-2, 2))
