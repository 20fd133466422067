"""Precision, recall and average precision over scenes, from matches.

One small numpy code path for oriented and axis-aligned boxes alike: common packages score upright boxes only, cap
the detections of a scene (100 by default) and give -1 where there is no truth. Tests hold it against torchmetrics
on upright boxes. Detections of equal score count together, so nothing depends on their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from geopdn.evaluate.matching import Matches

Floats = NDArray[np.float64]

NO_TRUTH = "no ground truth to find"


@dataclass(frozen=True, slots=True, eq=False)
class PrecisionRecall:
    """The curve of one class, or of all classes pooled, with the area under it.

    Attributes:
        ap: average precision at 101 recall points (COCO's), None where there is no truth.
        ap_area: exact area under the interpolated curve (all points), None where there is no truth.
        score: `[T]` thresholds, falling; a detection counts where its score is at least the threshold.
        precision: `[T]` share of the counted detections that are right.
        recall: `[T]` share of the true objects found.
        n_truth: true objects that count.
        n_detections: detections that count (absorbed ones left out).
        n_found: true objects found at the lowest threshold.
        reason: why `ap` is None, else an empty text.
    """

    ap: float | None
    ap_area: float | None
    score: Floats
    precision: Floats
    recall: Floats
    n_truth: int
    n_detections: int
    n_found: int
    reason: str = ""


def average_precision(matches: Iterable[Matches], *, label: int | None = None) -> PrecisionRecall:
    """Precision against recall over all scenes together.

    Args:
        matches: one a scene.
        label: one class, or None for all classes pooled.

    Returns:
        The curve; without truth `ap` is None with the reason, without detections it is 0.
    """
    scores, hits, n_truth = [np.zeros(0)], [np.zeros(0, np.bool_)], 0
    for scene in matches:
        counted = ~scene.absorbed if label is None else ~scene.absorbed & (scene.label == label)
        scores.append(scene.score[counted])
        hits.append(scene.truth[counted] >= 0)
        there = ~scene.truth_ignored if label is None else ~scene.truth_ignored & (scene.truth_label == label)
        n_truth += int(there.sum())
    score, hit = np.concatenate(scores), np.concatenate(hits)
    order = np.argsort(-score, kind="stable")
    score, hit = score[order], hit[order]
    last = np.flatnonzero(np.diff(score, append=-np.inf) < 0)  # the last of each run of equal scores
    right = np.cumsum(hit)[last]
    precision = right / (last + 1)
    recall = right / n_truth if n_truth else np.full(len(last), np.nan)
    ap = ap_area = None
    if n_truth:
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
        ap = float(np.append(envelope, 0.0)[at].mean())
        ap_area = float((np.diff(recall, prepend=0.0) * envelope).sum())
    return PrecisionRecall(
        ap=ap,
        ap_area=ap_area,
        score=score[last],
        precision=precision,
        recall=recall,
        n_truth=n_truth,
        n_detections=len(score),
        n_found=int(hit.sum()),
        reason="" if n_truth else NO_TRUTH,
    )


def mean_average_precision(matches: Sequence[Matches], *, n_classes: int) -> float | None:
    """Mean of the classes' average precision, classes without truth left out; None where no class has any."""
    each = [average_precision(matches, label=label).ap for label in range(n_classes)]
    known = [ap for ap in each if ap is not None]
    return float(np.mean(known)) if known else None


def f1_at(curve: PrecisionRecall, threshold: float) -> float | None:
    """F1 of the detections whose score is at least the threshold; None where there is no truth."""
    if not curve.n_truth:
        return None
    counted = np.flatnonzero(curve.score >= threshold)
    return float(_f1(curve)[counted[-1]]) if len(counted) else 0.0


def best_f1(curve: PrecisionRecall) -> tuple[float | None, float | None]:
    """The best F1 and its threshold (the highest of equals); None without truth, (0, None) without detections."""
    if not curve.n_truth:
        return None, None
    if not len(curve.score):
        return 0.0, None
    f1 = _f1(curve)
    best = int(np.argmax(f1))
    return float(f1[best]), float(curve.score[best])


def _f1(curve: PrecisionRecall) -> Floats:
    """F1 `[T]` at every threshold."""
    total = curve.precision + curve.recall
    return np.divide(2 * curve.precision * curve.recall, total, out=np.zeros_like(total), where=total > 0)


@dataclass(frozen=True, slots=True)
class LengthBin:
    """Recall of the objects from `low_m` up to, not including, `high_m` metres long; None where there is none."""

    low_m: float
    high_m: float
    n_truth: int
    recall: float | None


def recall_by_length(
    matches: Sequence[Matches], lengths_m: Sequence[Floats], *, edges_m: Sequence[float]
) -> tuple[LengthBin, ...]:
    """Recall by length of the true objects.

    Args:
        matches: one a scene.
        lengths_m: for each scene `[M]` ground lengths of its true objects, in the order of the truth.
        edges_m: rising limits of the bins; the last may be infinite.

    Returns:
        One bin between each two limits.
    """
    length, found = [np.zeros(0)], [np.zeros(0, np.bool_)]
    for scene, scene_lengths in zip(matches, lengths_m, strict=True):
        counted = ~scene.truth_ignored
        length.append(np.asarray(scene_lengths)[counted])
        found.append(scene.found_by[counted] >= 0)
    lengths, hits = np.concatenate(length), np.concatenate(found)
    bins = []
    for low, high in pairwise(edges_m):
        inside = (lengths >= low) & (lengths < high)
        recall = float(hits[inside].mean()) if inside.any() else None
        bins.append(LengthBin(low_m=float(low), high_m=float(high), n_truth=int(inside.sum()), recall=recall))
    return tuple(bins)


def mean_offset(matches: Sequence[Matches], pixel_m: Sequence[float]) -> float | None:
    """Mean distance between the centres of found objects and of their boxes; None where none was found.

    Args:
        matches: one a scene.
        pixel_m: for each scene the ground size of a pixel; 1 gives pixels.

    Returns:
        Metres.
    """
    each = [scene.offset_px * size for scene, size in zip(matches, pixel_m, strict=True)]
    offsets = np.concatenate([np.zeros(0), *each])
    offsets = offsets[np.isfinite(offsets)]
    return float(offsets.mean()) if len(offsets) else None


def median_turn_deg(matches: Sequence[Matches], elongation: Sequence[Floats], *, least: float = 2.0) -> float | None:
    """Median heading error in degrees (modulo 180) of found objects that are long enough to have a heading.

    Args:
        matches: one a scene.
        elongation: for each scene `[M]` length over width of its true objects.
        least: the elongation from which an object counts.

    Returns:
        Degrees in [0, 90], or None where no such object was found.
    """
    turns = [np.zeros(0)]
    for scene, ratio in zip(matches, elongation, strict=True):
        hit = scene.truth >= 0
        turns.append(scene.turn_deg[hit][np.asarray(ratio)[scene.truth[hit]] >= least])
    every = np.concatenate(turns)
    return float(np.median(every)) if len(every) else None
