"""Results as Markdown: medians over the repeats, ratios as medians of the ratios within each repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.growth import Series
from benchmarks.methods import BUDGET
from benchmarks.results import Results, Run
from benchmarks.scenes import CELL_PX

DECODE, NETWORK, START = "floor: decode", "floor: network", "floor: start-up"
HEAD = (
    *("method", "runs", "seconds", "times geopdn --budget", "user CPU s", "system CPU s", "peak MB", "MB read"),
    *("pixels read", "windows", "GMAC", "AP50", "found"),
)
FLOOR_HEAD = (
    "method",
    "seconds",
    "start-up s",
    "start-up MB read",
    "decode s",
    "network s",
    "times the larger",
    "times their sum",
)
GROWTH_HEAD = ("what grows", "method", "cost", "exponent", "R2", "runs")


@dataclass(frozen=True, slots=True)
class Summary:
    """Medians of one method on one scene; `error` says why there are none."""

    method: str
    n_runs: int
    seconds: float
    ratio: float | None
    user_seconds: float
    system_seconds: float
    peak_memory_mb: float
    mb_read: float | None
    outcome: dict[str, Any]
    error: str = ""


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that a scene can cost, and geopdn's time as a multiple of it."""

    seconds: float
    start_up: float
    start_up_mb: float
    decode: float
    network: float

    @property
    def times_larger(self) -> float:
        """Of the larger of decoding and passes."""
        return self.seconds / max(self.decode, self.network)

    @property
    def times_sum(self) -> float:
        """Of both."""
        return self.seconds / (self.decode + self.network)


def summaries(results: Results, scene: str, code: str, *, order: Sequence[str]) -> list[Summary]:
    """One a method that was tried on a scene, in the order given."""
    runs = [run for run in results.runs if run.scene == scene and run.code == code]
    found = []
    for method in order:
        mine = [run for run in runs if run.method == method]
        good = [run for run in mine if not run.error]
        if good:
            found.append(_summary(method, good, runs))
        elif mine:
            found.append(Summary(method, 0, 0, None, 0, 0, 0, None, {}, error=mine[-1].error))
    return found


def _summary(method: str, good: Sequence[Run], every: Sequence[Run]) -> Summary:
    own = {run.repeat: run.seconds for run in every if run.method == BUDGET and run.seconds is not None}
    ratios = [run.seconds / own[run.repeat] for run in good if run.seconds is not None and run.repeat in own]
    costs = [run.cost for run in good if run.cost is not None]

    def middle(of: Callable[[Any], float]) -> float:
        return median(of(cost) for cost in costs)

    read = [cost.bytes_read / 1e6 for cost in costs if cost.bytes_read is not None]
    return Summary(
        method=method,
        n_runs=len(good),
        seconds=middle(lambda cost: cost.seconds),
        ratio=median(ratios) if ratios else None,
        user_seconds=middle(lambda cost: cost.user_seconds),
        system_seconds=middle(lambda cost: cost.system_seconds),
        peak_memory_mb=middle(lambda cost: cost.peak_memory_mb),
        mb_read=median(read) if read else None,
        outcome=good[-1].outcome,
    )


def floor_of(results: Results, scene: str, code: str) -> Floor | None:
    """The floor of a scene, None where a part of it has not been measured."""
    runs = [run for run in results.runs if run.scene == scene and run.code == code and not run.error]
    geopdn = [run.seconds for run in runs if run.method == BUDGET and run.seconds is not None]
    start = [run.cost for run in runs if run.method == START and run.cost is not None]
    decode, network = ([run.outcome["seconds"] for run in runs if run.method == part] for part in (DECODE, NETWORK))
    if not (geopdn and start and decode and network):
        return None
    start_s, start_mb = median(cost.seconds for cost in start), median((cost.bytes_read or 0) / 1e6 for cost in start)
    return Floor(median(geopdn), start_s, start_mb, median(decode), median(network))


def to_markdown(results: Results, scenes: Sequence[str], code: str, *, order: Sequence[str]) -> str:
    """A table a scene, each with its floor."""
    parts = []
    for scene in scenes:
        facts = results.scenes[scene]
        parts += [
            f"## {scene}",
            _about(facts),
        ]
        rows = summaries(results, scene, code, order=order)
        parts.append(_table(HEAD, [_cells(row) for row in rows if not row.error]))
        parts += [f"{row.method}: {row.error}" for row in rows if row.error]
        floor = floor_of(results, scene, code)
        if floor is not None:
            spent = (floor.seconds, floor.start_up, floor.start_up_mb, floor.decode, floor.network)
            numbers = [*spent, floor.times_larger, floor.times_sum]
            parts.append(_table(FLOOR_HEAD, [[BUDGET, *(f"{value:.1f}" for value in numbers)]]))
    return "\n\n".join(parts) + "\n"


def _about(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['width']:,} x {facts['height']:,} px, {facts['objects']} objects in {facts['occupied']:.1%} of the "
        f"{CELL_PX} px cells, {facts['file_mb']:.0f} MB; `--budget` is {facts['budget']:g}."
    )


def growth_markdown(found: Sequence[Series]) -> str:
    """Exponents."""
    rows = [
        (one.axis, one.method, one.quantity, f"{f.exponent:.2f}", f"{f.r2:.3f}", str(f.n))
        for one in found
        if (f := one.fitted) is not None
    ]
    return "## Growth\n\nCost goes with the exponent: 1 is proportional.\n\n" + _table(GROWTH_HEAD, rows) + "\n"


def _cells(row: Summary) -> tuple[str, ...]:
    known = row.outcome
    return (
        row.method,
        str(row.n_runs),
        f"{row.seconds:.1f}",
        "-" if row.ratio is None else f"{row.ratio:.2f}",
        f"{row.user_seconds:.1f}",
        f"{row.system_seconds:.1f}",
        f"{row.peak_memory_mb:,.0f}",
        "-" if row.mb_read is None else f"{row.mb_read:,.0f}",
        f"{known['share']:.1%}",
        str(known["windows"]),
        f"{known['gmacs']:,.0f}",
        "-" if known["ap50"] is None else f"{known['ap50']:.3f}",
        f"{known['found']} of {known['n_truth']}",
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
