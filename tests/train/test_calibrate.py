"""Calibration of expected counts: what the curve says is what is there, tail and peaks apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_samples import config_for, write_scene

from geopdn.errors import ConfigError
from geopdn.evaluate.matching import Matches
from geopdn.model.curves import bent
from geopdn.model.graph import RUN_PARTS, Graph
from geopdn.model.probabilities import SCORE_KNOTS
from geopdn.model.saliency import KNOTS
from geopdn.model.surroundings import AROUND_KNOTS
from geopdn.model.weights import load_weights
from geopdn.train.curves import fit_probabilities, fit_rates, fit_surroundings
from geopdn.train.finish import best_threshold, calibrate_again
from geopdn.train.fit import train
from geopdn.train.places import find_scenes


def test_no_change_leaves_log_rates_as_they_are():
    logs = torch.linspace(-20, 6, 50)[None]
    torch.testing.assert_close(bent(logs, torch.zeros(1, len(KNOTS)), KNOTS), logs)


def test_the_curve_is_linear_between_knots_and_constant_beyond():
    values = torch.arange(float(len(KNOTS)))[None]
    middle = (KNOTS[2] + KNOTS[3]) / 2
    logs = torch.tensor([[KNOTS[0] - 3, KNOTS[0], KNOTS[2], middle, KNOTS[-1] + 5]], dtype=torch.float64)
    added = (bent(logs, values.double(), KNOTS) - logs)[0]
    torch.testing.assert_close(added, torch.tensor([0, 0, 2, 2.5, len(KNOTS) - 1.0], dtype=torch.float64))


def test_a_tail_that_is_too_high_and_peaks_that_are_too_low_are_both_mended():
    claimed = np.concatenate([np.full(200_000, 1e-4), np.full(2_000, 1e-2), np.full(300, 0.3)])
    truth = np.concatenate([np.full(200_000, 2e-5), np.full(2_000, 1e-2), np.full(300, 0.6)])
    curve = fit_rates(torch.from_numpy(np.log(claimed)), torch.from_numpy(truth), KNOTS)
    fitted = bent(torch.from_numpy(np.log(claimed))[None], curve[None].double(), KNOTS).exp()[0].numpy()
    for rate in np.unique(claimed):
        part = claimed == rate
        assert fitted[part].sum() == pytest.approx(truth[part].sum(), rel=0.35), rate
    assert math.isclose(fitted.sum(), truth.sum(), rel_tol=0.1)


def test_the_curve_never_falls():
    rng = np.random.default_rng(1)
    claimed = np.exp(rng.uniform(KNOTS[0], 0, 4000))
    curve = fit_rates(torch.from_numpy(np.log(claimed)), torch.from_numpy(rng.poisson(0.02, 4000)), KNOTS)
    steps = np.linspace(KNOTS[0], KNOTS[-1], 100)
    out = bent(torch.from_numpy(steps)[None], curve[None].double(), KNOTS)[0].numpy()
    assert (np.diff(out) > -1e-3).all()


def test_what_surroundings_are_worth_is_found():
    rng = np.random.default_rng(5)
    around = np.exp(rng.uniform(math.log(1e-3), math.log(30), 60_000))
    rate = np.full(around.shape, 0.01)
    worth = np.where(around < 0.1, 0.1, 1.2)
    values = fit_surroundings(
        *(torch.from_numpy(array) for array in (np.log(around), rate, rate * worth)), knots=AROUND_KNOTS
    ).numpy()
    assert len(values) == len(AROUND_KNOTS)
    fitted = rate * np.exp(np.interp(np.log(around), AROUND_KNOTS, values))
    for part in (around < 0.03, around > 1):
        assert fitted[part].sum() == pytest.approx((rate * worth)[part].sum(), rel=0.35)
    assert fitted.sum() == pytest.approx((rate * worth).sum(), rel=0.1)


def test_scores_become_probabilities_at_the_low_end_too():
    rng = np.random.default_rng(2)
    logits = np.concatenate([np.full(5000, -2.5), np.full(500, 0.0), np.full(500, 2.0)])
    truth = np.concatenate([np.full(5000, 0.004), np.full(500, 0.3), np.full(500, 0.97)])
    right = rng.uniform(size=len(truth)) < truth
    curve = fit_probabilities(torch.from_numpy(logits), torch.from_numpy(right), SCORE_KNOTS)
    fitted = torch.sigmoid(bent(torch.from_numpy(logits)[None], curve[None], SCORE_KNOTS))[0].numpy()
    for logit in (-2.5, 0.0, 2.0):
        part = logits == logit
        assert fitted[part].sum() == pytest.approx(right[part].sum(), rel=0.25, abs=3), logit


def test_the_threshold_is_half_of_the_best_expected_f1():
    rng = np.random.default_rng(3)
    score = rng.beta(0.3, 0.6, 4000)
    right = rng.uniform(size=len(score)) < score
    n, none = len(score), np.zeros(0, np.int64)
    matches = Matches(
        score=score,
        label=np.zeros(n, np.int64),
        truth=np.where(right, np.cumsum(right) - 1, -1),
        absorbed=np.zeros(n, np.bool_),
        overlap=np.zeros(n),
        offset_px=np.zeros(n),
        turn_deg=np.zeros(n),
        truth_label=np.zeros(right.sum(), np.int64),
        truth_ignored=np.zeros(right.sum(), np.bool_),
        found_by=none,
    )
    threshold = best_threshold([matches])
    f1 = {t: 2 * (right & (score >= t)).sum() / ((score >= t).sum() + right.sum()) for t in np.linspace(0.05, 0.9, 18)}
    assert (
        2 * (right & (score >= threshold)).sum() / ((score >= threshold).sum() + right.sum()) > max(f1.values()) - 0.01
    )
    assert threshold == pytest.approx(max(f1.values()) / 2, abs=0.03)


@pytest.mark.slow
def test_existing_weights_are_calibrated_on_other_places(tmp_path):
    for seed, name in enumerate("abc"):
        write_scene(tmp_path, name, seed=seed, oriented=True)
    config = config_for(tmp_path, oriented=True)
    trained = train(tmp_path / "bars.yaml", output=tmp_path / "run", steps=1, progress=False)
    model = load_weights(trained.weights)
    scenes = find_scenes(config.data, base=tmp_path)
    new = tmp_path / "new.safetensors"
    kept = {part: Graph(part.encode(), {}) for part in RUN_PARTS}
    model.net.graphs = dict(kept)
    same = calibrate_again(model, config, scenes, path=new, say=lambda _: None)
    assert (load_weights(new, at_once=False).stored.graphs, same["full"]["objects"]) == (kept, 14)
    both = config.model_copy(update={"model": config.model.model_copy(update={"views": 2})})
    scores = calibrate_again(model, both, scenes, path=new, say=lambda _: None)
    again = load_weights(new)
    header = again.header
    assert (again.net.graphs, again.net.config.views, model.header.model.views) == ({}, 2, 1), "of one view"
    assert header.scores == scores
    assert header.training["steps"] == 1
    assert header.training["calibrated"]["places"] == ["b"]
    learnt = model.header.training["places"]
    swapped = config.model_copy(update={"data": config.data.model_copy(update={"calibration": tuple(learnt[:1])})})
    with pytest.raises(ConfigError, match=f"trained on {learnt[0]}"):
        calibrate_again(model, swapped, find_scenes(swapped.data, base=tmp_path), path=new, say=lambda _: None)
    other = config.model_copy(update={"model": config.model.model_copy(update={"neck": 24})})
    with pytest.raises(ConfigError, match="neck"):
        calibrate_again(model, other, scenes, path=new, say=lambda _: None)
