"""Earlier dates of a scene's ground, read tile by tile beside its overview."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from geopdn.config import MOST_DATES
from geopdn.errors import ConfigError, EarlierDateWarning, SceneReadError
from geopdn.geometry.window import Window
from geopdn.model.network import EarlierPlanes, Planes
from geopdn.scene import PixelSource, Radiometry, Stretch, resolve_stretch
from geopdn.scene.coregister import CoregisteredScene, coregister
from geopdn.scene.dates import days_between
from geopdn.scene.overview import Overview, OverviewReader, open_overview

AsPlanes = Callable[[Overview], Planes]
"""A part of an overview as the network takes it."""


@dataclass(frozen=True, slots=True, eq=False)
class Date:
    """One of them.

    Attributes:
        source: on the grid of the current date.
        stretch: its own.
        days: between the two; 0 where one of them has no time.
    """

    source: CoregisteredScene
    stretch: Stretch
    days: float


def dates_of(source: PixelSource, previous: Sequence[PixelSource], *, radiometry: Radiometry) -> tuple[Date, ...]:
    """Other dates of a scene's ground, on its grid.

    Args:
        source: the current date.
        previous: the others, in the model's bands.
        radiometry: of the model; each date is stretched by itself.

    Raises:
        ConfigError: too many of them.
        SceneError: one cannot be used as a date of this ground, see `geopdn.scene.coregister`.
    """
    if len(previous) > MOST_DATES:
        raise ConfigError(f"{len(previous)} earlier dates of {source.name}: expected at most {MOST_DATES}")
    return tuple(
        Date(coregister(one, source), resolve_stretch(one, radiometry), days_between(one.datetime, source.datetime))
        for one in previous
    )


class DateReaders:
    """The overviews of earlier dates, open; a context manager. Any number of threads may read.

    Args:
        dates: on the grid of the current date.
        level: of the overviews.
    """

    def __init__(self, dates: Sequence[Date], *, level: int) -> None:
        self._days = [date.days for date in dates]
        self._stack = ExitStack()
        self._warned: set[str] = set()
        self._readers: list[tuple[str, OverviewReader]] = []
        with ExitStack() as opening:
            for date in dates:
                reader = opening.enter_context(open_overview(date.source, level=level, stretch=date.stretch))
                self._readers.append((date.source.name, reader))
                if reader.unread:
                    self._warn(date.source.name, reader.unread[0].cause)
            self._stack = opening.pop_all()

    def read(self, window: Window, planes: AsPlanes) -> list[EarlierPlanes]:
        """What the dates show under a window of the overview, those left out that show nothing.

        A date that cannot be read there is missing there, and a warning says so.

        Args:
            window: sides are multiples of 4 overview pixels.
            planes: makes the network's input.
        """
        shown = []
        for days, (name, reader) in zip(self._days, self._readers, strict=True):
            try:
                view = reader.read(window)
            except SceneReadError as error:
                self._warn(name, str(error))
                continue
            if view.valid.any():
                shown.append(EarlierPlanes(planes(view), days))
        return shown

    def _warn(self, name: str, cause: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            warnings.warn(
                f"the earlier date {name} cannot be read everywhere, and is taken as missing there: {cause}",
                EarlierDateWarning,
                stacklevel=3,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
