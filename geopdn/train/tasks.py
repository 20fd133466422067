"""What is optimised: the whole network on labelled windows, or a part of it on what another one says or does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geopdn.config import TrainConfig
from geopdn.errors import ConfigError
from geopdn.train.places import LabelledScene

if TYPE_CHECKING:
    from geopdn.model.weights import LoadedModel

Say = Callable[[str], None]
N_EXAMPLES = 32  # overviews to choose channels on
EXAMPLES_FROM = 1 << 40  # samples that no training gets to


def task(
    config: TrainConfig, scenes: Sequence[LabelledScene], earlier: LoadedModel | None, *, say: Say
) -> tuple[Any, Any]:
    """The Lightning module and the data module of a training.

    Args:
        config: the whole configuration.
        scenes: of the training side.
        earlier: weights it starts from.
        say: receives one line a stage.
    """
    if config.training.only == "overview" and earlier is not None:
        return _overview(config, scenes, earlier, say=say)
    if config.training.only == "drive" and earlier is not None:
        return _drive(config, scenes, earlier, say=say)
    return _whole(config, scenes, earlier, say=say)


def _whole(
    config: TrainConfig, scenes: Sequence[LabelledScene], earlier: LoadedModel | None, *, say: Say
) -> tuple[Any, Any]:
    from geopdn.train.callbacks import EpochStream
    from geopdn.train.module import PatchDriveModule
    from geopdn.train.samples import collate
    from geopdn.train.stream import TrainingScenes

    training = config.training
    stream = TrainingScenes(scenes, config=config)
    say(f"{sum(stream.n_objects)} labelled objects; {training.steps} steps of {training.batch} regions")
    if config.model.dates:
        say(f"{stream.n_dates} views of the same ground on other dates")
        if not stream.n_dates:
            raise ConfigError(
                "model.dates is set, but no two training scenes of one place overlap on the map: set data.sources' "
                "`place` so that scenes of one ground share it, and check their georeferencing"
            )
    if stream.n_repeated:
        say(f"{stream.n_repeated} labels mark an object that another one marks: left out")
    module = PatchDriveModule(config)
    if earlier is not None:
        module.net.load_state_dict(earlier.net.state_dict())
    return module, EpochStream(stream, training, collate=collate)


def _overview(
    config: TrainConfig, scenes: Sequence[LabelledScene], earlier: LoadedModel, *, say: Say
) -> tuple[Any, Any]:
    from geopdn.train.callbacks import EpochStream
    from geopdn.train.overview_module import OverviewModule
    from geopdn.train.overview_samples import OverviewScenes, collate

    training = config.training
    stream = OverviewScenes(scenes, config=config)
    say(f"{training.steps} steps of {training.batch} pieces of overviews, {stream.side} px")
    examples = collate([stream.sample(EXAMPLES_FROM + i) for i in range(N_EXAMPLES)])
    return OverviewModule(config, earlier.net, examples), EpochStream(stream, training, collate=collate)


def _drive(config: TrainConfig, scenes: Sequence[LabelledScene], earlier: LoadedModel, *, say: Say) -> tuple[Any, Any]:
    from geopdn.train.callbacks import EpochStream
    from geopdn.train.drive_module import DriveModule
    from geopdn.train.episodes import Searches

    training = config.training
    searches = Searches(scenes, config=config, model=earlier, say=say)
    say(f"{training.steps} steps of {training.batch} searches")
    return DriveModule(config, earlier.net), EpochStream(searches, training, collate=list)
