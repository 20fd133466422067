"""Whether scores are probabilities: of the detections with score 0.8, four in five should be right.

Expected calibration error after Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), on detections:
what counts as right is a match with an object (Kueppers et al., "Multivariate Confidence Calibration for Object
Detection", CVPR workshops 2020). Bins that hold equally many detections do not hide the errors of crowded low
scores as bins of equal width do (Nixon et al., "Measuring Calibration in Deep Learning", CVPR workshops 2019).
Objects without any detection are recall's business, not calibration's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geopdn.evaluate.matching import Matches

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

N_BINS = 10
Z_95 = 1.959964  # a normal value lies within so many standard deviations 95 % of the time


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The detections with scores from `low` to `high`.

    Attributes:
        low: lower limit of the bin, or the lowest score in it where bins hold equally many detections.
        high: upper limit, or the highest score.
        n: detections.
        score: their mean score.
        right: the share of them that found an object.
        right_low: lower end of the 95 % interval of `right` (Wilson).
        right_high: upper end.
    """

    low: float
    high: float
    n: int
    score: float
    right: float
    right_low: float
    right_high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Scores against the share of detections that are right; errors are differences of the two, in [0, 1].

    Attributes:
        n: detections that count.
        n_right: those that found an object.
        brier: mean squared difference of score and outcome.
        ece: expected calibration error over bins of equal width (Guo et al.).
        max_error: the largest error of those bins.
        ece_equal_count: over bins that hold equally many detections.
        max_error_equal_count: the largest error of those bins.
        equal_width: bins of equal width, empty ones left out.
        equal_count: bins that hold equally many detections; equal scores stay together.
    """

    n: int
    n_right: int
    brier: float
    ece: float
    max_error: float
    ece_equal_count: float
    max_error_equal_count: float
    equal_width: tuple[ReliabilityBin, ...]
    equal_count: tuple[ReliabilityBin, ...]


def reliability(matches: Iterable[Matches], *, n_bins: int = N_BINS) -> Reliability | None:
    """Calibration of the scores over all scenes together; absorbed detections do not count.

    Args:
        matches: one a scene.
        n_bins: bins of either kind, at most.

    Returns:
        None where no detection counts, or a score is no probability (below 0 or above 1).
    """
    scores, hits = [np.zeros(0)], [np.zeros(0, np.bool_)]
    for scene in matches:
        scores.append(scene.score[~scene.absorbed])
        hits.append(scene.truth[~scene.absorbed] >= 0)
    score, hit = np.concatenate(scores), np.concatenate(hits)
    if not len(score) or score.min() < 0 or score.max() > 1:
        return None
    order = np.lexsort((hit, score))  # sums do not depend on the order of scenes
    score, hit = score[order], hit[order]
    width_bin = np.minimum((score * n_bins).astype(np.int64), n_bins - 1)
    limits = [(k / n_bins, (k + 1) / n_bins) for k in range(n_bins)]
    equal_width = _bins(score, hit, width_bin, limits=limits)
    equal_count = _bins(score, hit, _count_bin(score, n_bins))
    return Reliability(
        n=len(score),
        n_right=int(hit.sum()),
        brier=float(((score - hit) ** 2).mean()),
        ece=_expected(equal_width),
        max_error=_largest(equal_width),
        ece_equal_count=_expected(equal_count),
        max_error_equal_count=_largest(equal_count),
        equal_width=equal_width,
        equal_count=equal_count,
    )


def _wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `right` in `n` were seen (Wilson 1927); scipy.stats takes long to load."""
    share, z2 = right / n, Z_95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _count_bin(score: Floats, n_bins: int) -> NDArray[np.int64]:
    """The bin of each of the rising scores by rank; a run of equal scores goes where its middle falls."""
    starts = np.flatnonzero(np.diff(score, prepend=-np.inf) > 0)
    sizes = np.diff(np.append(starts, len(score)))
    middle = starts + (sizes - 1) // 2
    return np.repeat(middle * n_bins // len(score), sizes).astype(np.int64)


def _bins(
    score: Floats, hit: Mask, member: NDArray[np.int64], *, limits: list[tuple[float, float]] | None = None
) -> tuple[ReliabilityBin, ...]:
    out = []
    for k in np.unique(member).tolist():
        inside = member == k
        mine, n, right = score[inside], int(inside.sum()), int(hit[inside].sum())
        low, high = limits[k] if limits is not None else (float(mine[0]), float(mine[-1]))
        out.append(ReliabilityBin(low, high, n, float(mine.mean()), right / n, *_wilson(right, n)))
    return tuple(out)


def _expected(bins: tuple[ReliabilityBin, ...]) -> float:
    return sum(part.n * abs(part.right - part.score) for part in bins) / sum(part.n for part in bins)


def _largest(bins: tuple[ReliabilityBin, ...]) -> float:
    return max(abs(part.right - part.score) for part in bins)
