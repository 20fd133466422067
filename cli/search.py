"""One scene searched, its files written, its costs measured."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopdn.api.area import Area, area_of
from geopdn.api.device import resolve_device
from geopdn.api.scenes import Reading, opened, opened_dates
from geopdn.api.search import Run, load_model, own_run, read_ahead, require_map, run_in
from geopdn.cli.called import command_of, versions
from geopdn.cli.collecting import first_import
from geopdn.cli.destinations import Job
from geopdn.cli.detectors import opened_for
from geopdn.cli.ledgers import context_of, kept
from geopdn.cli.measure import bytes_read, peak_memory_mb
from geopdn.cli.memory import plan_for, within
from geopdn.cli.messages import say
from geopdn.cli.progress import meter
from geopdn.errors import ConfigError, SceneError

if TYPE_CHECKING:
    from geopdn.api.scenes import Opened
    from geopdn.budget import Budget
    from geopdn.detections import RunResult
    from geopdn.detectors import Detector
    from geopdn.engine import DetectOptions, Progress
    from geopdn.engine.options import Inside
    from geopdn.ledger import Ledger
    from geopdn.memory import MemoryPlan
    from geopdn.scene import PixelSource, Scene


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of every scene of a command.

    Attributes:
        model: name or file, None for the shipped one that fits, or for none beside a detector.
        detector: what looks at the windows, None for the model itself.
        budget: how much may be spent.
        audit: windows drawn at random beside it.
        min_score: lowest score kept, None for the model's own.
        device: `auto`, `cpu` or `cuda`.
        strict: stop at the first window that cannot be read.
        area: area of interest.
        reading: how scenes are opened.
        overwrite: replace files.
        quiet: no progress.
        memory: bytes that the process may take at its peak, None without a bound.
        pictures: detections of which a GeoPackage keeps a picture.
        progress_json: progress for programs.
        called: the options that were given and change what is found.
        resume: go on where an earlier run was stopped.
        previous: earlier dates of the scenes' ground.
    """

    model: str | None
    detector: "Detector | None"
    budget: "Budget"
    audit: int
    min_score: float | None
    device: str
    strict: bool
    area: Area | None
    reading: Reading
    overwrite: bool
    quiet: bool
    memory: int | None
    pictures: int = 0
    progress_json: bool = False
    called: str = ""
    resume: bool = False
    previous: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A scene opened for what is to be done.

    Attributes:
        scene: the file.
        source: the scene at the pixel size of what looks at it; the result's pixels.
        mapped: the scene at the pixel size of the model that says where to look, None without one.
        weights: of that model.
        run: searches it, given options, progress and area.
        dates: earlier dates of its ground.
    """

    scene: "Scene"
    source: "PixelSource"
    mapped: "PixelSource | None"
    weights: Path | None
    run: "Run"
    dates: "tuple[Scene, ...]" = ()


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """A result, the files it was written to, and what measuring gave."""

    result: "RunResult"
    output: Path
    seconds: float
    peak_memory_mb: float | None
    bytes_read: int | None

    def as_text(self) -> str:
        """One paragraph."""
        from geopdn.output.summary import summary_text

        return summary_text(self.result, seconds=self.seconds, output=self.output, peak_memory_mb=self.peak_memory_mb)

    def as_record(self) -> dict[str, Any]:
        """The JSON object."""
        from geopdn.output.summary import summary_json

        return summary_json(
            self.result,
            seconds=self.seconds,
            output=self.output,
            peak_memory_mb=self.peak_memory_mb,
            bytes_read=self.bytes_read,
        )


def search(job: Job, wish: Wish) -> Searched:
    """Search one scene and write its files, the detections last.

    Raises:
        GeopdnError: of the class that says what cannot be done; then no file is written but the ledger.
    """
    with kept(job, resume=wish.resume, quiet=wish.quiet) as ledger, ready(job, wish, ledger) as item:
        _check(item, job)
        plan = _planned(item, wish)
        polygon = None if wish.area is None else area_of(wish.area, item.source)
        ledger.tell(context_of(item.scene, polygon, wish.reading, dates=item.dates))
        with first_import("geopdn.engine"):
            device = resolve_device(wish.device)
            from geopdn.engine import DetectOptions
        if device != "cpu" or item.dates:
            with first_import("torch"):
                from geopdn.model import torch_network  # noqa: F401

        options = DetectOptions(
            budget=wish.budget,
            audit=wish.audit,
            min_score=wish.min_score,
            device=device,
            strict=wish.strict,
            keep_saliency=job.saliency is not None,
            memory=plan,
        )
        started, before = time.monotonic(), bytes_read()
        with within(plan):
            with meter(item.scene.name, quiet=wish.quiet, as_json=wish.progress_json) as show:
                result = _found(item, options, _shown(show), polygon, ledger)
            called = {"command": command_of("detect", item.scene.name, wish.called), "versions": versions()}
            result = replace(result, facts={**result.facts, **called})
            if result.facts.get("n_invalid"):
                say(f"{result.facts['n_invalid']} boxes of the detector were not finite or had no area: dropped")
            after = bytes_read()
            _write(result, item, job, wish)
            ledger.remove()
        return Searched(
            result=result,
            output=job.output,
            seconds=time.monotonic() - started,
            peak_memory_mb=peak_memory_mb(),
            bytes_read=None if before is None or after is None else after - before,
        )


def _found(
    item: Ready, options: "DetectOptions", report: "Callable[[Progress], None]", polygon: Any, ledger: "Ledger"
) -> "RunResult":
    """What a search finds; what was kept of a scene that was changed meanwhile is worth nothing."""
    try:
        return run_in(item.scene, item.source, item.run, options, report=report, polygon=polygon)
    except SceneError:
        if item.scene.changed():
            ledger.remove()
        raise


def _planned(item: Ready, wish: Wish) -> "MemoryPlan | None":
    """The shares of the memory bound, None without one."""
    if wish.memory is None or item.weights is None or item.mapped is None:
        return None
    from geopdn.model.weights import read_header

    model = read_header(item.weights).model
    return plan_for(
        item.scene, item.mapped, model, item.weights, bound=wish.memory, device=wish.device, budget=wish.budget
    )


@contextmanager
def ready(job: Job, wish: Wish, ledger: "Ledger") -> Iterator[Ready]:
    """Open a scene for the model, or for the detector and the model that chooses its windows."""
    announce = None if wish.quiet else say
    if wish.detector is None:
        with (
            opened(job.scene, model=wish.model, reading=wish.reading, announce=announce) as item,
            opened_dates(wish.previous, item, reading=wish.reading, announce=announce) as dates,
        ):
            if wish.memory is None:
                read_ahead(item)
            run = own_run(item.source, item.weights, ledger=ledger, previous=dates)
            yield Ready(item.scene, item.source, item.source, item.weights, run, dates)
        return
    with opened_for(wish.detector, job.scene, reading=wish.reading, quiet=wish.quiet) as (scene, source):
        if wish.model is None:
            yield Ready(scene, source, None, None, _foreign(wish.detector, source, None, ledger))
        else:
            with (
                opened(job.scene, model=wish.model, reading=wish.reading) as item,
                opened_dates(wish.previous, item, reading=wish.reading, announce=announce) as dates,
            ):
                if not wish.quiet:
                    name, finds = item.header.name, ", ".join(item.header.model.classes)
                    say(f"windows are chosen by the model {name}, which expects {finds}")
                run = _foreign(wish.detector, source, item, ledger, dates)
                yield Ready(scene, source, item.source, item.weights, run, dates)


def _foreign(
    detector: "Detector",
    source: "PixelSource",
    item: "Opened | None",
    ledger: "Ledger",
    dates: "tuple[Scene, ...]" = (),
) -> Run:
    def run(options: "DetectOptions", report: "Callable[[Progress], None]", inside: "Inside | None") -> "RunResult":
        from geopdn.engine import Guide, detect_with

        guide = None if item is None else Guide(load_model(item.weights), item.source, dates)
        return detect_with(detector, source, options, guide=guide, report=report, inside=inside, ledger=ledger)

    return run


def _check(item: Ready, job: Job) -> None:
    """What can be refused before anything is computed."""
    from geopdn.output.write import check_crs

    if item.source.crs is None and job.output.suffix.lower() != ".gpkg":
        raise ConfigError(
            f"{item.scene.name} has no CRS: pixel coordinates go into a .gpkg, not into {job.output.name}"
        )
    check_crs(job.output, item.source.crs)
    if job.item is not None:
        from geopdn.output.stac import acquired, footprint_of
        from geopdn.scene.frame import frame_of

        footprint_of(frame_of(item.source))
        acquired(frame_of(item.source), None)
    if job.saliency is not None:
        if item.mapped is None:
            raise ConfigError("--saliency beside --detector needs a --model: the detector expects nothing by itself")
        require_map(item.mapped)


def _shown(show: Callable[..., None]) -> "Callable[[Progress], None]":
    return lambda at: show(at.stage, at.done, at.total, at.found)


def _write(result: "RunResult", item: Ready, job: Job, wish: Wish) -> None:
    from geopdn.output.write import write_result

    if job.saliency is not None:
        from geopdn.output.saliency import write_saliency

        write_saliency(result, job.saliency, overwrite=job.may_replace(job.saliency, overwrite=wish.overwrite))
    if job.picture is not None:
        from geopdn.api.quicklook import draw

        draw(result, item.source, job.picture)
    if wish.pictures and job.output.suffix.lower() == ".gpkg":
        from geopdn.cli.tip_pictures import pictures_of

        result = replace(result, pictures=pictures_of(result, item.source, most=wish.pictures))
    write_result(result, job.output, overwrite=job.may_replace(job.output, overwrite=wish.overwrite))
    if job.project is not None:
        from geopdn.cli.project import write_project_of

        write_project_of(
            job.output,
            job.project,
            scene=job.scene,
            saliency=job.saliency,
            allow_vrt=wish.reading.allow_vrt,
            allow_hosts=wish.reading.allow_hosts,
        )
    if job.item is not None:
        _write_item(result, item, job, job.item)


def _write_item(result: "RunResult", item: Ready, job: Job, path: Path) -> None:
    from geopdn.api.stac import described
    from geopdn.output.stac import Catalogued, write_item

    facts, others = result.facts, {"overview": job.picture, "saliency": job.saliency}
    own = item.weights is not None and facts.get("detector") is None
    found = Catalogued(
        output=job.output,
        frame=result.frame,
        facts=facts,
        n_detections=len(result.detections),
        scene=job.scene,
        model=described(item.weights, facts["model_digest"]) if own and item.weights is not None else None,
        others={role: file for role, file in others.items() if file is not None},
    )
    write_item(found, path)
