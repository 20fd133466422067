"""Every method on one scene in turn, each run a process of its own, measured, scored and kept."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import STDERR, STDOUT, Cost, measure
from benchmarks.methods import BUDGET, FULL, GEOPDN, Job, Method
from benchmarks.results import Results, Run
from benchmarks.scenes import ROOT, Case
from benchmarks.table import DECODE, NETWORK, START

MODEL = "aircraft-50cm"
FLOORS = (START, DECODE, NETWORK)

Say = Callable[[str], None]
Score = Callable[[Path, Case], dict[str, Any]]
"""Scores an output of a method on a case."""


@dataclass(frozen=True, slots=True)
class Bench:
    """How scenes are run.

    Attributes:
        results: receives the runs.
        folder: scenes, outputs.
        wanted: methods, in the order in which they alternate.
        repeats: of all of them.
        code: version of the code.
        timeout_s: of each run.
        again: run what has been run.
        score: of an output.
        say: receives a line a run.
        floor: whether the floor is measured.
    """

    results: Results
    folder: Path
    wanted: Sequence[Method]
    repeats: int
    code: str
    timeout_s: float
    again: bool
    score: Score
    say: Say
    floor: bool = True


def schedule(names: Sequence[str], repeats: int) -> Iterator[tuple[int, str]]:
    """(repeat, method) in turn, A B C A B C: what changes on the machine meanwhile meets all of them."""
    for repeat in range(repeats):
        for name in names:
            yield repeat, name


def run_case(bench: Bench, case: Case) -> None:
    """Every method on one scene, in turn, as often as wanted, then the parts of the floor in the same turn."""
    scene = case.path(bench.folder / "scenes")
    by_name = {method.name: method for method in bench.wanted}
    floors = FLOORS if bench.floor and BUDGET in by_name else ()
    warm = False
    for repeat, name in schedule([*by_name, *floors], bench.repeats):
        known = bench.results.find(case.name, name, repeat, bench.code)
        if known is not None and not (bench.again or known.error):
            continue
        if not warm:
            _read_once(scene)
            warm = True
        folder = _output_folder(bench, case, name)
        folder.mkdir(parents=True, exist_ok=True)
        kind = _scan_kind(bench, case)
        budget = bench.results.scenes[case.name]["budget"]
        job = Job(scene.resolve(), folder.resolve(), MODEL, budget, kind, bench.folder.resolve())
        if name in by_name:
            run = _method_run(bench, case, by_name[name], job, repeat)
        else:
            run = _floor_run(bench, case, name, job, repeat)
        bench.results.add(run)
        bench.say(_line(run))


def _method_run(bench: Bench, case: Case, method: Method, job: Job, repeat: int) -> Run:
    """Run and score a method; what it left of an earlier run is removed before."""
    reason = method.missing(job)
    if reason:
        return Run(case.name, method.name, repeat, bench.code, None, reason, {}, _load())
    output = job.folder / method.output
    output.unlink(missing_ok=True)
    load = _load()
    cost = measure(method.command(job), folder=job.folder, timeout_s=bench.timeout_s, cwd=ROOT)
    error = _error(cost, job.folder)
    outcome = {} if error else bench.score(output, case)
    return Run(case.name, method.name, repeat, bench.code, cost, error, outcome, load)


def _floor_run(bench: Bench, case: Case, name: str, job: Job, repeat: int) -> Run:
    """A part of the floor, for the windows that geopdn has read under its budget."""
    result = (_output_folder(bench, case, BUDGET) / GEOPDN).resolve()
    if not result.is_file():
        reason = f"no result of {BUDGET}, whose windows are read"
        return Run(case.name, name, repeat, bench.code, None, reason, {}, _load())
    files = {START: ["start"], DECODE: ["decode", str(job.scene), str(result)], NETWORK: ["network", str(result)]}[name]
    command = [sys.executable, "-m", "benchmarks.floor", *files, "--model", job.model]
    load = _load()
    cost = measure(command, folder=job.folder, timeout_s=bench.timeout_s, cwd=ROOT)
    error = _error(cost, job.folder)
    outcome = {} if error else json.loads((job.folder / STDOUT).read_text(encoding="utf-8"))
    return Run(case.name, name, repeat, bench.code, cost, error, outcome, load)


def _output_folder(bench: Bench, case: Case, name: str) -> Path:
    return bench.folder / "runs" / case.name / re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def _scan_kind(bench: Bench, case: Case) -> int:
    """The kind of window that geopdn's full scan used on this scene, the first before it has been run."""
    runs = (run for run in bench.results.runs if (run.scene, run.method, run.code) == (case.name, FULL, bench.code))
    return next((int(kind) for run in runs if (kind := run.outcome.get("kind")) is not None), 0)


def _error(cost: Cost, folder: Path) -> str:
    """Why a run counts as failed, else nothing."""
    if cost.timed_out:
        return f"ended after {cost.seconds:.0f} s, the limit"
    if cost.exit_code < 0:
        return f"ended by signal {-cost.exit_code}" + (" (out of memory?)" if cost.exit_code == -9 else "")
    if cost.exit_code:
        lines = (folder / STDERR).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"exit code {cost.exit_code}: {lines[-1] if lines else 'no message'}"
    return ""


def _line(run: Run) -> str:
    if run.error or run.cost is None:
        return f"{run.scene}, {run.method}, run {run.repeat + 1}: {run.error}"
    found = f", {run.outcome['found']} of {run.outcome['n_truth']} found" if "found" in run.outcome else ""
    return (
        f"{run.scene}, {run.method}, run {run.repeat + 1}: {run.cost.seconds:.1f} s, "
        f"{run.cost.peak_memory_mb:,.0f} MB{found}"
    )


def _read_once(path: Path) -> None:
    """Fill the page cache, for all methods alike."""
    with path.open("rb") as file:
        while file.read(1 << 24):
            pass


def _load() -> float:
    return round(os.getloadavg()[0], 2)
