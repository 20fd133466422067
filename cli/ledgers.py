"""The ledger of a scene's run: what tells runs apart, and what is said about going on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from geopdn.api.scenes import Reading
from geopdn.cli.destinations import Job
from geopdn.cli.messages import say
from geopdn.errors import GeoreferenceError, SceneOpenError

if TYPE_CHECKING:
    from geopdn.ledger import Ledger
    from geopdn.scene import Scene


@contextmanager
def kept(job: Job, *, resume: bool, quiet: bool) -> "Iterator[Ledger]":
    """The ledger of a run, locked; where the run is stopped it stays, and how to go on is said.

    Args:
        job: the scene and its outputs.
        resume: go on with what an earlier run left.
        quiet: say only what is lost or kept.

    Raises:
        OutputError: another run writes this output.
        LedgerError: the ledger is damaged.
    """
    from geopdn.ledger import Ledger

    with Ledger.open(job.output, resume=resume, outputs=[path.name for path in job.files]) as ledger:
        n = ledger.n_before
        if resume and not quiet:
            say(f"going on after {n} windows" if n else f"no windows are kept for {job.output.name}: starting with it")
        elif n and not resume:
            say(f"starting over: an earlier run had finished {n} windows, --resume would have gone on from there")
        try:
            yield ledger
        except GeoreferenceError:  # of the scene or the format: a second run would end like this one
            ledger.remove()
            raise
        except BaseException:
            if ledger.stays:
                name, kept_now = ledger.path.name, ledger.n_windows
                say(f"{kept_now} windows are kept in {name}: the same command with --resume goes on from there")
            raise


def unfinished(jobs: Sequence[Job], *, overwrite: bool) -> list[Job]:
    """The jobs that are to be gone on with: without those whose output is complete, unless it is to be replaced.

    Outputs appear complete or not at all; beside one that is being replaced lies a ledger.
    """
    from geopdn.ledger import ledger_path, outputs_of

    left = []
    for job in jobs:
        if job.output.is_file() and not overwrite and not ledger_path(job.output).exists():
            say(f"{job.output} is complete: skipped")
        else:
            left.append(replace(job, begun=outputs_of(job.output)))
    return left


def context_of(scene: "Scene", area: Any, reading: Reading, *, dates: "Sequence[Scene]" = ()) -> dict[str, Any]:
    """What windows depend on and the engine does not know: files of all dates, how they are read, the area's polygon.

    Raises:
        SceneOpenError: the file is gone.
    """
    import shapely

    return {
        "scene": _state(scene),
        "reading": asdict(reading),
        "aoi": None if area is None else sha256(shapely.to_wkb(area)).hexdigest()[:16],
        **({"previous": [_state(date) for date in dates]} if dates else {}),
    }


def _state(scene: "Scene") -> dict[str, Any]:
    """Name, and sizes and times of the scene's files and of its sidecar; of an URL the size in pixels.

    What follows `?` in an URL, and who asks, are secrets that change.
    """
    from rasterio.errors import RasterioError

    from geopdn.scene.sidecar import fingerprint, sidecar_path

    if "://" in scene.path:
        parts = urlsplit(scene.path)
        name = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
        return {"name": name, "width": scene.size.width, "height": scene.size.height}
    sidecar = sidecar_path(scene.path)
    try:
        stamp = [sidecar.stat().st_size, sidecar.stat().st_mtime_ns] if sidecar.is_file() else None
        return {"name": Path(scene.path).name, **fingerprint(scene), "overview": stamp}
    except (OSError, RasterioError) as error:
        raise SceneOpenError(f"{scene.name} cannot be looked up any more: {error}; run again") from error
