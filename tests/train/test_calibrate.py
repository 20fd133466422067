"""Calibration of expected counts: what the curve says is what is there, tail and peaks apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_samples import config_for, write_scene

from geopdn.errors import ConfigError
from geopdn.model.saliency import KNOTS, calibrated
from geopdn.model.weights import load_weights
from geopdn.train.calibrate import fit_curve
from geopdn.train.finish import calibrate_again
from geopdn.train.fit import train
from geopdn.train.places import find_scenes


def test_no_change_leaves_log_rates_as_they_are():
    logs = torch.linspace(-20, 6, 50)[None]
    torch.testing.assert_close(calibrated(logs, torch.zeros(1, len(KNOTS))), logs)


def test_the_curve_is_linear_between_knots_and_constant_beyond():
    values = torch.arange(float(len(KNOTS)))[None]
    middle = (KNOTS[2] + KNOTS[3]) / 2
    logs = torch.tensor([[KNOTS[0] - 3, KNOTS[0], KNOTS[2], middle, KNOTS[-1] + 5]], dtype=torch.float64)
    added = (calibrated(logs, values.double()) - logs)[0]
    torch.testing.assert_close(added, torch.tensor([0, 0, 2, 2.5, len(KNOTS) - 1.0], dtype=torch.float64))


def test_a_tail_that_is_too_high_and_peaks_that_are_too_low_are_both_mended():
    claimed = np.concatenate([np.full(200_000, 1e-4), np.full(2_000, 1e-2), np.full(300, 0.3)])
    truth = np.concatenate([np.full(200_000, 2e-5), np.full(2_000, 1e-2), np.full(300, 0.6)])
    curve = fit_curve(torch.from_numpy(np.log(claimed)), torch.from_numpy(truth))
    fitted = calibrated(torch.from_numpy(np.log(claimed))[None], curve[None].double()).exp()[0].numpy()
    for rate in np.unique(claimed):
        part = claimed == rate
        assert fitted[part].sum() == pytest.approx(truth[part].sum(), rel=0.35), rate
    assert math.isclose(fitted.sum(), truth.sum(), rel_tol=0.1)


def test_the_curve_never_falls():
    rng = np.random.default_rng(1)
    claimed = np.exp(rng.uniform(KNOTS[0], 0, 4000))
    curve = fit_curve(torch.from_numpy(np.log(claimed)), torch.from_numpy(rng.poisson(0.02, 4000)))
    steps = np.linspace(KNOTS[0], KNOTS[-1], 100)
    out = calibrated(torch.from_numpy(steps)[None], curve[None].double())[0].numpy()
    assert (np.diff(out) > -1e-3).all()


@pytest.mark.slow
def test_existing_weights_are_calibrated_on_other_places(tmp_path):
    for seed, name in enumerate("abc"):
        write_scene(tmp_path, name, seed=seed, oriented=True)
    config = config_for(tmp_path, oriented=True)
    trained = train(tmp_path / "bars.yaml", output=tmp_path / "run", steps=1, progress=False)
    model = load_weights(trained.weights)
    scenes = find_scenes(config.data, base=tmp_path)
    new = tmp_path / "new.safetensors"
    scores = calibrate_again(model, config, scenes, path=new, say=lambda _: None)
    header = load_weights(new).header
    assert header.scores == scores
    assert header.training["steps"] == 1
    assert header.training["calibrated"]["places"] == ["b"]
    other = config.model_copy(update={"model": config.model.model_copy(update={"neck": 24})})
    with pytest.raises(ConfigError, match="neck"):
        calibrate_again(model, other, scenes, path=new, say=lambda _: None)
