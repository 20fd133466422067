"""Training from a configuration file to weights that can ship."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from geopdn import __version__
from geopdn.config import TrainConfig
from geopdn.config_file import load_train_config
from geopdn.errors import ConfigError
from geopdn.evaluate.labelled import Labelled
from geopdn.train.places import LabelledScene, find_scenes

if TYPE_CHECKING:
    from geopdn.model.weights import LoadedModel

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What `train` leaves behind.

    Attributes:
        weights: the safetensors file.
        curve: the training curve as a picture.
        scores: as the header holds them, see `WeightsHeader`.
    """

    weights: Path
    curve: Path
    scores: dict[str, Any]


def train(
    config_path: Path,
    *,
    output: Path,
    resume: bool = False,
    steps: int | None = None,
    all_places: bool = False,
    start: str | None = None,
    progress: bool = True,
    say: Say = lambda _: None,
) -> TrainResult:
    """Train, calibrate, score and export.

    Args:
        config_path: YAML of `TrainConfig`.
        output: folder for checkpoints, metrics, curve and weights.
        resume: go on from the folder's last checkpoint.
        steps: replaces the configuration's number of steps.
        all_places: train on the validation places too, once a run without them has told how good the recipe is; scores
            then come from the calibration places, and the header says so.
        start: name or file of weights to start from instead of fresh ones: they must be of the same model.
        progress: show Lightning's progress bar.
        say: receives one line a stage.

    Raises:
        ConfigError: the configuration is wrong, or the folder holds an earlier run and `resume` is not set, or `start`
            is of another model.
        WeightsError: `start` is damaged or no weights file.
        LabelError: labels cannot be used.
    """
    from geopdn.model.weights import find_weights
    from geopdn.train.finish import finish
    from geopdn.train.finish_parts import Part, finish_part

    config = load_train_config(config_path)
    if steps is not None:
        config = config.model_copy(update={"training": config.training.model_copy(update={"steps": steps})})
    checkpoint = output / "last.ckpt"
    if checkpoint.exists() and not resume:
        raise ConfigError(f"{output} holds an earlier run: use --resume to go on, or another -o folder")
    scenes = find_scenes(config.data, base=config_path.resolve().parent)
    if all_places:
        scenes = [replace(scene, split="train") if scene.split == "validation" else scene for scene in scenes]
    if config.training.only and start is None:
        raise ConfigError("training.only adds to weights that exist: name them by --from")
    earlier = None if start is None else weights_to_start(start, config, scenes)
    check_labels(config, scenes, say=say)
    output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    module = fit(config, scenes, output=output, resume=resume, earlier=earlier, progress=progress, say=say)
    seconds = time.monotonic() - started
    say("calibrating on held-out places, then scoring")
    provenance: dict[str, Any] = {
        "command": f"geopdn train {config_path.name}" + (" --all-places" if all_places else ""),
        "seed": config.training.seed,
        "steps": config.training.steps,
        "seconds": round(_total_seconds(output, seconds)),
        "threads": torch.get_num_threads(),
        "geopdn": __version__,
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "scenes": sum(scene.split == "train" for scene in scenes),
        "places": sorted({scene.place for scene in scenes if scene.split == "train"}),
    }
    if earlier is not None:
        provenance["command"] += f" --from {Path(start or '').name}"
        provenance["from"] = earlier.header.training
        provenance["places"] = sorted({*provenance["places"], *earlier.header.training.get("places", ())})
    weights = output / f"{config.name}.safetensors"
    if config.training.only and earlier is not None and start is not None:
        del provenance["from"]
        part = Part(module.net, earlier, base=find_weights(start), provenance=provenance)
        scores = finish_part(part, config, scenes, path=weights, say=say)
    else:
        scores = finish(module.net, config, scenes, path=weights, provenance=provenance, say=say)
    return TrainResult(weights=weights, curve=output / "curve.png", scores=scores)


def check_labels(config: TrainConfig, scenes: list[LabelledScene], *, say: Say) -> None:
    """Say what is doubtful about the labels, the split and the sizes of windows.

    Raises:
        LabelError: nothing can be learnt from them as they are.
    """
    from geopdn.survey.advice import window_advice
    from geopdn.survey.problems import stop_at_errors
    from geopdn.survey.sides import side_problems
    from geopdn.survey.survey import survey

    seen = survey([Labelled(scene.path, scene.labels) for scene in scenes], classes=config.model.classes)
    stop_at_errors(seen.problems, say=say)
    stop_at_errors(side_problems(seen.scenes, [scene.split for scene in scenes], seen.classes), say=say)
    say(window_advice(seen, config.model))


def weights_to_start(name: str, config: TrainConfig, scenes: list[LabelledScene]) -> LoadedModel:
    """Weights that training may go on from.

    Raises:
        ConfigError: they are of another model, or were trained on places that the configuration holds out.
    """
    from geopdn.model.weights import find_weights, load_weights
    from geopdn.train.finish import check_places, check_same_model

    earlier = load_weights(find_weights(name))
    check_same_model(earlier, config, but=("global_backbone",) if config.training.only == "overview" else ())
    check_places(earlier, {scene.place for scene in scenes if scene.split != "train"})
    return earlier


def fit(
    config: TrainConfig,
    scenes: list[LabelledScene],
    *,
    output: Path,
    resume: bool,
    earlier: LoadedModel | None = None,
    progress: bool,
    say: Say,
) -> Any:
    """The optimisation itself; returns the module with its averaged weights."""
    from lightning.pytorch import Trainer, seed_everything
    from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger

    from geopdn.train.allocator import keep_freed_memory
    from geopdn.train.callbacks import CurvePicture
    from geopdn.train.tasks import task

    keep_freed_memory()
    training = config.training
    seed_everything(training.seed, verbose=False)
    chosen = [scene for scene in scenes if scene.split == "train"]
    say(f"reading {len(chosen)} training scenes of {len({scene.place for scene in chosen})} places")
    module, data = task(config, chosen, earlier, say=say)
    keep_earlier_metrics(output)
    logger = CSVLogger(save_dir=str(output), name=None, version="")
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        max_steps=training.steps,
        max_epochs=-1,
        logger=logger,
        log_every_n_steps=min(10, training.checkpoint_every),
        gradient_clip_val=5.0,
        enable_model_summary=False,
        enable_progress_bar=progress,
        reload_dataloaders_every_n_epochs=1,
        callbacks=[
            EMAWeightAveraging(decay=training.ema),
            ModelCheckpoint(
                dirpath=output, filename="last", save_top_k=1, every_n_epochs=1, enable_version_counter=False
            ),
            CurvePicture(output),
        ],
    )
    checkpoint = output / "last.ckpt"
    trainer.fit(
        module,
        datamodule=data,
        ckpt_path=str(checkpoint) if resume and checkpoint.exists() else None,
    )
    module.eval()
    return module


def keep_earlier_metrics(output: Path) -> None:
    """Move the metrics of an interrupted run aside: Lightning's logger starts its file anew."""
    metrics = output / "metrics.csv"
    if metrics.exists():
        metrics.rename(output / f"metrics.{len(list(output.glob('metrics.*.csv')))}.csv")


def _total_seconds(output: Path, seconds: float) -> float:
    """Seconds of this and earlier runs of the same folder, kept in a file beside the checkpoint."""
    record = output / "seconds.txt"
    total = seconds + (float(record.read_text()) if record.exists() else 0.0)
    record.write_text(f"{total:.0f}\n")
    return total
