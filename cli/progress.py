"""Progress on stderr: a bar in a terminal, elsewhere a line for every tenth; for programs an object a line."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from geopdn.cli.messages import printable, say

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Meter(Protocol):
    """Receives how far a stage is."""

    def __call__(self, stage: str, done: int, total: int, found: int | None = None) -> None:
        """Take `done` of `total` steps of a stage, and the number of detections where there is one."""


@contextmanager
def meter(title: str, *, quiet: bool = False, unit: str = "windows", as_json: bool = False) -> Iterator[Meter]:
    """A meter that is shown while the block runs.

    Args:
        title: what is being worked on.
        quiet: show nothing.
        unit: what the steps are called.
        as_json: for programs: `{"stage": "windows", "done": 3, "total": 12, "found": 8}`, also when quiet.
    """
    title = printable(title)
    if as_json:
        yield _say_json
    elif quiet:
        yield _ignore
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield _Bar(bars, title)
    else:
        yield _Tenths(title, unit)


def _ignore(stage: str, done: int, total: int, found: int | None = None) -> None:
    """Show nothing."""


def _say_json(stage: str, done: int, total: int, found: int | None = None) -> None:
    """Every step as an object."""
    say(json.dumps({"stage": stage, "done": done, "total": total, "found": found}))


class _Tenths:
    """A line whenever another tenth of a stage is done; a total that grows takes nothing back."""

    def __init__(self, title: str, unit: str) -> None:
        self._title, self._unit = title, unit
        self._said: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int, found: int | None = None) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth <= self._said.get(stage, 0):
            return
        self._said[stage] = tenth
        what = self._unit if stage in ("", self._unit) else f"{stage} tiles"
        text = f"{self._title}: {10 * tenth} % ({done:,} of {total:,} {what}"
        say(text + (f", {found:,} found)" if found is not None and stage == self._unit else ")"))


class _Bar:
    """A bar a stage, with the time left."""

    def __init__(self, bars: "Bars", title: str) -> None:
        self._bars, self._title = bars, title
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, found: int | None = None) -> None:
        if stage not in self._tasks:
            name = f"{self._title} {stage}".strip()
            self._tasks[stage] = self._bars.add_task(name, total=total, found="")
        text = "" if found is None or stage == "overview" else f"{found:,} found"
        self._bars.update(self._tasks[stage], completed=done, total=total, found=text)


def _bars() -> "Bars":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[found]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
