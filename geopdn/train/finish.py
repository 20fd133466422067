"""After the optimisation: calibrate on held-out places, score on others, write the weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geopdn import __version__
from geopdn.budget import Budget
from geopdn.config import ModelConfig, TrainConfig
from geopdn.engine import DetectOptions
from geopdn.errors import ConfigError, ExportError
from geopdn.evaluate.bench import LOW_SCORE
from geopdn.evaluate.matching import Matches
from geopdn.evaluate.precision import average_precision, best_f1, f1_at
from geopdn.model.graph import RUN_PARTS, Graph
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.storage import pack, unpack
from geopdn.model.torch_network import TorchNetwork
from geopdn.model.weights import LoadedModel, WeightsHeader, arrays_of, save_weights
from geopdn.train.calibrate import fit_priorities, fit_saliency, fit_scores, scan_by_kind
from geopdn.train.check import Checked, check, side
from geopdn.train.costs import measure_costs
from geopdn.train.places import LabelledScene, Split

DEFAULT_RECALL = 0.98


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
    header = WeightsHeader(
        name=config.name,
        model=net.config,
        description=config.description,
        trained_on=config.trained_on,
        licence=config.licence,
        training=provenance,
    )
    return complete(net, header, config, scenes, path=path, say=say)


def calibrate_again(
    model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene], *, path: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """Calibrate and score weights that exist on the held-out places of a configuration, without training them.

    Args:
        model: the weights; its network is changed.
        config: names the places; its model must be that of the weights, but for the views of its windows.
        scenes: all scenes with their split.
        path: weights file to write.
        say: receives one line a result.

    Returns:
        The scores that stand in the new header.

    Raises:
        ConfigError: the weights are of another model, were trained on a calibration place, or no place is held out.
    """
    check_same_model(model, config)
    if not side(scenes, "calibration"):
        raise ConfigError("data.calibration is empty: name the places to calibrate on")
    places = sorted({scene.place for scene in side(scenes, "calibration")})
    check_places(model, set(places))
    known = set(model.header.training.get("places", ()))
    learnt = sorted(known & {scene.place for scene in side(scenes, "validation")})
    if learnt:
        say(f"not scored on {', '.join(learnt)}: the weights were trained there")
        scenes = [scene for scene in scenes if scene.place not in learnt]
    record = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "places": places, "geopdn": __version__}
    header = replace(model.header, training={**model.header.training, "calibrated": record})
    if model.net.config.views != config.model.views:
        model.net.graphs = {}  # they see as many views as before
    model.net.config = model.net.config.model_copy(update={"views": config.model.views})
    return complete(model.net, header, config, scenes, path=path, say=say)


def check_same_model(model: LoadedModel, config: TrainConfig, *, but: Sequence[str] = ()) -> None:
    """Refuse weights of another model than a configuration's.

    Args:
        model: the weights.
        config: names the model.
        but: what may differ.

    Raises:
        ConfigError: they differ in more than measured costs and views.
    """
    asked, theirs = same_weights(config.model), same_weights(model.net.config)
    differing = [name for name, value in theirs.items() if asked[name] != value and name not in but]
    if differing:
        name = differing[0]
        raise ConfigError(
            f"the configuration's model differs from that of the weights {model.header.name!r} in {name!r} "
            f"({asked[name]!r}, weights {theirs[name]!r}): only places and training may differ"
        )


def check_places(model: LoadedModel, held_out: set[str]) -> None:
    """Refuse weights that know a place which is held out.

    Raises:
        ConfigError: they were trained on one of them.
    """
    both = set(model.header.training.get("places", ())) & held_out
    if both:
        raise ConfigError(
            f"the weights were trained on {', '.join(sorted(both))}: "
            "hold out other places in data.calibration and data.validation"
        )


def same_weights(model: ModelConfig) -> dict[str, Any]:
    """What weights are made for: without measured costs, and views, dates and controller, which can be added."""
    plain = model.model_dump(mode="json", exclude={"overview_ms_per_mpx", "views", "dates", "controller"})
    for kind in plain["kinds"]:
        del kind["network_ms"]
    return plain


def complete(
    net: PatchDriveNet,
    header: WeightsHeader,
    config: TrainConfig,
    scenes: Sequence[LabelledScene],
    *,
    path: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure costs, calibrate, choose the threshold, score, and write the weights with the given header's words."""
    net.eval()
    # what will be shipped is what is measured: weights rounded as they are stored
    rounded = unpack(pack(arrays_of(net)))
    net.load_state_dict({key: torch.from_numpy(value) for key, value in rounded.items()})
    net.config = measure_costs(TorchNetwork(net))
    header = replace(header, model=net.config)
    model = LoadedModel(net, header, digest="training")
    held_out = side(scenes, "calibration") or side(scenes, "train")
    scans = fit_scores(model, scan_by_kind(model, config, held_out))
    best = max(scans, key=lambda scan: average_precision([c.matches for c in scan]).ap or 0.0)
    threshold = best_threshold([c.matches for c in best])
    fit_priorities(model, scans, threshold=threshold)
    fit_saliency(model, config, held_out)
    say(f"curves of scores {np.round(net.score_curves.calibration.numpy(), 3).tolist()}")
    say(f"priorities {np.round(net.patch_priorities().detach().numpy(), 3).tolist()}")
    say(f"saliency calibration {np.round(net.saliency_head.calibration.numpy(), 3).tolist()}")
    say(f"worth of rates by their surroundings {np.round(net.saliency_head.surroundings.numpy(), 3).tolist()}")
    header = replace(header, min_score=threshold)
    header = replace(header, scores=score(LoadedModel(net, header, "training"), config, scenes, say=say))
    if set(net.graphs) != set(RUN_PARTS):  # calibration changes nothing that earlier ones say
        net.graphs = graphs_of(LoadedModel(net, header, "training"), say=say)
    save_weights(net, header, path)
    return header.scores


def graphs_of(model: LoadedModel, *, say: Callable[[str], None]) -> dict[str, Graph]:
    """The graphs that let ONNX Runtime search by itself; why one cannot be made is said, and then there are none."""
    from geopdn.model.graph_export import bare_graph

    try:
        return {part: bare_graph(model, part) for part in RUN_PARTS}
    except (ConfigError, ExportError) as error:
        say(f"weights without graphs for ONNX Runtime, which is faster on CPUs: {error}")
        return {}


def best_threshold(matches: Sequence[Matches]) -> float:
    """The score from which up F1 is best, as far as scores are the probabilities that they were made.

    The expected F1 of calibrated scores is a smooth curve; the F1 of a few dozen objects jumps from one to the next.

    Args:
        matches: of the calibration scenes, with calibrated scores.

    Returns:
        A score rounded to three digits, 0.3 where nothing was found.
    """
    score = np.sort(np.concatenate([m.score[~m.absorbed] for m in matches]))[::-1]
    if not len(score):
        return 0.3
    n_truth = sum(int((~m.truth_ignored).sum()) for m in matches)
    expected = 2 * np.cumsum(score) / (np.arange(1, len(score) + 1) + n_truth)
    return round(float(score[expected.argmax()]), 3)


def score(
    model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene], *, say: Callable[[str], None]
) -> dict[str, Any]:
    """Scores of a full scan and of the default recall target, of several classes one by one too.

    They are of the validation places; without any of the calibration places, without these of the training places.
    """
    order: tuple[Split, ...] = ("validation", "calibration", "train")
    split = next(name for name in order if side(scenes, name))
    chosen = side(scenes, split)
    scores: dict[str, Any] = {
        "split": split,
        "places": sorted({scene.place for scene in chosen}),
        "scenes": len(chosen),
        "iou": config.match_iou,
    }
    for name, budget in (("full", Budget(full=True)), ("default", Budget(recall=DEFAULT_RECALL))):
        checked = check(model, config, chosen, DetectOptions(budget=budget, keep_score=LOW_SCORE))
        scores[name] = summary(checked, model.header.min_score)
        say(f"{split}, {name}: {scores[name]}")
        if len(config.model.classes) > 1:
            scores[name]["classes"] = _by_class([c.matches for c in checked], config.model.classes)
            for label, values in scores[name]["classes"].items():
                say(f"{split}, {name}, {label}: {values}")
    return scores


def summary(checked: Sequence[Checked], min_score: float) -> dict[str, Any]:
    """Accuracy and share of the pixels of searches together; F1 at a threshold."""
    curve = average_precision([c.matches for c in checked])
    best, _ = best_f1(curve)
    pixels = sum(c.result.facts["pixels_read"] for c in checked)
    total = sum(c.result.facts["pixels_total"] for c in checked)
    return {
        "ap": _rounded(curve.ap),
        "f1": _rounded(f1_at(curve, min_score)),
        "best_f1": _rounded(best),
        "recall": _rounded(curve.n_found / max(1, curve.n_truth)),
        "share": round(pixels / max(1, total), 4),
        "objects": curve.n_truth,
    }


def _by_class(matches: Sequence[Matches], classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Average precision, recall and number of objects of every class; AP is None where a class has no object."""
    by_class = {}
    for label, name in enumerate(classes):
        curve = average_precision(matches, label=label)
        by_class[name] = {
            "ap": _rounded(curve.ap),
            "recall": _rounded(curve.n_found / curve.n_truth) if curve.n_truth else None,
            "objects": curve.n_truth,
        }
    return by_class


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
