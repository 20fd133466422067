"""Results that grow run by run and survive an interruption."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Cost
from benchmarks.scenes import ROOT

CODE = ("geopdn/**/*.py", "geopdn/weights/*.safetensors", "cli/*.py", "benchmarks/rivals/*.py", "benchmarks/floor.py")
PACKAGES = ("torch", "rasterio", "numpy", "sahi", "supervision")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a method, or of a part of the floor, on a scene.

    Attributes:
        scene: name of the case.
        method: its name.
        repeat: from 0.
        code: version of the code that was run, see `code_version`.
        cost: what it has cost, None where it was not started.
        error: why there is no outcome, else an empty text.
        outcome: what it brought, as of `benchmarks.score.Outcome` or of the floor.
        load: processes that were running or waiting before it started (one minute's average).
    """

    scene: str
    method: str
    repeat: int
    code: str
    cost: Cost | None
    error: str
    outcome: dict[str, Any]
    load: float

    @property
    def seconds(self) -> float | None:
        """Wall clock of a run that succeeded."""
        return self.cost.seconds if self.cost is not None and not self.error else None


class Results:
    """The record `results.json`: the machine, the scenes, every run.

    Args:
        path: the file; read where it exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scenes: dict[str, dict[str, Any]] = {}
        self.runs: list[Run] = []
        if path.is_file():
            record = json.loads(path.read_text(encoding="utf-8"))
            self.scenes = record["scenes"]
            self.runs = [
                Run(**{**run, "cost": None if run["cost"] is None else Cost(**run["cost"])}) for run in record["runs"]
            ]

    def find(self, scene: str, method: str, repeat: int, code: str) -> Run | None:
        """The run that has been done, if it has."""
        key = (scene, method, repeat, code)
        return next((run for run in self.runs if (run.scene, run.method, run.repeat, run.code) == key), None)

    def add(self, run: Run) -> None:
        """Keep a run, in the place of an earlier one of the same kind, and write the file."""
        key = (run.scene, run.method, run.repeat, run.code)
        self.runs = [old for old in self.runs if (old.scene, old.method, old.repeat, old.code) != key]
        self.runs.append(run)
        self.write()

    def write(self) -> None:
        """Write the file; it is complete or as it was."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        record = {"machine": machine(), "scenes": self.scenes, "runs": [asdict(run) for run in self.runs]}
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        temporary.replace(self.path)


def code_version(root: Path = ROOT) -> str:
    """Digest of everything that a measured run executes: code, weights and the packages under it."""
    digest = hashlib.sha256()
    for pattern in CODE:
        for path in sorted(root.glob(pattern)):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    digest.update(json.dumps(versions(PACKAGES)).encode())
    return digest.hexdigest()[:12]


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed versions; what is not installed is left out."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """What the runs ran on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": versions(PACKAGES),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
