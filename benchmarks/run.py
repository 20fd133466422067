"""geopdn against other programs on large scenes: builds them, runs every method in turn, writes tables and plots.

    make bench                                             # small: one simulated scene and a mosaic, one run each
    make bench SIZES="16384 32768" SHARES="0.01 0.05 0.2" REPEATS=3
    make bench-growth                                      # cost against size, and against the number of objects

Results are kept in results.json run by run; what is there for the same code is not run again (AGAIN=1 does).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import growth
from benchmarks.alternate import MODEL, Bench, run_case
from benchmarks.methods import methods
from benchmarks.results import Results, code_version
from benchmarks.scenes import ROOT, Case, budget_of, build, cases
from benchmarks.table import START, growth_markdown, to_markdown

BUILD = ROOT / "build" / "bench"


def prepare(bench: Bench, wanted: Sequence[Case], facts: Callable[[Case], dict[str, Any]]) -> None:
    """Build the scenes and note what they are."""
    for case in wanted:
        build(case, bench.folder / "scenes", say=bench.say)
        if case.name not in bench.results.scenes:
            known = facts(case)
            bench.results.scenes[case.name] = {**known, "share": case.share, "budget": budget_of(known["occupied"])}
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
        wanted=[method for name, method in known.items() if name in (options.methods or known)],
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
            ("pixels", growth.by_size(options.sizes or growth.SIZES, n_objects=options.fixed_objects)),
            ("objects", growth.by_objects(options.objects, size=options.fixed_size)),
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
    parser.add_argument("--fixed-objects", type=int, default=growth.FIXED_OBJECTS, help="while the size grows")
    parser.add_argument("--fixed-size", type=int, default=growth.FIXED_SIZE, help="while the objects grow")
    parser.add_argument("--timeout", type=float, default=7200.0, help="seconds that one run may take")
    parser.add_argument("--again", action="store_true", help="also run what has been run")
    parser.add_argument("--folder", type=Path, default=BUILD)
    return parser.parse_args()


if __name__ == "__main__":
    main()
