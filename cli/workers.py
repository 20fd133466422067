"""Scenes of one command on several processes or machines."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.cli.destinations import Job
from geopdn.cli.detectors import Stated, load_detector
from geopdn.cli.messages import say
from geopdn.cli.outcomes import INCOMPLETE, Outcome, outcome_or_error
from geopdn.cli.progress import meter
from geopdn.cli.search import Wish
from geopdn.errors import GeopdnWarning

if TYPE_CHECKING:
    from distributed import Client

    from geopdn.detectors import Detector
    from geopdn.distributed import Lost


@dataclass(frozen=True, slots=True)
class Task:
    """One scene as it is shipped to a worker: paths and settings alone."""

    job: Job
    wish: Wish
    stated: Stated
    as_json: bool
    quiet: bool


def work(task: Task, deaths: int) -> Outcome:
    """On a worker: search one scene; after a death from the ledger that the worker left."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GeopdnWarning)
        wish = replace(task.wish, detector=_detector(task.stated), resume=task.wish.resume or deaths > 0)
        outcome = outcome_or_error(task.job, wish, as_json=task.as_json, quiet=task.quiet)
    texts = (" ".join(str(one.message).split()) for one in caught if issubclass(one.category, GeopdnWarning))
    return replace(outcome, warnings=tuple(dict.fromkeys(texts)))


@lru_cache(maxsize=1)
def _detector(stated: Stated) -> "Detector | None":
    """The detector, loaded once a worker for scenes that follow each other."""
    return load_detector(stated, quiet=True)


def on_workers(
    jobs: Sequence[Job],
    wish: Wish,
    stated: Stated,
    *,
    workers: int,
    scheduler: str | None,
    as_json: bool,
) -> list[int]:
    """Search scenes on workers; what comes of them is shown in their order.

    Args:
        jobs: the scenes.
        wish: what is wanted, without a detector.
        stated: the detector, which every worker loads itself.
        workers: processes of this machine, where there is no scheduler.
        scheduler: address of somebody's scheduler.
        as_json: tell JSON objects.

    Returns:
        The exit codes.

    Raises:
        GeopdnError: the workers cannot do the work.
    """
    from geopdn.distributed import Lost, check_workers, spread

    shipped = replace(
        wish,
        quiet=True,
        progress_json=False,
        model=_anywhere(wish.model),
        previous=tuple(_anywhere(one) or one for one in wish.previous),
    )
    detector = replace(stated, file=_path(stated.file), item=_path(stated.item))
    tasks = [Task(_from_anywhere(job), shipped, detector, as_json, wish.quiet) for job in jobs]
    files = [
        one
        for one in (*(task.job.scene for task in tasks), *shipped.previous, shipped.model, detector.file, detector.item)
        if one
    ]
    codes = []
    with (
        _going_on_is_said(jobs),
        _client(min(workers, len(jobs)), scheduler) as client,
        meter("all", quiet=wish.quiet, unit="scenes", as_json=wish.progress_json) as show,
    ):
        check_workers(
            client,
            # what cannot be read here either is told scene by scene
            files=[str(path) for path in files if os.access(path, os.R_OK)],
            folders=sorted({str(task.job.output.parent) for task in tasks}),
        )
        done = spread(client, work, tasks, done=lambda n: show("scenes", n, len(tasks)))
        for job, outcome in zip(jobs, done, strict=True):
            codes.append((_lost(job, outcome) if isinstance(outcome, Lost) else outcome).show())
    return codes


def _lost(job: Job, lost: "Lost") -> Outcome:
    text = (
        f"{job.scene}: {lost.deaths} workers died while they searched it, perhaps for want of memory: skipped; "
        "--resume with fewer --workers goes on with it"
    )
    return Outcome(INCOMPLETE, error=text)


@contextmanager
def _going_on_is_said(jobs: Sequence[Job]) -> Iterator[None]:
    """Where the work is stopped, say what is kept of it: workers cannot any more."""
    from geopdn.ledger import ledger_path

    try:
        yield
    except BaseException:
        n = sum(ledger_path(job.output).exists() for job in jobs)
        if n:
            say(f"windows of {n} scenes are kept: the same command with --resume goes on from there")
        raise


@contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator["Client"]:
    from geopdn.distributed import connected, local

    with local(workers) if scheduler is None else connected(scheduler) as client:
        yield client


def _from_anywhere(job: Job) -> Job:
    """With paths that hold in every working folder."""
    return replace(
        job,
        scene=_anywhere(job.scene) or job.scene,
        output=job.output.absolute(),
        saliency=_path(job.saliency),
        picture=_path(job.picture),
        project=_path(job.project),
        item=_path(job.item),
    )


def _path(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _anywhere(name: str | None) -> str | None:
    """An absolute path where the name is one of a file; URLs and names of shipped models stay."""
    return str(Path(name).absolute()) if name is not None and Path(name).exists() else name
