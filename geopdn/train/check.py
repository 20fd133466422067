"""Labelled scenes searched and matched with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geopdn.config import ModelConfig, TrainConfig
from geopdn.detections import RunResult
from geopdn.engine import DetectOptions, detect
from geopdn.evaluate.labelled import match_result, opened_for, truth_in
from geopdn.evaluate.labels import Truth
from geopdn.evaluate.matching import Matches
from geopdn.evaluate.regions import pixels_in
from geopdn.model.targets import cell_counts
from geopdn.model.weights import LoadedModel
from geopdn.scene import PixelSource
from geopdn.train.dates import opened_dates, paths_of_other_dates
from geopdn.train.places import LabelledScene, Split


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """One scene searched and matched with its truth."""

    truth: Truth
    result: RunResult
    matches: Matches


@contextmanager
def opened(scene: LabelledScene, config: TrainConfig) -> Iterator[tuple[PixelSource, Truth]]:
    """A labelled scene at the model's pixel size, with its truth."""
    with opened_for(scene.path, config.model) as source:
        yield source, truth_in(source, scene.labels, config.model)


def check(
    model: LoadedModel,
    config: TrainConfig,
    scenes: Sequence[LabelledScene],
    options: DetectOptions,
    *,
    dates: bool = False,
) -> list[Checked]:
    """Search scenes and match the results with their labels.

    Args:
        model: searches.
        config: names the model's bands, and the overlap from which a detection is right.
        scenes: are searched.
        options: how.
        dates: show each scene the others of its ground among them, as earlier dates.
    """
    checked = []
    for scene in scenes:
        paths = paths_of_other_dates(scene, scenes) if dates else []
        with opened(scene, config) as (source, truth), opened_dates(source, paths, config.model) as others:
            result = detect(source, model, options, previous=others)
        checked.append(Checked(truth, result, match_result(result, truth, iou=config.match_iou)))
    return checked


def counts_in_cells(
    truth: Truth, model: ModelConfig, *, shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Objects `[K, h, w]` in the cells of a scene, and the cells `[h, w]` of which the labels tell what they hold.

    Args:
        truth: of the scene.
        model: sizes of cells and objects.
        shape: cells of the scene.
    """
    height, width = shape
    cell_px = model.cell_px
    counts = cell_counts(truth.boxes, shape=(height, width), cell_px=cell_px, edges_px=model.size_edges_px)
    regions = shapely.transform(truth.regions, lambda points: points / cell_px)
    silent = pixels_in(np.asarray(regions, dtype=object), height=height, width=width)
    return counts, ~silent | (counts.sum(0) > 0)


def side(scenes: Sequence[LabelledScene], split: Split) -> list[LabelledScene]:
    """The scenes of one side of the split."""
    return [scene for scene in scenes if scene.split == split]
