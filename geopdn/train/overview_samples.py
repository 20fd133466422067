"""Overviews without labels, at several scales: what a slim global stream learns from a whole one.

A network that imitates another one needs no truth, so that everything that changes an image makes one more example;
what helps is much of it, and patience (Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and
consistent").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geopdn.config import TrainConfig
from geopdn.model.streams import pack_overview, statistics_of
from geopdn.scene import Pixels, Stretch
from geopdn.train.geodata import SceneImages
from geopdn.train.places import LabelledScene
from geopdn.train.radiance import draw_radiance
from geopdn.train.samples import Symmetry

SCALES = (0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.5)
"""Scene pixels per overview pixel, relative to the model's."""
AT_SCALE = 0.4  # share of the samples at the model's own
RANGES = 0.4  # share of the samples with minima and maxima
STRIP_ROWS = 512  # of a scene that are worked on at a time
OUTSIDE = 6  # up to a sixth of a sample lies outside the scene, either side


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Statistics of a whole scene at one scale, in half precision, stretched; as of `pack_overview`, without batch."""

    mean: Tensor
    low: Tensor
    high: Tensor
    valid: Tensor


class OverviewScenes:
    """Pieces of the overviews of scenes; sample number i is a function of (seed, i) alone.

    Args:
        scenes: of the training side.
        config: the whole configuration; samples have the side of a region on the overview.
        progress: called with (done, total) while scenes are read.
    """

    def __init__(
        self,
        scenes: Sequence[LabelledScene],
        *,
        config: TrainConfig,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.config = config
        step = 1 << config.model.overview_level
        self.side = config.training.region_px // step
        steps = sorted({max(1, round(step * scale)) for scale in SCALES})
        others = max(1, len(steps) - 1)
        self.chances = [AT_SCALE if one == step else (1 - AT_SCALE) / others for one in steps]
        self.chances = [chance / sum(self.chances) for chance in self.chances]
        self.scenes: list[list[Planes]] = []
        for done, scene in enumerate(scenes):
            images = SceneImages(str(scene.path), config=config.model, region_px=config.training.region_px)
            self.scenes.append([_planes(images.pixels, images.stretch, one) for one in steps])
            if progress:
                progress(done + 1, len(scenes))
        places = [scene.place for scene in scenes]
        weights = np.array([scene.weight / places.count(scene.place) ** 0.5 for scene in scenes])
        self.weights = weights / weights.sum()

    def sample(self, index: int) -> Tensor:
        """`[3C + 2, side, side]`."""
        rng = np.random.default_rng([self.config.training.seed, index])
        of_scene = self.scenes[int(rng.choice(len(self.scenes), p=self.weights))]
        planes = of_scene[int(rng.choice(len(of_scene), p=self.chances))]
        height, width = planes.valid.shape[-2:]
        row, col = (_start(rng, length, self.side) for length in (height, width))
        mean, low, high, valid = (
            _cut(plane, row, col, self.side) for plane in (planes.mean, planes.low, planes.high, planes.valid)
        )
        light = draw_radiance(rng, n_bands=len(mean), strength=self.config.training.gain)
        known = rng.random() < RANGES
        packed = pack_overview(
            light(mean)[None], light(low)[None] if known else None, light(high)[None] if known else None, valid[None]
        )
        return Symmetry(*(bool(b) for b in rng.integers(0, 2, 3))).on_tensor(packed[0]).contiguous()


def collate(samples: list[Tensor]) -> Tensor:
    """`[B, 3C + 2, side, side]`, channels last."""
    return torch.stack(samples).contiguous(memory_format=torch.channels_last)


def _planes(pixels: Pixels, stretch: Stretch, step: int) -> Planes:
    """Of a whole scene, some rows at a time: in single precision it may not fit beside the others."""
    tall = max(1, STRIP_ROWS // step) * step
    height = pixels.valid.shape[0] // step * step
    strips = []
    for top in range(0, height, tall):
        rows = slice(top, min(top + tall, height))
        part = Pixels(pixels.values[:, rows], pixels.valid[rows])
        values, valid = torch.from_numpy(stretch.apply(part)).float(), torch.from_numpy(part.valid)[None].float()
        strips.append([plane[0].half() for plane in statistics_of(values[None], valid[None], step=step)])
    return Planes(*(torch.cat(planes, 1) for planes in zip(*strips, strict=True)))


def _start(rng: np.random.Generator, length: int, side: int) -> int:
    """Where a piece begins: perhaps a little outside, where the scene is larger than it."""
    out = side // OUTSIDE
    return int(rng.integers(-out, max(length - side, -out) + out + 1))


def _cut(plane: Tensor, row: int, col: int, side: int) -> Tensor:
    """`[C, side, side]` in single precision, zero outside the scene."""
    height, width = plane.shape[-2:]
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + side, height), min(col + side, width)
    piece = torch.zeros(len(plane), side, side)
    piece[:, top - row : bottom - row, left - col : right - col] = plane[:, top:bottom, left:right].float()
    return piece
