"""A torchgeo sampler that looks where the objects are, and a share of the time anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torchgeo.datasets import GeoDataset
from torchgeo.samplers import RandomGeoSampler


class ObjectGeoSampler(RandomGeoSampler):  # type: ignore[misc]
    """Queries of one scene without end: near a random object, or uniformly over the scene.

    Args:
        dataset: a dataset of `scene_dataset`.
        centres: `[N, 2]` map coordinates of the objects.
        side: side of a query in map units.
        object_share: share of the queries that hold an object.
        generator: source of randomness of `iter()`; `draw` takes its own.
    """

    def __init__(
        self,
        dataset: GeoDataset,
        *,
        centres: NDArray[np.float64],
        side: float,
        object_share: float,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__(dataset, size=dataset.res[0], length=1)
        self.centres = centres
        self.side = side
        self.object_share = object_share
        self.rng = generator or np.random.default_rng(0)
        bounds = dataset.bounds
        self.x, self.y = bounds[0], bounds[1]
        self.span = slice(self.index.index[0].left, self.index.index[0].right)

    def draw(self, rng: np.random.Generator) -> tuple[slice, slice, slice]:
        """One query, a function of the generator alone."""
        if len(self.centres) and rng.random() < self.object_share:
            jitter = rng.uniform(-0.4, 0.4, 2) * self.side
            x, y = self.centres[rng.integers(len(self.centres))] + jitter
        else:
            x = rng.uniform(self.x.start, self.x.stop)
            y = rng.uniform(self.y.start, self.y.stop)
        half = self.side / 2
        return slice(x - half, x + half), slice(y - half, y + half), self.span

    def __iter__(self) -> Iterator[tuple[slice, slice, slice]]:
        while True:
            yield self.draw(self.rng)
