"""The endless stream of training samples: sample number i is a function of (seed, i) alone."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from geopdn.config import TrainConfig
from geopdn.evaluate.labels import read_labels
from geopdn.scene.frame import frame_of
from geopdn.train.dates import other_dates, paths_of_other_dates
from geopdn.train.geodata import SceneImages, SceneLabels, box_centres_on_map, merge_samples, to_region
from geopdn.train.places import LabelledScene
from geopdn.train.sampler import ObjectGeoSampler
from geopdn.train.samples import Sample, make_sample

AHEAD = 12


class TrainingScenes:
    """The training scenes, decoded once, with one torchgeo sampler each.

    Args:
        scenes: scenes of the training side.
        config: the whole configuration.
        progress: called with (done, total) while scenes are read.
    """

    def __init__(
        self,
        scenes: Sequence[LabelledScene],
        *,
        config: TrainConfig,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        from torchgeo.datasets import IntersectionDataset

        self.config = config
        self.datasets: list[Any] = []
        self.samplers: list[ObjectGeoSampler] = []
        self.n_objects: list[int] = []
        self.n_repeated = self.n_dates = 0
        model, training = config.model, config.training
        for done, scene in enumerate(scenes):
            images = SceneImages(str(scene.path), config=model, region_px=training.region_px)
            if model.dates:
                images.others = other_dates(images.source, paths_of_other_dates(scene, scenes), model)
                self.n_dates += len(images.others)
            truth = read_labels(
                scene.labels,
                frame_of(images.source),
                names=model.classes,
                upright=not model.has_heading,
                allow_empty=True,
            )
            labels = SceneLabels(str(scene.labels.path), truth=truth, images=images)
            with contextlib.redirect_stdout(io.StringIO()):  # torchgeo prints what it converts
                dataset = IntersectionDataset(images, labels, collate_fn=merge_samples)
            extent = dataset.bounds
            side = training.region_px * (extent[0].stop - extent[0].start) / images.source.size.width
            self.samplers.append(
                ObjectGeoSampler(
                    dataset,
                    centres=box_centres_on_map(labels.boxes, images.source),
                    side=side,
                    object_share=training.object_share,
                )
            )
            self.datasets.append(dataset)
            self.n_objects.append(len(labels.boxes))
            self.n_repeated += truth.n_repeated
            if progress:
                progress(done + 1, len(scenes))
        self.weights = _weights(scenes, self.n_objects)

    def sample(self, index: int) -> Sample:
        """Sample number `index` of the stream."""
        rng = np.random.default_rng([self.config.training.seed, index])
        which = int(rng.choice(len(self.datasets), p=self.weights))
        region = to_region(self.datasets[which][self.samplers[which].draw(rng)])
        return make_sample(region, model=self.config.model, training=self.config.training, rng=rng)


def _weights(scenes: Sequence[LabelledScene], n_objects: Sequence[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Chance of each scene: places count with the root of their objects, a place's scenes share equally."""
    places = [scene.place for scene in scenes]
    total = {place: sum(n for n, p in zip(n_objects, places, strict=True) if p == place) for place in set(places)}
    weights = np.array([scene.weight * (total[scene.place] + 4) ** 0.5 / places.count(scene.place) for scene in scenes])
    return np.asarray(weights / weights.sum())


class Samples(Protocol):
    """An endless stream of samples."""

    def sample(self, index: int) -> Any:
        """Sample number `index`, a function of the seed and of it alone."""


class EpochSamples(Dataset[Any]):
    """The samples of one epoch, made ahead of their use by a thread.

    Args:
        scenes: make them.
        start: number of the epoch's first sample.
        length: samples in the epoch.
    """

    def __init__(self, scenes: Samples, *, start: int, length: int) -> None:
        self.scenes, self.start, self.length = scenes, start, length
        # torch's thread count is set for the calling thread alone: two teams of threads would fight for the cores
        self.pool = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
        self.pending: dict[int, Future[Any]] = {}

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        for ahead in range(index, min(index + AHEAD, self.length)):
            if ahead not in self.pending:
                self.pending[ahead] = self.pool.submit(self.scenes.sample, self.start + ahead)
        return self.pending.pop(index).result()
