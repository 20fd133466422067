"""Accuracy against cost: the same weights on the same scenes, windows chosen in different ways.

Every row is a run of its own from open file to merged boxes; nothing is shared between them or derived from another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from geopdn.budget import Budget
from geopdn.engine import DetectOptions, detect
from geopdn.errors import ConfigError
from geopdn.evaluate.arithmetic import Arithmetic
from geopdn.evaluate.labelled import Labelled, match_result, opened_for, truth_in
from geopdn.evaluate.precision import average_precision, f1_at

if TYPE_CHECKING:
    from geopdn.config import WindowKind
    from geopdn.detections import RunResult
    from geopdn.evaluate.labels import Truth
    from geopdn.evaluate.matching import Matches
    from geopdn.model.weights import LoadedModel

LOW_SCORE = 1e-4  # of what is scored: precision at a high recall counts too
FULL = "full scan"
TARGET = "coverage, recall target"
UNEXPLORED = "the same, no exploration"

Bytes = Callable[[], int | None]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to choose windows.

    Attributes:
        name: in tables and plots.
        about: one line that says what it is.
        options: of `detect`; the budget is set by the benchmark.
    """

    name: str
    about: str
    options: DetectOptions


def strategies(kinds: Sequence[WindowKind]) -> tuple[Strategy, ...]:
    """The ways to choose windows that are compared, the default first."""
    plain = DetectOptions()
    first = kinds[0].name
    static, alone = replace(plain, drive="static"), replace(plain, drive="gamma-poisson")
    return (
        Strategy(
            "coverage",
            "the default: coverage planning, all kinds, update and controller in rounds",
            plain,
        ),
        Strategy("coverage, static", "planned once, nothing learnt from what is found", static),
        Strategy("coverage, update alone", "the Gamma-Poisson update without the controller", alone),
        Strategy("coverage, one kind", f"windows of {first} px only", replace(plain, only_kind=0)),
        Strategy("coverage, no fusion", "later windows do not see the fused grid", replace(plain, fusion=False)),
        Strategy("coverage, mean only", "overview without minimum and maximum", replace(plain, statistics=False)),
        Strategy("soft subtraction", "UHR-DETR's rule, one kind", replace(plain, rule="soft-subtraction")),
        Strategy("top-k", "tiles of the full scan by expected objects", replace(plain, rule="top-k")),
        Strategy("random", "tiles of the full scan at random", replace(plain, rule="random")),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy at one budget over all scenes.

    Attributes:
        strategy: its name.
        budget: as text.
        share: of all pixels, read at any level, each counted once.
        windows: that were read.
        bytes_read: from files or the cache, None where the system does not tell.
        gmacs: 10**9 multiply-adds of both streams.
        seconds: wall clock.
        ap: average precision over all scenes.
        f1: at the model's threshold.
        recall: at the model's threshold.
        relative_recall: of the true objects that the full scan finds at that threshold; None without them.
        estimated_recall: what the runs said of themselves, weighted by the objects found; None where they do not.
    """

    strategy: str
    budget: str
    share: float
    windows: int
    bytes_read: int | None
    gmacs: float | None
    seconds: float
    ap: float | None
    f1: float | None
    recall: float | None
    relative_recall: float | None
    estimated_recall: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What one strategy brought at one budget.

    Matches, facts and costs of every scene, in order, and the kinds of all windows.
    """

    matches: list[Matches]
    facts: list[dict[str, Any]]
    kinds: list[str]
    seconds: float
    bytes_read: int | None
    gmacs: float | None


def run_bench(
    scenes: Sequence[Labelled],
    model: LoadedModel,
    *,
    chosen: Sequence[Strategy],
    shares: Sequence[float],
    recalls: Sequence[float] = (),
    iou: float = 0.5,
    device: str = "cpu",
    bytes_read: Bytes = lambda: None,
    with_sahi: bool = False,
    say: Say = lambda _: None,
) -> list[Row]:
    """Measure strategies at budgets.

    Args:
        scenes: with labels.
        model: the weights of every row.
        chosen: strategies.
        shares: budgets as shares of the pixels, for every strategy.
        recalls: recall targets, for coverage planning as it is by default.
        iou: overlap from which an object counts as found.
        device: `cpu` or `cuda`.
        bytes_read: bytes that the process has read so far.
        with_sahi: also run SAHI on the same network.
        say: receives a line a row.

    Returns:
        The full scan, SAHI, then every strategy at every budget, then the recall targets.

    Raises:
        ConfigError: no scene, or SAHI cannot take them.
    """
    if not scenes:
        raise ConfigError("nothing to measure: name at least one scene and its labels")
    truths = [_truth(item, model) for item in scenes]
    arithmetic = Arithmetic(model.net)
    plain = DetectOptions(keep_score=LOW_SCORE, device=device)
    _warm_up(scenes[0], model, plain)

    def tally(options: DetectOptions) -> Tally:
        return _tally(scenes, truths, model, options, iou=iou, bytes_read=bytes_read, arithmetic=arithmetic)

    full = tally(replace(plain, budget=Budget(full=True)))
    found = found_by(full.matches, model.header.min_score)
    rows = [row_of(FULL, "full", full, model.header.min_score, found)]
    say(line_of(rows[-1]))
    if with_sahi:
        from geopdn.evaluate.sahi_rival import sahi_tally

        done = sahi_tally(
            scenes,
            truths,
            model,
            kind=full_scan_kind(full, model),
            iou=iou,
            bytes_read=bytes_read,
            arithmetic=arithmetic,
        )
        rows.append(row_of("SAHI", "full", done, model.header.min_score, found))
        say(line_of(rows[-1]))
    jobs = [(item.name, item.options, Budget(share=share)) for item in chosen for share in shares]
    jobs += [(TARGET, DetectOptions(), Budget(recall=recall)) for recall in recalls]
    jobs += [(UNEXPLORED, DetectOptions(explore=False), Budget(recall=recall)) for recall in recalls]
    for name, options, budget in jobs:
        done = tally(replace(options, budget=budget, keep_score=LOW_SCORE, device=device))
        rows.append(row_of(name, str(budget), done, model.header.min_score, found))
        say(line_of(rows[-1]))
    return rows


def full_scan_kind(full: Tally, model: LoadedModel) -> int:
    """Index of the kind of window that the full scan used."""
    names = [kind.name for kind in model.header.model.kinds]
    used = [names.index(name) for name in full.kinds if name in names]
    return max(set(used), key=used.count, default=0)


def row_of(name: str, budget: str, tally: Tally, threshold: float, full: Sequence[np.ndarray[Any, Any]]) -> Row:
    """The numbers of a strategy at a budget.

    Args:
        name: of the strategy.
        budget: as text.
        tally: what it brought.
        threshold: score from which detections count for recall and F1.
        full: for each scene `[M]` True for the objects that the full scan finds.
    """
    curve = average_precision(tally.matches)
    found = found_by(tally.matches, threshold)
    n_full = sum(int(each.sum()) for each in full)
    n_found = sum(int(each.sum()) for each in found)
    both = sum(int((a & b).sum()) for a, b in zip(found, full, strict=True))
    total = sum(fact["pixels_total"] for fact in tally.facts)
    return Row(
        strategy=name,
        budget=budget,
        share=sum(fact["pixels_read"] for fact in tally.facts) / total,
        windows=sum(fact["n_windows"] for fact in tally.facts),
        bytes_read=tally.bytes_read,
        gmacs=tally.gmacs,
        seconds=tally.seconds,
        ap=curve.ap,
        f1=f1_at(curve, threshold),
        recall=n_found / curve.n_truth if curve.n_truth else None,
        relative_recall=both / n_full if n_full else None,
        estimated_recall=_estimate(tally, threshold),
    )


def found_by(matches: Sequence[Matches], threshold: float) -> list[np.ndarray[Any, Any]]:
    """For each scene `[M]` True for the true objects found with at least that score."""
    found = []
    for scene in matches:
        by = scene.found_by
        found.append((by >= 0) & (scene.score[np.maximum(by, 0)] >= threshold) if len(scene.score) else by >= 0)
    return found


def line_of(row: Row) -> str:
    """A row for people who wait."""
    return (
        f"{row.strategy}, {row.budget}: {row.share:.1%} of the pixels, AP {_show(row.ap)}, recall {_show(row.recall)} "
        f"({_show(row.relative_recall)} of the full scan's), {row.seconds:.1f} s"
    )


def to_markdown(rows: Sequence[Row]) -> str:
    """A table."""
    head = "| strategy | budget | pixels | windows | MB read | GMAC | seconds | AP | F1 | recall | of full | estimate |"
    lines = [head, "|" + "---|" * 12]
    for row in rows:
        cells = (
            row.strategy,
            row.budget,
            f"{row.share:.1%}",
            str(row.windows),
            "-" if row.bytes_read is None else f"{row.bytes_read / 1e6:.0f}",
            "-" if row.gmacs is None else f"{row.gmacs:.0f}",
            f"{row.seconds:.1f}",
            *(_show(v) for v in (row.ap, row.f1, row.recall, row.relative_recall, row.estimated_recall)),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _tally(
    scenes: Sequence[Labelled],
    truths: Sequence[Truth],
    model: LoadedModel,
    options: DetectOptions,
    *,
    iou: float,
    bytes_read: Bytes,
    arithmetic: Arithmetic,
) -> Tally:
    matches, facts, kinds, gmacs = [], [], [], 0.0
    seconds, n_bytes = 0.0, 0
    for item, truth in zip(scenes, truths, strict=True):
        before, started = bytes_read(), time.monotonic()
        result = _detect(item, model, options)
        seconds += time.monotonic() - started
        after = bytes_read()
        n_bytes = -1 if before is None or after is None or n_bytes < 0 else n_bytes + after - before
        matches.append(match_result(result, truth, iou=iou))
        facts.append(result.facts)
        kinds += [window.kind for window in result.windows]
        gmacs += arithmetic.of_run(result)
    return Tally(matches, facts, kinds, seconds, None if n_bytes < 0 else n_bytes, gmacs)


def _detect(item: Labelled, model: LoadedModel, options: DetectOptions) -> RunResult:
    with opened_for(item.scene, model.header.model) as source:
        return detect(source, model, options)


def _truth(item: Labelled, model: LoadedModel) -> Truth:
    with opened_for(item.scene, model.header.model) as source:
        return truth_in(source, item.labels, model.header.model)


def _warm_up(item: Labelled, model: LoadedModel, options: DetectOptions) -> None:
    """The first run of a process pays for libraries that load and memory that grows."""
    _detect(item, model, replace(options, budget=Budget(windows=4)))


def _estimate(tally: Tally, threshold: float) -> float | None:
    """Recall estimates as one: objects found over objects found and still expected."""
    found, there = 0.0, 0.0
    for facts, scene in zip(tally.facts, tally.matches, strict=True):
        if facts["estimated_recall"] is None:
            continue
        n = float((scene.score >= threshold).sum())
        found += n
        there += n / max(facts["estimated_recall"], 1e-6)
    return found / there if there else None


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
