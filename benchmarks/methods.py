"""What is compared: geopdn with three ways to spend, its own full scan, and other programs on the same network."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scenes import ROOT

LOWEST = 0.05  # of the scores that count towards AP, for every method alike
BUDGET, FULL = "geopdn --budget", "geopdn --budget full"
GEOPDN, BOXES = "result.gpkg", "boxes.json"


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a method.

    Attributes:
        scene: the file.
        folder: receives its output.
        model: name or file of the weights.
        budget: share of the pixels for `--budget`.
        kind: index of the kind of window that the full scan used.
        build: where the GeoDeep environment and the exported detector are.
    """

    scene: Path
    folder: Path
    model: str
    budget: float
    kind: int
    build: Path


@dataclass(frozen=True, slots=True)
class Method:
    """A way to search a scene.

    Attributes:
        name: in results, tables and plots.
        about: what it is and how it reads, in one line.
        output: name of what it writes: a result of geopdn, or boxes.
        command: for a job.
        missing: why it cannot be run here, else an empty text.
    """

    name: str
    about: str
    output: str
    command: Callable[[Job], list[str]]
    missing: Callable[[Job], str] = lambda _: ""


def methods() -> tuple[Method, ...]:
    """In the order in which they alternate; the full scan stands before those that take its kind of window."""
    return (
        _geopdn(BUDGET, "a share of the pixels slightly above what is occupied", lambda j: ["--budget", f"{j.budget}"]),
        _geopdn(
            "geopdn --recall 0.95", "until 0.95 of a full scan's finds are expected", lambda _: ["--recall", "0.95"]
        ),
        _geopdn("geopdn", "the default: until 0.98 of a full scan's finds are expected", lambda _: []),
        _geopdn(FULL, "every window, the same code", lambda _: ["--budget", "full"]),
        _script(
            "rasterio loop", "rasterio reads each window at the network's level; torchvision's NMS", "rasterio_loop"
        ),
        _script("SAHI", "full resolution in memory, sliced; its own NMS", "sahi_slices", package="sahi"),
        _script(
            "supervision", "full resolution window by window; its own NMS", "supervision_slicer", package="supervision"
        ),
        Method(
            name="GeoDeep",
            about="ONNX Runtime; reads tiles at the network's size; its own NMS, in a process under its own licence",
            output=BOXES,
            command=lambda j: [
                str(geodeep_python(j.build)),
                str(ROOT / "benchmarks" / "rivals" / "geodeep_process.py"),
                *(str(j.scene), str(detector_of(j)), "-o", str(j.folder / BOXES), "--min-score", f"{LOWEST}"),
            ],
            missing=_geodeep_missing,
        ),
    )


def _geopdn(name: str, about: str, spend: Callable[[Job], list[str]]) -> Method:
    def command(job: Job) -> list[str]:
        fixed = ["--device", "cpu", "--overwrite", "--json", "--quiet", "--model", job.model]
        output = ["-o", str(job.folder / GEOPDN)]
        return [sys.executable, "-m", "geopdn.cli.main", "detect", str(job.scene), *output, *fixed, *spend(job)]

    return Method(name, about, GEOPDN, command)


def _script(name: str, about: str, script: str, *, package: str = "") -> Method:
    def command(job: Job) -> list[str]:
        wanted = ["-o", str(job.folder / BOXES), "--model", job.model, "--kind", str(job.kind)]
        module = f"benchmarks.rivals.{script}"
        return [sys.executable, "-m", module, str(job.scene), *wanted, "--min-score", f"{LOWEST}"]

    def missing(_: Job) -> str:
        there = not package or importlib.util.find_spec(package) is not None
        return "" if there else f"{package} is not installed: pip install 'geopdn[bench]'"

    return Method(name, about, BOXES, command, missing)


def geodeep_python(build: Path) -> Path:
    """Python of the environment that holds GeoDeep and nothing of geopdn."""
    return build / "geodeep-venv" / "bin" / "python"


def detector_of(job: Job) -> Path:
    """The exported detector of the job's model."""
    return job.build / f"{Path(job.model).stem}.detector.onnx"


def export_detector(job: Job) -> str:
    """Write the detector that GeoDeep runs where it is not there yet; returns why it could not be, else nothing."""
    if detector_of(job).is_file():
        return ""
    command = ["-m", "geopdn.cli.main", "export", job.model, "--part", "detector", "-o", str(job.build)]
    answer = subprocess.run([sys.executable, *command], check=False, capture_output=True, text=True, cwd=ROOT)  # noqa: S603
    if answer.returncode or not detector_of(job).is_file():
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        return f"`geopdn export {job.model} --part detector` made no {detector_of(job).name}: {last}"
    return ""


def _geodeep_missing(job: Job) -> str:
    if not geodeep_python(job.build).is_file():
        return f"no environment with GeoDeep at {geodeep_python(job.build).parent.parent}: make bench-geodeep"
    if job.kind != 0:
        return f"the exported detector is of the first kind of window, the full scan used kind {job.kind}"
    return export_detector(job)
