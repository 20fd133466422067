"""Decide again what a saved run found, with other scores or another rule, without the model and the scene."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import shapely

from geopdn.detections import RunResult
from geopdn.errors import ConfigError, ResultError
from geopdn.geometry.area import InsidePolygon
from geopdn.merge import METHODS, MergeRule, Method, decide
from geopdn.output.saved import AGAIN, SavedRun, pictures_again


def remerge(
    run: SavedRun,
    *,
    min_score: float | Mapping[str, float] | None = None,
    method: Method | None = None,
    iou: float | None = None,
) -> RunResult:
    """The result of a run with other rules; what is not given stays as the run records it.

    Without any of them the detections are those of the run. What its search says of itself (estimated recall, audit)
    stays as it was: it holds for the rules that the search was made with.

    Args:
        run: read by `geopdn.output.saved.read_run`.
        min_score: lowest score of the result, of all classes or by class name.
        method: see `geopdn.merge.merge`.
        iou: likewise.

    Raises:
        ConfigError: a class or method that there is not, a score below what the run kept, a number out of range.
        ResultError: the run does not record what it was merged with.
    """
    before = _rule_of(run)
    rule = MergeRule(
        min_score=_scores(run, before, min_score),
        method=before.method if method is None else method,
        iou=before.iou if iou is None else iou,
    )
    if rule.method not in METHODS:
        raise ConfigError(f"merging by {rule.method!r}: expected one of {', '.join(METHODS)}")
    if not 0 <= rule.iou < 1:
        raise ConfigError(f"an overlap of {rule.iou}: expected a number from 0 to below 1")
    decision = decide(run.raw, run.windows, size=run.frame.size, rule=rule, inside=_inside(run))
    changed = {
        "merge": rule.to_dict(run.classes),
        "min_score": min(rule.min_score),
        "duplicates": decision.n_duplicates,
    }
    return RunResult(
        frame=run.frame,
        classes=run.classes,
        has_heading=run.has_heading,
        detections=decision.detections,
        windows=decision.windows,
        facts={**run.facts, **changed},
        raw=run.raw,
        pictures=pictures_again(decision.detections, run),
    )


def _rule_of(run: SavedRun) -> MergeRule:
    """What the run was merged with."""
    record: Any = run.facts.get("merge")
    try:
        scores = tuple(float(record["min_score"][name]) for name in run.classes)
        return MergeRule(min_score=scores, method=record["method"], iou=float(record["iou"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ResultError(f"{run.frame.name}: the run does not say how it was merged ({record!r}): {AGAIN}") from error


def _scores(run: SavedRun, before: MergeRule, wanted: float | Mapping[str, float] | None) -> tuple[float, ...]:
    """The lowest score of each class."""
    if wanted is None:
        return before.min_score
    by_class = wanted if isinstance(wanted, Mapping) else dict.fromkeys(run.classes, wanted)
    unknown = [name for name in by_class if name not in run.classes]
    if unknown:
        raise ConfigError(f"there is no class {unknown[0]!r}: the run has {', '.join(map(repr, run.classes))}")
    least = float(run.facts.get("raw_score") or 0.0)
    for name, score in by_class.items():
        if not 0 <= score <= 1:
            raise ConfigError(f"a score of {score} for {name!r}: expected a number from 0 to 1")
        if score < least:
            raise ConfigError(
                f"a score of {score} for {name!r}: the run kept boxes from {least:g} up; choose a higher one, or "
                f"search again with `geopdn detect --min-score {score}`"
            )
    return tuple(float(by_class.get(name, score)) for name, score in zip(run.classes, before.min_score, strict=True))


def _inside(run: SavedRun) -> Any:
    """The test of the area that was searched, None where it was the whole scene."""
    area = run.facts.get("aoi")
    if area is None:
        return None
    try:
        return InsidePolygon(shapely.from_wkt(area), run.frame.transform)
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise ResultError(
            f"{run.frame.name}: the run was limited to an area that it does not record ({area!r:.40}): {AGAIN}"
        ) from error
