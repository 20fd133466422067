"""After the optimisation: fit saliency and priorities on held-out places, score on others, write the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geopdn.budget import Budget
from geopdn.config import TrainConfig
from geopdn.detections import RunResult
from geopdn.engine import DetectOptions, detect, saliency_rates
from geopdn.evaluate.labels import Truth, read_labels
from geopdn.evaluate.matching import Matches, match
from geopdn.evaluate.precision import average_precision, best_f1, f1_at
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.storage import pack, unpack
from geopdn.model.targets import cell_counts, size_classes
from geopdn.model.weights import LoadedModel, WeightsHeader, save_weights
from geopdn.scene import PixelSource, Scene
from geopdn.scene.frame import frame_of
from geopdn.scene.resample import resample
from geopdn.train.places import LabelledScene, Split

LOW_SCORE = 0.05
FOUND_SCORE = 0.25
DEFAULT_RECALL = 0.98


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """One scene searched and matched with its truth."""

    truth: Truth
    result: RunResult
    matches: Matches


def open_labelled(scene: LabelledScene, config: TrainConfig) -> tuple[Scene, PixelSource, Truth]:
    """A labelled scene at the model's pixel size, with its truth. The caller closes the first."""
    handle = Scene.open(str(scene.path), bands=config.model.bands)
    source = resample(handle, pixel_size_m=config.model.pixel_size_m)
    truth = read_labels(
        scene.labels,
        frame_of(source),
        names=config.model.classes,
        upright=not config.model.has_heading,
        allow_empty=True,
    )
    return handle, source, truth


def check(
    model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene], options: DetectOptions
) -> list[Checked]:
    """Search scenes and match the results with their labels."""
    checked = []
    for scene in scenes:
        handle, source, truth = open_labelled(scene, config)
        with handle:
            result = detect(source, model, options)
        found = result.detections
        matches = match(found.boxes, found.score, truth=truth, labels=found.label, iou=config.match_iou)
        checked.append(Checked(truth, result, matches))
    return checked


def finish(
    net: PatchDriveNet,
    config: TrainConfig,
    scenes: Sequence[LabelledScene],
    *,
    path: Path,
    provenance: dict[str, Any],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Calibrate, choose the threshold, score, and write the weights.

    Args:
        net: the trained network; its calibration and priorities are replaced.
        config: the whole configuration.
        scenes: all scenes with their split.
        path: weights file to write.
        provenance: how the training was run, for the header.
        say: receives one line a result.

    Returns:
        The scores that stand in the header.
    """
    net.eval()
    # what will be shipped is what is measured: weights rounded as they are stored
    net.load_state_dict(unpack(pack(net.state_dict())))
    header = WeightsHeader(
        name=config.name,
        model=config.model,
        description=config.description,
        trained_on=config.trained_on,
        licence=config.licence,
        training=provenance,
    )
    model = LoadedModel(net, header, digest="training")
    held_out = side(scenes, "calibration") or side(scenes, "train")
    fit_priorities(model, config, held_out)
    fit_saliency(model, config, held_out)
    say(f"priorities {np.round(net.patch_priorities().detach().numpy(), 3).tolist()}")
    say(f"saliency calibration {np.round(net.saliency_head.calibration.numpy(), 3).tolist()}")
    full = DetectOptions(budget=Budget(full=True), min_score=LOW_SCORE)
    curve = average_precision([c.matches for c in check(model, config, held_out, full)])
    threshold = plateau_threshold(curve.score, curve.precision, curve.recall)
    header = replace(header, min_score=threshold)
    header = replace(header, scores=score(LoadedModel(net, header, "training"), config, scenes, say=say))
    save_weights(net, header, path)
    return header.scores


def side(scenes: Sequence[LabelledScene], split: Split) -> list[LabelledScene]:
    """The scenes of one side of the split."""
    return [scene for scene in scenes if scene.split == split]


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
        handle, source, truth = open_labelled(scene, config)
        with handle:
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


def plateau_threshold(score: NDArray[np.float64], precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """The middle of the scores whose F1 is within 0.005 of the best, rounded: less noisy than the best itself."""
    if not len(score):
        return 0.3
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    good = score[f1 >= f1.max() - 0.005]
    return round(float((good.min() + good.max()) / 2), 3)


def score(
    model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene], *, say: Callable[[str], None]
) -> dict[str, Any]:
    """Scores on the validation places, without any on the calibration places: full scan, default recall target."""
    split: Split = "validation" if side(scenes, "validation") else "calibration"
    chosen = side(scenes, split)
    scores: dict[str, Any] = {
        "split": split,
        "places": sorted({scene.place for scene in chosen}),
        "scenes": len(chosen),
        "iou": config.match_iou,
    }
    for name, budget in (("full", Budget(full=True)), ("default", Budget(recall=DEFAULT_RECALL))):
        checked = check(model, config, chosen, DetectOptions(budget=budget, min_score=LOW_SCORE))
        curve = average_precision([c.matches for c in checked])
        best, _ = best_f1(curve)
        pixels = sum(c.result.facts["pixels_read"] for c in checked)
        total = sum(c.result.facts["pixels_total"] for c in checked)
        scores[name] = {
            "ap": _rounded(curve.ap),
            "f1": _rounded(f1_at(curve, model.header.min_score)),
            "best_f1": _rounded(best),
            "recall": _rounded(curve.n_found / max(1, curve.n_truth)),
            "share": round(pixels / max(1, total), 4),
            "objects": curve.n_truth,
        }
        say(f"{split}, {name}: {scores[name]}")
    return scores


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
