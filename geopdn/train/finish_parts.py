"""After a part of the network has learnt: what depends on it is fitted and scored again, the rest stands as stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geopdn.budget import Budget
from geopdn.config import TrainConfig
from geopdn.engine import DetectOptions
from geopdn.engine.options import Drive
from geopdn.evaluate.bench import LOW_SCORE
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.storage import pack, unpack
from geopdn.model.torch_network import TorchNetwork
from geopdn.model.weights import (
    LoadedModel,
    arrays_of,
    is_controller,
    is_overview,
    is_temporal,
    load_weights,
    save_weights,
)
from geopdn.train.calibrate import fit_dates, fit_saliency
from geopdn.train.check import check, side
from geopdn.train.costs import measure_costs
from geopdn.train.dates import paths_of_other_dates
from geopdn.train.finish import DEFAULT_RECALL, graphs_of, score, summary
from geopdn.train.places import LabelledScene

Say = Callable[[str], None]
TARGETS = (0.8, 0.9, 0.95, 0.98)
DATES_BUDGETS = (("0.1", Budget(share=0.1)), ("0.2", Budget(share=0.2)), ("default", Budget(recall=DEFAULT_RECALL)))


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What has learnt, and where from.

    Attributes:
        net: the network, of which the part is new.
        earlier: the weights it started from, whose other parts, calibration and scores stand.
        base: their file.
        provenance: how the training was run, for the header.
    """

    net: PatchDriveNet
    earlier: LoadedModel
    base: Path
    provenance: dict[str, Any]


def finish_part(
    part: Part, config: TrainConfig, scenes: Sequence[LabelledScene], *, path: Path, say: Say
) -> dict[str, Any]:
    """Write weights of which only a part has learnt, as `training.only` names it.

    Args:
        part: what has learnt.
        config: the whole configuration.
        scenes: all scenes with their split.
        path: weights file to write.
        say: receives one line a result.

    Returns:
        The scores that stand in the header.
    """
    finish = {"dates": _dates, "drive": _drive, "overview": _overview}[str(config.training.only)]
    return finish(part, config, scenes, path=path, say=say)


def _dates(part: Part, config: TrainConfig, scenes: Sequence[LabelledScene], *, path: Path, say: Say) -> dict[str, Any]:
    """Scored with and without other dates; scenes of one place are each other's."""
    net, header = part.net, part.earlier.header
    _renew(part, is_temporal)
    net.config = part.earlier.net.config.model_copy(update={"dates": True})
    net.graphs = part.earlier.net.graphs
    header = replace(header, model=net.config, training={**header.training, "dates": part.provenance})
    fit_dates(LoadedModel(net, header, "training"), config, side(scenes, "calibration"))
    say(f"rates with dates {np.round(net.temporal.calibration.numpy(), 3).tolist()}")
    chosen = [scene for scene in side(scenes, "validation") if paths_of_other_dates(scene, side(scenes, "validation"))]
    scores: dict[str, Any] = {"scenes": len(chosen), "places": sorted({scene.place for scene in chosen})}
    for name, budget in DATES_BUDGETS if chosen else ():
        for key, dates in ((name, False), (f"{name}, dates", True)):
            options = DetectOptions(budget=budget, keep_score=LOW_SCORE)
            checked = check(LoadedModel(net, header, "training"), config, chosen, options, dates=dates)
            scores[key] = summary(checked, header.min_score)
            say(f"validation, {key}: {scores[key]}")
    header = replace(header, scores={**header.scores, "dates": scores})
    save_weights(net, header, path, base=part.base, anew=is_temporal)
    return header.scores


def _overview(
    part: Part, config: TrainConfig, scenes: Sequence[LabelledScene], *, path: Path, say: Say
) -> dict[str, Any]:
    """Rates are calibrated anew and everything is scored; windows, their scores and priorities stand.

    What was scored with other dates is no longer so, and goes.
    """
    net, header = part.net, part.earlier.header
    _renew(part, is_overview)
    before = part.earlier.net.config
    share = _overview_ms(net) / _overview_ms(part.earlier.net)
    update = {
        "global_backbone": config.model.global_backbone,
        "overview_ms_per_mpx": float(f"{before.overview_ms_per_mpx * share:.2g}"),
    }
    say(f"an overview takes {share:.2f} of the time that it took")
    net.config = before.model_copy(update=update)
    header = replace(header, model=net.config, training={**header.training, "overview": part.provenance})
    fit_saliency(LoadedModel(net, header, "training"), config, side(scenes, "calibration") or side(scenes, "train"))
    say(f"saliency calibration {np.round(net.saliency_head.calibration.numpy(), 3).tolist()}")
    say(f"worth of rates by their surroundings {np.round(net.saliency_head.surroundings.numpy(), 3).tolist()}")
    header = replace(header, scores=score(LoadedModel(net, header, "training"), config, scenes, say=say))
    net.graphs = graphs_of(LoadedModel(net, header, "training"), say=say)
    save_weights(net, header, path, base=part.base, anew=is_overview)
    return header.scores


def _drive(part: Part, config: TrainConfig, scenes: Sequence[LabelledScene], *, path: Path, say: Say) -> dict[str, Any]:
    """Scored at recall targets, with and without advice, place by place; what is scored by default is scored anew."""
    net, header = part.net, part.earlier.header
    _renew(part, is_controller)
    net.config = part.earlier.net.config.model_copy(update={"controller": True})
    net.graphs = part.earlier.net.graphs
    header = replace(header, model=net.config, training={**header.training, "drive": part.provenance})
    save_weights(net, header, path, base=part.base, anew=is_controller)
    model = load_weights(path)  # as its users search with it
    scores: dict[str, Any] = {}
    for place in sorted({scene.place for scene in side(scenes, "validation")}):
        chosen = [scene for scene in side(scenes, "validation") if scene.place == place]
        scores[place] = _at_targets(model, config, chosen)
        say(f"validation, {place}: {scores[place]}")
    scored = [scene for scene in side(scenes, "validation") if scene.place in header.scores.get("places", ())]
    again = {}
    if scored:
        options = DetectOptions(budget=Budget(recall=DEFAULT_RECALL), keep_score=LOW_SCORE)
        again["default"] = summary(check(model, config, scored, options), header.min_score)
        say(f"validation, default: {again['default']}")
    header = replace(header, scores={**header.scores, **again, "drive": scores})
    save_weights(net, header, path, base=part.base, anew=is_controller)
    return header.scores


def _at_targets(model: LoadedModel, config: TrainConfig, scenes: Sequence[LabelledScene]) -> dict[str, Any]:
    """By target, with and without advice: objects found (`full`: by a full scan), and the share that was read."""

    def searched(budget: Budget, drive: Drive) -> tuple[int, float]:
        done = check(model, config, scenes, DetectOptions(budget=budget, drive=drive))
        found = sum(int((item.matches.found_by >= 0).sum()) for item in done)
        pixels = [sum(item.result.facts[name] for item in done) for name in ("pixels_read", "pixels_total")]
        return found, pixels[0] / pixels[1]

    everything, _ = searched(Budget(full=True), "static")
    ways: tuple[tuple[str, Drive], ...] = (("update", "gamma-poisson"), ("controller", "lstm"))
    scores: dict[str, Any] = {"full": everything}
    for recall in TARGETS:
        for name, drive in ways:
            found, share = searched(Budget(recall=recall), drive)
            scores[f"{recall:g}, {name}"] = {"found": found, "share": round(share, 4)}
    return scores


def _renew(part: Part, anew: Callable[[str], bool]) -> None:
    """The network as it will be stored: what has learnt rounded, all else as it was."""
    part.net.eval()
    learnt = pack({key: value for key, value in arrays_of(part.net).items() if anew(key)})
    kept = {key: value for key, value in part.earlier.net.state_dict().items() if not anew(key)}
    part.net.load_state_dict(kept | {key: torch.from_numpy(value) for key, value in unpack(learnt).items()})


def _overview_ms(net: PatchDriveNet) -> float:
    return measure_costs(TorchNetwork(net)).overview_ms_per_mpx
