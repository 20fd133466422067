"""Labelled scenes searched and matched with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geopdn.config import TrainConfig
from geopdn.detections import RunResult
from geopdn.engine import DetectOptions, detect
from geopdn.evaluate.labels import Truth, read_labels
from geopdn.evaluate.matching import Matches, match
from geopdn.model.weights import LoadedModel
from geopdn.scene import PixelSource, Scene
from geopdn.scene.frame import frame_of
from geopdn.scene.resample import resample
from geopdn.train.places import LabelledScene, Split


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


def side(scenes: Sequence[LabelledScene], split: Split) -> list[LabelledScene]:
    """The scenes of one side of the split."""
    return [scene for scene in scenes if scene.split == split]
