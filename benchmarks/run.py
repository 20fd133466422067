"""geopdn against other programs on large scenes: builds them, runs every method in turn, writes tables and plots.

    make bench                                             # small: one simulated scene and a mosaic, one run each
    make bench SIZES="16384 32768" SHARES="0.01 0.05 0.2" REPEATS=3
    make bench-growth                                      # cost against size, and against the number of objects

Results are kept in results.json run by run; what is there for the same code is not run again (AGAIN=1 does).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import growth
from benchmarks.measure import STDERR, STDOUT, Cost, measure
from benchmarks.methods import BUDGET, FULL, GEOPDN, Job, Method, methods
from benchmarks.results import Results, Run, code_version
from benchmarks.scenes import ROOT, Case, build, cases
from benchmarks.table import DECODE, NETWORK, START, growth_markdown, to_markdown

MODEL = "aircraft-50cm"
BUILD = ROOT / "build" / "bench"
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
        folder = bench.folder / "runs" / case.name / re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")
        folder.mkdir(parents=True, exist_ok=True)
        kind = _scan_kind(bench, case)
        job = Job(scene.resolve(), folder.resolve(), MODEL, case.budget, kind, bench.folder.resolve())
        run = (
            _method_run(bench, case, by_name[name], job, repeat)
            if name in by_name
            else _floor_run(bench, case, name, job, repeat)
        )
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
    result = job.folder.parent / "geopdn-budget" / GEOPDN
    if not result.is_file():
        return Run(
            case.name, name, repeat, bench.code, None, f"no result of {BUDGET}, whose windows count", {}, _load()
        )
    files = {START: ["start"], DECODE: ["decode", str(job.scene), str(result)], NETWORK: ["network", str(result)]}[name]
    command = [sys.executable, "-m", "benchmarks.floor", *files, "--model", job.model]
    load = _load()
    cost = measure(command, folder=job.folder, timeout_s=bench.timeout_s, cwd=ROOT)
    error = _error(cost, job.folder)
    outcome = {} if error else json.loads((job.folder / STDOUT).read_text(encoding="utf-8"))
    return Run(case.name, name, repeat, bench.code, cost, error, outcome, load)


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


def prepare(bench: Bench, wanted: Sequence[Case], facts: Callable[[Case], dict[str, Any]]) -> None:
    """Build the scenes and note what they are."""
    for case in wanted:
        build(case, bench.folder / "scenes", say=bench.say)
        if case.name not in bench.results.scenes:
            bench.results.scenes[case.name] = {**facts(case), "share": case.share, "budget": case.budget}
            bench.results.write()


def report(bench: Bench, wanted: Sequence[Case]) -> None:
    """Write the table and the plots."""
    from benchmarks.plots import draw_accuracy, draw_costs

    names, order = [case.name for case in wanted], [method.name for method in methods()]
    text = to_markdown(bench.results, names, bench.code, order=order)
    (bench.folder / "results.md").write_text(text, encoding="utf-8")
    draw_costs(bench.results, names, bench.code, order=order, path=bench.folder / "costs.png")
    draw_accuracy(bench.results, names, bench.code, order=order, path=bench.folder / "accuracy.png")
    bench.say(f"\n{text}\nwrote {bench.folder}/results.md, costs.png and accuracy.png")


def report_growth(bench: Bench, axes: Sequence[tuple[growth.Axis, Sequence[Case]]]) -> None:
    """Write exponents and their plots."""
    from benchmarks.plots import draw_growth

    runs = bench.results.runs
    starts = [run.cost for run in runs if run.method == START and run.code == bench.code and run.cost and not run.error]
    start = min(starts, key=lambda cost: cost.seconds, default=None)
    every = []
    for axis, wanted in axes:
        found = growth.series(bench.results, wanted, axis=axis, code=bench.code, start=start)
        if found:
            draw_growth(found, path=bench.folder / f"growth-{axis}.png")
        every += found
    text = growth_markdown(every)
    (bench.folder / "growth.md").write_text(text, encoding="utf-8")
    bench.say(f"\n{text}\nwrote {bench.folder}/growth.md and growth-*.png")


def main() -> None:
    """Read the command line, run, report."""
    from benchmarks.score import Scorer

    options = _options()
    scorer, scenes = Scorer(MODEL), options.folder / "scenes"
    known = {method.name: method for method in methods()}
    unknown = [name for name in options.methods if name not in known]
    if unknown:
        raise SystemExit(f"--methods {unknown[0]!r}: expected some of {'; '.join(known)}")

    def score(output: Path, case: Case) -> dict[str, Any]:
        return asdict(scorer.outcome(output, scene=case.path(scenes), labels=case.truth(scenes)))

    bench = Bench(
        results=Results(options.folder / "results.json"),
        folder=options.folder,
        wanted=[known[name] for name in options.methods or known],
        repeats=options.repeats,
        code=code_version(),
        timeout_s=options.timeout,
        again=options.again,
        score=score,
        say=lambda text: print(text, flush=True),  # noqa: T201 (a script)
    )
    axes: list[tuple[growth.Axis, list[Case]]] = []
    if options.growth:
        axes = [
            ("pixels", growth.by_size(options.sizes or growth.SIZES)),
            ("objects", growth.by_objects(options.objects)),
        ]
        wanted = list(dict.fromkeys(case for _, each in axes for case in each))
    else:
        wanted = cases(
            options.sizes or [8192],
            options.shares,
            compressions=options.compressions,
            overviews=[word == "with" for word in options.overviews],
            with_mosaic=not options.no_mosaic,
        )
    prepare(bench, wanted, lambda case: scorer.facts(case.path(scenes), case.truth(scenes)))
    for case in wanted:
        run_case(bench, case)
    report(bench, wanted)
    if axes:
        report_growth(bench, axes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=[], help="sides in pixels (8192; growth: 4096 to 16384)"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[0.05], help="of the area, that objects take")
    parser.add_argument("--compressions", nargs="+", choices=("jpeg", "deflate"), default=["jpeg"])
    parser.add_argument("--overviews", nargs="+", choices=("with", "without"), default=["with"])
    parser.add_argument("--no-mosaic", action="store_true", help="no mosaic of the labelled scenes")
    parser.add_argument("--methods", nargs="*", default=[], help="names; all of them by default")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--growth", action="store_true", help="cost against size and against the number of objects")
    parser.add_argument("--objects", type=int, nargs="+", default=list(growth.OBJECTS), help="numbers, for --growth")
    parser.add_argument("--timeout", type=float, default=7200.0, help="seconds that one run may take")
    parser.add_argument("--again", action="store_true", help="also run what has been run")
    parser.add_argument("--folder", type=Path, default=BUILD)
    return parser.parse_args()


if __name__ == "__main__":
    main()
