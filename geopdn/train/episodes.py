"""Searches of labelled scenes, round by round: what the controller learns from.

A search goes as it does for its users, by the weights that are there. Where they have a controller already, it drives:
a second training learns from the states that it leads to itself (DAgger, Ross et al. 2011).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geopdn.budget import Budget
from geopdn.config import TrainConfig
from geopdn.engine.drive import Search, drive
from geopdn.engine.options import DetectOptions
from geopdn.engine.reweighting import Turn
from geopdn.engine.run import own_stage
from geopdn.model.weights import LoadedModel
from geopdn.train.check import counts_in_cells, opened
from geopdn.train.places import LabelledScene

RECALLS = (0.8, 0.95, 0.98, 0.995)
"""Targets that each scene is searched with: rounds of all sizes, to states of all kinds."""
SCORED = 8  # rounds of a search that the loss looks at, at most; the LSTM goes through all
FAINTEST = 1e-6  # objects a cell; there are many fainter cells, and all together they hold nothing

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Unseen:
    """The cells that nothing has looked at, after a round.

    Attributes:
        grid: `[G, h, w]` the global grid, in half precision.
        row: `[m]` the grid's row of each cell.
        col: `[m]` likewise.
        log_rate: `[m]` natural log of the objects expected there, as the evidence alone says, in half precision.
        count: `[m]` objects that are there.
    """

    grid: Tensor
    row: Tensor
    col: Tensor
    log_rate: Tensor
    count: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One round.

    Attributes:
        pooled: `[n, dim]` see `geopdn.model.advice.Told`.
        context: `[n, G]` likewise.
        statistics: `[n, N_STATISTICS]` likewise.
        unseen: afterwards; None in rounds that the loss does not look at.
    """

    pooled: Tensor
    context: Tensor
    statistics: Tensor
    unseen: Unseen | None


Episode = tuple[Step, ...]
"""The rounds of one search."""


class Searches:
    """Episodes of the training scenes; sample number i is a function of (seed, i) alone.

    Args:
        scenes: of the training side.
        config: the whole configuration.
        model: searches them.
        say: receives one line a scene.
    """

    def __init__(
        self,
        scenes: Sequence[LabelledScene],
        *,
        config: TrainConfig,
        model: LoadedModel,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.config = config
        self.episodes: list[list[Episode]] = []
        weights = []
        places = [scene.place for scene in scenes]
        for scene in scenes:
            episodes = episodes_of(scene, config, model)
            rounds = sum(len(episode) for episode in episodes)
            say(f"{scene.path.name}: {rounds} rounds in {len(episodes)} searches")
            if episodes:
                self.episodes.append(episodes)
                weights.append(scene.weight / places.count(scene.place) ** 0.5)
        self.weights = np.array(weights) / sum(weights)

    def sample(self, index: int) -> Episode:
        """One search of one scene."""
        rng = np.random.default_rng([self.config.training.seed, index])
        of_scene = self.episodes[int(rng.choice(len(self.episodes), p=self.weights))]
        return of_scene[int(rng.integers(len(of_scene)))]


def episodes_of(scene: LabelledScene, config: TrainConfig, model: LoadedModel) -> list[Episode]:
    """A scene searched with every target; searches that end in their first round are left out."""
    with opened(scene, config) as (source, truth):
        stage = own_stage(source, model)
        if stage.dense:
            return []
        found = []
        for recall in RECALLS:
            steps: list[Step] = []
            counts: list[tuple[Tensor, Mask]] = []

            def watch(turn: Turn, steps: list[Step] = steps, counts: list[tuple[Tensor, Mask]] = counts) -> None:
                if not counts:
                    by_size, told = counts_in_cells(truth, config.model, shape=turn.coverage.seen.shape)
                    counts.append((torch.from_numpy(by_size.sum(0)), told))
                if turn.told is not None:
                    steps.append(_step(turn, *counts[0], config=config))

            options = DetectOptions(budget=Budget(recall=recall))
            score = stage.min_score
            drive(Search(stage, options, options.device, score, score, lambda _: None, watch=watch), None)
            if steps:
                found.append(tuple(_thinned(steps)))
        return found


def _thinned(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps, of which the loss looks at `SCORED` that are spread evenly, the last one among them."""
    scored = set(np.linspace(len(steps) - 1, 0, min(SCORED, len(steps))).round().astype(int).tolist())
    for i, step in enumerate(steps):
        yield step if i in scored else Step(step.pooled, step.context, step.statistics, None)


def _step(turn: Turn, counts: Tensor, told: Mask, *, config: TrainConfig) -> Step:
    assert turn.told is not None
    coverage = turn.coverage
    rate = coverage.prior.sum(0) * np.exp(turn.log_factor)
    row, col = np.nonzero(~coverage.seen & told & (rate > FAINTEST))
    cells = config.model.grid_px // config.model.cell_px
    _, height, width = turn.grid.shape
    unseen = Unseen(
        grid=torch.from_numpy(turn.grid),
        row=torch.from_numpy(np.minimum(row // cells, height - 1).astype(np.int16)),
        col=torch.from_numpy(np.minimum(col // cells, width - 1).astype(np.int16)),
        log_rate=torch.from_numpy(np.log(rate[row, col]).astype(np.float16)),
        count=counts[row, col].half(),
    )
    pooled, context, statistics = (
        torch.from_numpy(values) for values in (turn.told.pooled, turn.told.context, turn.told.statistics())
    )
    return Step(pooled, context, statistics, unseen)
