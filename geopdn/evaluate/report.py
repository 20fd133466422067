"""How good detections are against labels: one scene or many, with the place as the unit of chance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geopdn.errors import ConfigError, LabelError
from geopdn.evaluate import bootstrap
from geopdn.evaluate.bootstrap import Interval
from geopdn.evaluate.calibration import reliability
from geopdn.evaluate.collect import Collected, collect
from geopdn.evaluate.compare import COCO_IOUS, SceneBoxes, SceneMatches, match_scene
from geopdn.evaluate.evaluation import Averages, ClassScore, Evaluation, PlaceScore
from geopdn.evaluate.layers import LabelFile
from geopdn.evaluate.places import places_of
from geopdn.evaluate.precision import (
    PrecisionRecall,
    average_precision,
    best_f1,
    f1_at,
    mean_average_precision,
    mean_offset,
    median_turn_deg,
    recall_by_length,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from geopdn.detections import SceneFrame
    from geopdn.evaluate.matching import Matches, OverlapMode
    from geopdn.scene import PixelSource

LENGTH_EDGES_M = (0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, float("inf"))


def evaluate_result(
    detections: str | Path,
    labels: LabelFile | str | Path,
    *,
    frame: SceneFrame | None = None,
    source: PixelSource | None = None,
    iou: float = 0.5,
    mode: OverlapMode | None = None,
    one_class: bool = False,
    place: str | None = None,
    n_resamples: int = bootstrap.N_RESAMPLES,
) -> Evaluation:
    """Score detections against labels, each a file or a folder (`geopdn.evaluate.pairs.find_pairs`).

    Args:
        detections: file written by geopdn, or any with polygons and a column `score`; or a folder of them.
        labels: vector labels, see `read_labels`; or a folder of them, which are read alike.
        frame: the grid of the scene, where there is one; else see `geopdn.evaluate.compare.read_scene`.
        source: the scene itself, open: labels where it has no valid pixels do not count.
        iou: overlap from which an object counts as found.
        mode: how to measure overlap; None takes what detections and labels support: upright boxes where the
            detections have no heading, or most of the labelled objects lie in scenes with upright labels.
        one_class: compare places only, whatever the classes are called.
        place: regular expression with one group that names the place, searched in the scenes' names; None takes
            each scene as a place.
        n_resamples: how often places are drawn for the intervals.

    Returns:
        The scores.

    Raises:
        ConfigError: `place` is no such expression, or a frame is given for several scenes.
        LabelError: a file cannot be used, nothing belongs together, or the two have no class in common.
    """
    if frame is not None and Path(detections).is_dir():
        raise ConfigError(f"{detections} is a folder and one scene is given: leave it out, GeoPackages record theirs")
    there = LabelFile.of(labels)
    given = collect(Path(detections), there, frame=frame, source=source)
    names = ["object"] if one_class else _classes(given.scenes, detections, there)
    turned = _have_headings(given.scenes)
    main: OverlapMode = mode or ("oriented" if turned else "axis_aligned")
    modes: list[OverlapMode] = ["axis_aligned", "oriented"] if turned or main == "oriented" else ["axis_aligned"]
    scenes = [match_scene(one, names=names, one_class=one_class, iou=iou, modes=modes) for one in given.scenes]
    places = places_of([one.scene for one in given.scenes], place)
    return _evaluation(scenes, places, given=given, names=names, iou=iou, mode=main, n_resamples=n_resamples)


def _classes(scenes: Sequence[SceneBoxes], detections: str | Path, labels: LabelFile) -> list[str]:
    """The class names of both sides, sorted.

    Raises:
        LabelError: both sides name classes and share none.
    """
    found = {text for one in scenes for text in one.classes}
    named = {name for one in scenes for name in one.truth.names}
    if found and any(len(one.truth) for one in scenes) and not found & named:
        msg = (
            f"{detections} holds {sorted(found)}, {labels} holds {sorted(named)}: no class in common; "
            f"rename them or compare as one class"
        )
        raise LabelError(msg)
    return sorted(found | named)


def _have_headings(scenes: Sequence[SceneBoxes]) -> bool:
    """True where most of the labelled objects lie in scenes whose labels and detections are turned boxes."""
    turned = sum(len(one.truth) for one in scenes if not one.truth.axis_aligned)
    return 2 * turned >= sum(len(one.truth) for one in scenes) and not any(one.upright for one in scenes)


def _evaluation(
    scenes: Sequence[SceneMatches],
    places: Sequence[str],
    *,
    given: Collected,
    names: Sequence[str],
    iou: float,
    mode: OverlapMode,
    n_resamples: int,
) -> Evaluation:
    """Numbers of the matches of all scenes together."""
    first = [one.first[mode] for one in scenes]
    truths = [one.boxes.truth for one in scenes]
    modes = list(scenes[0].first)
    curves = {each: average_precision([one.first[each] for one in scenes]) for each in modes}
    class_curves = {name: average_precision(first, label=label) for label, name in enumerate(names)}
    curve = curves[mode]
    best, threshold = best_f1(curve)
    overlaps = {each: _averages(scenes, each, labels=range(len(names))) for each in modes}
    grids = {one.boxes.grid for one in scenes}
    intervals, note = _intervals(scenes, places, mode=mode, n_classes=len(names), n_resamples=n_resamples)
    return Evaluation(
        iou=iou,
        mode=mode,
        grid=grids.pop() if len(grids) == 1 else "mixed",
        n_scenes=len(scenes),
        n_places=len(set(places)),
        n_truth=curve.n_truth,
        n_ignored=sum(int(truth.ignore.sum()) for truth in truths),
        n_outside=given.n_outside,
        n_unseen=sum(truth.n_unseen for truth in truths),
        n_repeated=sum(truth.n_repeated for truth in truths),
        n_detections=sum(len(matches.score) for matches in first),
        n_absorbed=sum(int(matches.absorbed.sum()) for matches in first),
        ap=overlaps[mode].ap,
        ap_50=overlaps[mode].ap_50,
        ap_50_95=overlaps[mode].ap_50_95,
        ap_reason=curve.reason,
        precision=_precision(curve),
        recall=_recall(curve),
        f1=f1_at(curve, -np.inf),
        best_f1=best,
        best_threshold=threshold,
        offset_m=mean_offset(first, [one.pixel_m for one in scenes]),
        heading_error_deg=median_turn_deg(first, [one.elongation for one in scenes]) if "oriented" in modes else None,
        overlaps=overlaps,
        intervals=intervals,
        intervals_note=note,
        reliability=reliability(first),
        by_length=recall_by_length(first, [one.length_m for one in scenes], edges_m=LENGTH_EDGES_M),
        by_class={name: _class_score(scenes, label, class_curves[name]) for label, name in enumerate(names)},
        by_place=tuple(_place_score(scenes, places, place, mode, len(names)) for place in sorted(set(places))),
        without_labels=given.without_labels,
        without_result=given.without_result,
        curves=curves,
        class_curves=class_curves,
    )


def _averages(scenes: Sequence[SceneMatches], mode: OverlapMode, *, labels: Iterable[int]) -> Averages:
    """Average precisions, the mean over the classes `labels`."""

    def mean(matches: Sequence[Matches]) -> float | None:
        return _mean([average_precision(matches, label=label).ap for label in labels])

    coco = [mean([one.coco[mode][k] for one in scenes]) for k in range(len(COCO_IOUS))]
    return Averages(ap=mean([one.first[mode] for one in scenes]), ap_50=coco[0], ap_50_95=_mean(coco))


def _class_score(scenes: Sequence[SceneMatches], label: int, curve: PrecisionRecall) -> ClassScore:
    return ClassScore(
        ap=curve.ap,
        recall=_recall(curve),
        n_truth=curve.n_truth,
        n_detections=curve.n_detections,
        overlaps={each: _averages(scenes, each, labels=[label]) for each in scenes[0].first},
    )


def _place_score(
    scenes: Sequence[SceneMatches], places: Sequence[str], place: str, mode: OverlapMode, n_classes: int
) -> PlaceScore:
    mine = [one for one, where in zip(scenes, places, strict=True) if where == place]
    matches = [one.first[mode] for one in mine]
    curve = average_precision(matches)
    return PlaceScore(
        place=place,
        scenes=tuple(one.boxes.scene for one in mine),
        n_truth=curve.n_truth,
        n_detections=curve.n_detections,
        ap=mean_average_precision(matches, n_classes=n_classes),
        precision=_precision(curve),
        recall=_recall(curve),
        f1=f1_at(curve, -np.inf),
    )


def _intervals(
    scenes: Sequence[SceneMatches], places: Sequence[str], *, mode: OverlapMode, n_classes: int, n_resamples: int
) -> tuple[dict[str, Interval | None] | None, str]:
    """95 % intervals by place, and what to know of them."""
    names = sorted(set(places))
    if len(names) < 2:
        return None, "no intervals: they come from differences between places, and there is one place"
    place = np.array([names.index(name) for name in places], np.int64)
    weights = bootstrap.resample_places(len(names), n_resamples=n_resamples)

    def mean(matches: Sequence[Matches]) -> NDArray[np.float64]:
        return bootstrap.mean_over_classes(matches, place=place, weights=weights, n_classes=n_classes)

    first = [one.first[mode] for one in scenes]
    coco = [mean([one.coco[mode][k] for one in scenes]) for k in range(len(COCO_IOUS))]
    samples = {
        "ap": mean(first),
        "ap_50": coco[0],
        "ap_50_95": np.mean(coco, axis=0),
        **bootstrap.shares(first, place=place, weights=weights),
    }
    note = f"95 % intervals from {n_resamples:,} resamples of {len(names)} places"
    if len(names) < bootstrap.FEW_PLACES:
        note += f"; of fewer than {bootstrap.FEW_PLACES} places they mean little and are too narrow"
    return {name: bootstrap.interval(values) for name, values in samples.items()}, note


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _precision(curve: PrecisionRecall) -> float | None:
    return float(curve.precision[-1]) if len(curve.precision) else None


def _recall(curve: PrecisionRecall) -> float | None:
    return curve.n_found / curve.n_truth if curve.n_truth else None
