"""Resampled scores against scoring the resampled scenes themselves."""

from __future__ import annotations

import numpy as np
import pytest
from test_precision import all_matches, scenes

from geopdn.evaluate import bootstrap
from geopdn.evaluate.bootstrap import Interval
from geopdn.evaluate.precision import average_precision, f1_at, mean_average_precision

PLACE = np.array([0, 1, 1, 2, 3])


def repeated(matches: list, weights: np.ndarray) -> list:
    """The scenes of a resample, each as often as its place is drawn."""
    return [scene for scene, place in zip(matches, PLACE, strict=True) for _ in range(int(weights[place]))]


@pytest.mark.parametrize(("n_classes", "ignored", "digits"), [(1, 0.0, 3), (3, 0.2, 3), (1, 0.2, 1)])
def test_every_resample_is_scored_as_its_scenes_are(n_classes: int, ignored: float, digits: int) -> None:
    given = scenes(11, n_classes=n_classes, n_scenes=5, ignored=ignored)
    given = [(truth, (boxes, np.round(score, digits), labels)) for truth, (boxes, score, labels) in given]
    matches = all_matches(given, iou=0.5)
    weights = bootstrap.resample_places(4, n_resamples=25)
    pooled = bootstrap.average_precisions(matches, place=PLACE, weights=weights)
    mean = bootstrap.mean_over_classes(matches, place=PLACE, weights=weights, n_classes=n_classes)
    shares = bootstrap.shares(matches, place=PLACE, weights=weights)
    for k, row in enumerate(weights):
        mine = repeated(matches, row)
        curve = average_precision(mine)
        assert pooled[k] == pytest.approx(curve.ap, abs=1e-12)
        assert mean[k] == pytest.approx(mean_average_precision(mine, n_classes=n_classes), abs=1e-12)
        assert shares["recall"][k] == pytest.approx(curve.recall[-1])
        assert shares["precision"][k] == pytest.approx(curve.precision[-1])
        assert shares["f1"][k] == pytest.approx(f1_at(curve, -np.inf))


def test_thinned_thresholds_move_a_resample_by_less_than_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    matches = all_matches(scenes(12, n_scenes=5), iou=0.5)
    weights = bootstrap.resample_places(4, n_resamples=50)
    exact = bootstrap.average_precisions(matches, place=PLACE, weights=weights)
    monkeypatch.setattr(bootstrap, "_MOST_STEPS", 40)
    thinned = bootstrap.average_precisions(matches, place=PLACE, weights=weights)
    assert 0 < np.abs(thinned - exact).max() < 1 / 40


def test_blocks_of_resamples_are_one_result(monkeypatch: pytest.MonkeyPatch) -> None:
    matches = all_matches(scenes(13, n_scenes=5), iou=0.5)
    weights = bootstrap.resample_places(4, n_resamples=30)
    whole = bootstrap.average_precisions(matches, place=PLACE, weights=weights)
    monkeypatch.setattr(bootstrap, "_AT_A_TIME", 500)
    np.testing.assert_array_equal(bootstrap.average_precisions(matches, place=PLACE, weights=weights), whole)


def test_resamples_draw_as_many_places_as_there_are_and_are_fixed() -> None:
    weights = bootstrap.resample_places(6, n_resamples=4000)
    assert weights.shape == (4000, 6)
    assert (weights.sum(1) == 6).all()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.06)
    np.testing.assert_allclose(weights.var(0), 5 / 6, atol=0.06)  # of a binomial of 6 draws with chance 1/6
    np.testing.assert_array_equal(weights, bootstrap.resample_places(6, n_resamples=4000))


def test_the_interval_covers_the_mean_recall_of_places_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    weights = bootstrap.resample_places(30, n_resamples=400)
    covered = 0
    for _ in range(200):
        recall = rng.beta(6, 2, 30)
        span = bootstrap.interval(weights @ recall / 30)
        covered += span.low <= 0.75 <= span.high
    assert 0.88 <= covered / 200 <= 0.99


def test_what_cannot_be_measured_is_left_out() -> None:
    assert bootstrap.interval(np.full(5, np.nan)) is None
    assert bootstrap.interval(np.array([np.nan, 2.0, 2.0])) == Interval(2.0, 2.0)
    no_truth = np.array([[0.0, 0, 0, 0], [1, 1, 1, 1]])
    got = bootstrap.average_precisions(all_matches(scenes(14, n_scenes=5), iou=0.5), place=PLACE, weights=no_truth)
    assert np.isnan(got[0])
    assert got[1] > 0
    assert np.isnan(bootstrap.average_precisions([], place=np.zeros(0, int), weights=no_truth)).all()
