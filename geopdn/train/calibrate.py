"""After the optimisation, on held-out places: scores, priorities and saliency become what they claim to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geopdn.budget import Budget
from geopdn.config import TrainConfig
from geopdn.engine import DetectOptions, saliency_rates
from geopdn.model.curves import bent
from geopdn.model.probabilities import EPSILON, SCORE_KNOTS
from geopdn.model.saliency import KNOTS
from geopdn.model.surroundings import AROUND_KNOTS, log_around
from geopdn.model.targets import size_classes
from geopdn.model.weights import LoadedModel
from geopdn.train.check import Checked, check, counts_in_cells, opened
from geopdn.train.curves import fit_probabilities, fit_rates, fit_surroundings
from geopdn.train.dates import opened_dates, paths_of_other_dates
from geopdn.train.places import LabelledScene

LOW_RAW = 0.03  # of the head's scores


def scan_by_kind(model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene]) -> list[list[Checked]]:
    """Full scans with windows of each kind, with the head's own scores: the curves of the model are reset."""
    model.net.score_curves.calibration.zero_()
    return [
        check(model, config, scenes, DetectOptions(budget=Budget(full=True), keep_score=LOW_RAW, scan_with=k))
        for k in range(len(config.model.kinds))
    ]


def fit_scores(model: LoadedModel, scans: Sequence[Sequence[Checked]]) -> list[list[Checked]]:
    """Fit the curve of each level on what windows of that level found, right and wrong.

    Args:
        model: its curves are replaced.
        scans: as of `scan_by_kind`.

    Returns:
        The scans with probabilities as scores.
    """
    curves, kinds = model.net.score_curves, model.net.config.kinds
    for level in sorted({kind.level for kind in kinds}):
        matches = [c.matches for k, scan in enumerate(scans) if kinds[k].level == level for c in scan]
        score = torch.from_numpy(np.concatenate([m.score[~m.absorbed] for m in matches]))
        right = torch.from_numpy(np.concatenate([m.truth[~m.absorbed] >= 0 for m in matches]))
        curves.calibration[level] = fit_probabilities(torch.logit(score, EPSILON), right, SCORE_KNOTS)
    rescored = []
    for kind, scan in zip(kinds, scans, strict=True):
        again = []
        for item in scan:
            raw = item.matches.score
            probability = np.asarray(curves.probabilities(raw, np.full(len(raw), kind.level)), np.float64)
            again.append(replace(item, matches=replace(item.matches, score=probability)))
        rescored.append(again)
    return rescored


def fit_priorities(model: LoadedModel, scans: Sequence[Sequence[Checked]], *, threshold: float) -> None:
    """Replace the priorities by what windows of each kind find of each size class, when they look everywhere.

    Counts are shrunk towards the kind's mean over the size classes, by two objects' worth.

    Args:
        model: its priorities are replaced.
        scans: one a kind, as of `fit_scores`.
        threshold: lowest score that counts as found.
    """
    kinds, edges = model.net.config.kinds, model.net.config.size_edges_px
    found = np.zeros((len(kinds), len(edges) + 1))
    there = np.zeros_like(found)
    for k, scan in enumerate(scans):
        for item in scan:
            counted = ~item.truth.ignore
            size = size_classes(item.truth.boxes, edges)
            by = item.matches.found_by
            seen = (by >= 0) & (np.append(item.matches.score, 0.0)[by] >= threshold)
            np.add.at(there[k], size[counted], 1)
            np.add.at(found[k], size[counted & seen], 1)
    mean = (found.sum(1, keepdims=True) + 0.5) / (there.sum(1, keepdims=True) + 1)
    share = np.clip((found + 2 * mean) / (there + 2), 0.001, 0.999)
    model.net.patch_priorities.theta.data = torch.from_numpy(np.log(share / (1 - share))).float()


def fit_saliency(model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene]) -> None:
    """Fit what makes expected counts of rates, on all cells of the scenes.

    First the curve of each size class, then what the counts are worth by what is expected around them.
    """
    net = model.net
    net.saliency_head.calibration.zero_()
    net.saliency_head.surroundings.zero_()
    known = list(_cells(model, config, scenes))
    net.saliency_head.calibration.copy_(_rate_curves(known))
    logs, rates, counts = [], [], []
    for rate, valid, true in known:
        total = np.zeros(valid.shape, np.float32)
        raw = torch.from_numpy(rate[:, valid]).log()
        total[valid] = bent(raw, net.saliency_head.calibration, KNOTS).exp().sum(0).numpy()
        logs.append(log_around(total, valid)[valid])
        rates.append(total[valid])
        counts.append(true.sum(0)[valid])
    around, expected, there = (torch.from_numpy(np.concatenate(parts)) for parts in (logs, rates, counts))
    values = fit_surroundings(around, expected, there, AROUND_KNOTS)
    net.saliency_head.surroundings.copy_(values)


def fit_dates(model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene]) -> None:
    """Fit what rates are worth where other dates are seen, on scenes that have some; without any they stay.

    What was learnt from dates is surer of the ground that it was trained on than of any other.
    """
    net = model.net
    dated = [scene for scene in scenes if paths_of_other_dates(scene, scenes)]
    if not dated:
        return
    net.temporal.calibration.zero_()
    surroundings = net.saliency_head.surroundings.clone()
    net.saliency_head.surroundings.zero_()  # they are applied afterwards
    known = list(_cells(model, config, dated, dates=True))
    net.saliency_head.surroundings.copy_(surroundings)
    net.temporal.calibration.copy_(_rate_curves(known))


Known = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]
"""Of a scene: rates `[K, h, w]`, cells `[h, w]` that count, objects `[K, h, w]`."""


def _rate_curves(known: Sequence[Known]) -> Tensor:
    """The curve of each size class `[K, len(KNOTS)]`, fitted on the cells of all scenes."""
    return torch.stack(
        [
            fit_rates(
                torch.from_numpy(np.concatenate([np.log(rate[k][valid] + 1e-9) for rate, valid, _ in known])),
                torch.from_numpy(np.concatenate([true[k][valid] for _, valid, true in known])),
                KNOTS,
            )
            for k in range(len(known[0][0]))
        ]
    )


def _cells(
    model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene], *, dates: bool = False
) -> Iterator[Known]:
    """Rates `[K, h, w]`, valid cells `[h, w]` and objects `[K, h, w]` of each scene, shown its other dates or not."""
    net = model.net
    for scene in scenes:
        paths = paths_of_other_dates(scene, scenes) if dates else []
        with opened(scene, config) as (source, truth), opened_dates(source, paths, config.model) as others:
            rate, valid = saliency_rates(source, model, previous=others)
        true, told = counts_in_cells(truth, net.config, shape=valid.shape)
        yield rate, valid & told, true
