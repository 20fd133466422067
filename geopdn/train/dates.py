"""Other dates of the same ground: what training and scoring show beside a scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geopdn.config import MOST_DATES, ModelConfig
from geopdn.engine.dates import Date, dates_of
from geopdn.geometry.window import Window
from geopdn.model.streams import overview_channels
from geopdn.scene import PixelSource, Radiometry, Scene
from geopdn.scene.coregister import overlap
from geopdn.scene.overview import Overview, open_overview
from geopdn.train.places import LabelledScene

SHOWN = 3
"""Other dates that are shown beside a region, at most."""
KEPT = 6
"""Other dates that are kept of a scene, at most; those of most ground in common."""
AWAY_PX = 1
"""Overview pixels by which a date is moved at random, either way: dates never lie exactly over each other."""


@dataclass(frozen=True, slots=True, eq=False)
class OtherDate:
    """The overview of another date, on the grid of the scene it is shown beside.

    Attributes:
        overview: of the whole scene, in half precision.
        days: between the two.
    """

    overview: Overview
    days: float


@contextmanager
def opened_dates(source: PixelSource, paths: Sequence[Path], model: ModelConfig) -> Iterator[list[Scene]]:
    """Those of some scenes that show common ground with a scene, open; the first `MOST_DATES` of them.

    Args:
        source: the scene, of which only place and size are used.
        paths: of the others.
        model: names the bands.
    """
    with ExitStack() as stack:
        others = []
        for path in paths:
            other = stack.enter_context(Scene.open(path, bands=model.bands))
            if other.crs is not None and overlap(other, source):
                others.append(other)
        yield others[:MOST_DATES]


def other_dates(source: PixelSource, paths: Sequence[Path], model: ModelConfig) -> tuple[OtherDate, ...]:
    """Overviews of those of some scenes that show common ground with a scene.

    Args:
        source: the scene.
        paths: scenes of the same place.
        model: bands, radiometry and level of the overview.
    """
    radiometry = Radiometry.from_dict(model.radiometry.model_dump())
    with opened_dates(source, paths, model) as others:
        dates = [_whole(date, model) for date in dates_of(source, others, radiometry=radiometry)]
    dates.sort(key=lambda date: -float(date.overview.valid.mean(dtype=np.float64)))
    return tuple(dates[:KEPT])


def paths_of_other_dates(scene: LabelledScene, scenes: Sequence[LabelledScene]) -> list[Path]:
    """The scenes of its place, without itself."""
    return [other.path for other in scenes if other.place == scene.place and other.path != scene.path]


def _whole(date: Date, model: ModelConfig) -> OtherDate:
    level = model.overview_level
    with open_overview(date.source, level=level, stretch=date.stretch) as reader:
        view = reader.read(Window(0, 0, reader.size.height, reader.size.width, level))

    def halved(plane: NDArray[np.float32]) -> NDArray[np.float16]:
        return plane.astype(np.float16)

    return OtherDate(
        Overview(
            mean=halved(view.mean),  # type: ignore[arg-type]
            low=None if view.low is None else halved(view.low),  # type: ignore[arg-type]
            high=None if view.high is None else halved(view.high),  # type: ignore[arg-type]
            valid=halved(view.valid),  # type: ignore[arg-type]
        ),
        date.days,
    )


def moved(overview: Overview, *, rows: int, cols: int) -> Overview:
    """An overview moved by whole pixels; what comes in at the other side is not valid."""

    def move(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.zeros(plane.shape, np.float32)
        h, w = plane.shape[-2:]
        to = slice(max(rows, 0), h + min(rows, 0)), slice(max(cols, 0), w + min(cols, 0))
        of = slice(max(-rows, 0), h + min(-rows, 0)), slice(max(-cols, 0), w + min(-cols, 0))
        out[(..., *to)] = plane[(..., *of)]
        return out

    low = None if overview.low is None else move(overview.low)
    high = None if overview.high is None else move(overview.high)
    return replace(overview, mean=move(overview.mean), low=low, high=high, valid=move(overview.valid))


def nothing_shown(model: ModelConfig, *, height: int, width: int, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """`EarlierDates` of `n` dates that are missing, without the first axis; sides in overview pixels."""
    packed = torch.zeros(n, overview_channels(len(model.bands)), height, width)
    return packed, torch.zeros(n, height // 4, width // 4), torch.zeros(n)
