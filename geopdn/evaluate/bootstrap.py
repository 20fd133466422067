"""95 % intervals by resampling places: objects of one place share its ground, weather and date, places do not.

The percentile interval of the bootstrap over clusters (Efron and Tibshirani, "An Introduction to the Bootstrap",
1993, chapters 8 and 13). A resample is a weight for every place; scenes are never matched again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopdn.evaluate.matching import Matches

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_RESAMPLES = 1000
FEW_PLACES = 5
# Thresholds at which a resample's curve is taken: with more objects found than this, every n-th of them; that moves
# an average precision by less than 1 / 2,000, far less than what places differ by.
_MOST_STEPS = 2000
_AT_A_TIME = 2_000_000  # numbers of one block of resamples: 16 MB each of a handful of arrays


@dataclass(frozen=True, slots=True)
class Interval:
    """The middle 95 % of the resamples."""

    low: float
    high: float


def resample_places(n_places: int, *, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Floats:
    """How often each place is drawn, `[R, P]` whole numbers; every row sums to `n_places`."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_places, np.full(n_places, 1 / n_places), size=n_resamples).astype(np.float64)


def interval(samples: Floats) -> Interval | None:
    """The middle 95 % of `[R]` resampled values; NaN (nothing to measure on) is left out, None where all are."""
    known = samples[np.isfinite(samples)]
    if not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5]).tolist()
    return Interval(low, high)


def average_precisions(matches: Sequence[Matches], *, place: Ints, weights: Floats, label: int | None = None) -> Floats:
    """`average_precision(...).ap` of every resample; to 0.0005 where more than 2,000 objects were found.

    Args:
        matches: one a scene.
        place: `[S]` index of each scene's place.
        weights: `[R, P]` how often each place counts.
        label: one class, or None for all classes pooled.

    Returns:
        `[R]`, NaN where a resample holds no truth.
    """
    n_places = weights.shape[1]
    scores, hits, owners, n_truth = [np.zeros(0)], [np.zeros(0, np.bool_)], [np.zeros(0, np.int64)], np.zeros(n_places)
    for scene, index in zip(matches, place.tolist(), strict=True):
        counted = ~scene.absorbed if label is None else ~scene.absorbed & (scene.label == label)
        scores.append(scene.score[counted])
        hits.append(scene.truth[counted] >= 0)
        owners.append(np.full(int(counted.sum()), index))
        there = ~scene.truth_ignored if label is None else ~scene.truth_ignored & (scene.truth_label == label)
        n_truth[index] += there.sum()
    score, hit, owner = np.concatenate(scores), np.concatenate(hits), np.concatenate(owners)
    order = np.argsort(-score, kind="stable")
    score, hit, owner = score[order], hit[order], owner[order]
    # Precision peaks where something was found: only the ends of runs of equal scores with a hit are needed.
    run = np.cumsum(np.diff(score, prepend=np.inf) < 0) - 1
    with_hit = np.unique(run[hit])
    if len(with_hit) > _MOST_STEPS:
        with_hit = with_hit[np.linspace(0, len(with_hit) - 1, _MOST_STEPS).astype(np.int64)]
    step = np.searchsorted(with_hit, run)  # the first such end at or after each detection
    n_steps, used = len(with_hit), step < len(with_hit)
    flat = owner[used] * n_steps + step[used]
    counted_by, right_by = (
        np.cumsum(np.bincount(flat, weights=part, minlength=n_places * n_steps).reshape(n_places, n_steps), 1)
        for part in (np.ones(int(used.sum())), hit[used].astype(np.float64))
    )  # [P, J] each
    truth = weights @ n_truth
    out = np.where(truth > 0, 0.0, np.nan)
    if not n_steps:
        return out
    levels, block = np.linspace(0, 1, 101), max(1, _AT_A_TIME // n_steps)
    for start in range(0, len(weights), block):
        rows = slice(start, start + block)
        counted_here, right = weights[rows] @ counted_by, weights[rows] @ right_by
        precision = np.divide(right, counted_here, out=np.zeros_like(right), where=counted_here > 0)
        envelope = np.zeros((len(precision), n_steps + 1))
        np.maximum.accumulate(precision[:, ::-1], axis=1, out=envelope[:, -2::-1])
        for k, total in enumerate(truth[rows].tolist()):
            if total:
                out[start + k] = envelope[k, np.searchsorted(right[k] / total, levels, side="left")].mean()
    return out


def mean_over_classes(matches: Sequence[Matches], *, place: Ints, weights: Floats, n_classes: int) -> Floats:
    """`mean_average_precision` of every resample `[R]`: classes without truth in a resample are left out of it."""
    each = np.stack(
        [average_precisions(matches, place=place, weights=weights, label=label) for label in range(n_classes)]
    )
    known = np.isfinite(each)
    n_known = known.sum(0).astype(np.float64)
    total = np.where(known, each, 0.0).sum(0)
    return _ratio(total, n_known)


def shares(matches: Sequence[Matches], *, place: Ints, weights: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 of all detections in every resample, `[R]` each; NaN where there is nothing."""
    counts = np.zeros((weights.shape[1], 3))  # right, detections, true objects
    for scene, index in zip(matches, place.tolist(), strict=True):
        counts[index] += (scene.truth >= 0).sum(), (~scene.absorbed).sum(), (~scene.truth_ignored).sum()
    right, found, there = (weights @ counts).T
    return {
        "precision": _ratio(right, found),
        "recall": _ratio(right, there),
        "f1": np.where(there > 0, _ratio(2 * right, found + there), np.nan),
    }


def _ratio(part: Floats, whole: Floats) -> Floats:
    out = np.full(len(whole), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out
