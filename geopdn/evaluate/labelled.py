"""Scenes with labels, as a model sees them: which file is whose, opened at the model's pixel size, matched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.errors import LabelError
from geopdn.evaluate.labels import Truth, read_labels
from geopdn.evaluate.layers import LabelFile
from geopdn.evaluate.matching import Matches, match
from geopdn.evaluate.pairs import ENDINGS, LABEL_MARKS
from geopdn.scene import PixelSource, Scene
from geopdn.scene.frame import frame_of
from geopdn.scene.resample import resample

if TYPE_CHECKING:
    from geopdn.config import ModelConfig
    from geopdn.detections import RunResult


@dataclass(frozen=True, slots=True)
class Labelled:
    """A scene and the file that says what is in it."""

    scene: Path
    labels: LabelFile


def labelled(scene: Path, labels: Path) -> Labelled:
    """A scene with its labels.

    Args:
        scene: raster.
        labels: a vector file (with a column `scene` where it is about several), or a folder with one file for each
            scene: the scene's name without its ending, and `.gpkg`, `.truth.gpkg`, `.geojson` or the like.

    Raises:
        LabelError: the folder has none for this scene.
    """
    if not labels.is_dir():
        return Labelled(scene, LabelFile(labels))
    for mark in ("", *LABEL_MARKS):
        for ending in ENDINGS:
            path = labels / f"{scene.stem}{mark}{ending}"
            if path.is_file():
                return Labelled(scene, LabelFile(path))
    msg = f"{labels} has no labels for {scene.name}: expected {scene.stem}.gpkg or {scene.stem}.truth.gpkg there"
    raise LabelError(msg)


@contextmanager
def opened_for(scene: Path, model: ModelConfig) -> Iterator[PixelSource]:
    """A scene in a model's bands, at its pixel size."""
    with Scene.open(str(scene), bands=model.bands) as handle:
        yield resample(handle, pixel_size_m=model.pixel_size_m)


def truth_in(source: PixelSource, labels: LabelFile, model: ModelConfig) -> Truth:
    """What is there, in pixels of the source and classes of the model; a scene may be empty."""
    return read_labels(labels, frame_of(source), names=model.classes, upright=not model.has_heading, allow_empty=True)


def match_result(result: RunResult, truth: Truth, *, iou: float) -> Matches:
    """A result matched with what is there."""
    found = result.detections
    return match(found.boxes, found.score, truth=truth, labels=found.label, iou=iou)
