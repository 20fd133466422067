"""The controller in arrays says what the one in torch says, and what it says is bounded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopdn.config import ModelConfig
from geopdn.errors import CheckpointError
from geopdn.model.advice import DECADES, LIKENESS_LIMIT, SCALE_LIMITS, SLOPE_LIMIT, Advice, Controller, Told, strength
from geopdn.model.controller import likeness, log_factors
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.torch_network import TorchNetwork
from geopdn.model.weights import arrays_of

CONFIG = ModelConfig(
    classes=("a",),
    bands=("1",),
    pixel_size_m=1.0,
    radiometry={"kind": "fixed", "low": [0], "high": [1]},
    grid=16,
    dim=32,
    hidden=24,
    controller=True,
)


def network(std: float = 1.0) -> PatchDriveNet:
    torch.manual_seed(0)
    net = PatchDriveNet(config=CONFIG).eval()
    torch.nn.init.normal_(net.patch_drive_controller.out.weight, std=std)
    return net


def told(n: int, seed: int) -> Told:
    rng = np.random.default_rng(seed)
    return Told(
        pooled=rng.normal(size=(n, 32)).astype(np.float32),
        context=rng.normal(size=(n, 16)).astype(np.float32),
        found=rng.integers(0, 5, n).astype(np.float32),
        expected=rng.random(n).astype(np.float32) * 4,
        extent=np.full(n, 8, np.float32),
        seen_share=0.1,
        n_found=7,
        left=3.5,
        n_cells=10_000,
    )


def test_arrays_say_what_torch_says_round_after_round():
    net = network()
    controller, module = Controller(arrays_of(net), CONFIG), net.patch_drive_controller
    grid = np.random.default_rng(5).normal(size=(16, 6, 9)).astype(np.float16)
    rate = np.random.default_rng(6).gamma(0.05, 1.0, (6, 9)).astype(np.float32)
    state, hidden = None, None
    for seed, n in ((1, 3), (2, 1), (3, 5)):
        brought = told(n, seed)
        advice, state = controller.advise(brought, state)
        with torch.no_grad():
            tensors = (torch.from_numpy(v)[None] for v in (brought.pooled, brought.context, brought.statistics()))
            theirs, hidden = module(*tensors, hidden)
            like = likeness(torch.from_numpy(grid)[None], theirs)[0]
            factors = log_factors(like, theirs, torch.from_numpy(rate))
        np.testing.assert_allclose(advice.likeness(grid), like, atol=1e-4)
        np.testing.assert_allclose(advice.log_factors(advice.likeness(grid), rate), factors, atol=1e-4)


def test_one_that_has_not_learnt_changes_nothing():
    controller = Controller(arrays_of(PatchDriveNet(config=CONFIG)), CONFIG)
    advice, _ = controller.advise(told(4, 1), None)
    factors = advice.log_factors(advice.likeness(np.ones((16, 3, 3), np.float16)), np.full((3, 3), 0.2))
    assert not factors.any()


def test_the_most_that_it_may_say_is_bounded():
    controller = Controller(arrays_of(network(std=100.0)), CONFIG)
    advice, _ = controller.advise(told(4, 1), None)
    like = advice.likeness(np.random.default_rng(0).normal(size=(16, 300, 400)).astype(np.float16) * 50)
    assert np.abs(like).max() == LIKENESS_LIMIT
    assert SCALE_LIMITS[0] <= advice.log_scale <= SCALE_LIMITS[1]
    assert abs(advice.slope) <= SLOPE_LIMIT
    np.testing.assert_allclose(strength(np.array([0.0, 1e-30, 0.01, 0.1, 1e9])), [DECADES[0], DECADES[0], 0, 1, 2])


def test_a_search_lets_it_lower_faint_rates_alone():
    rate = np.array([[1e-6, 0.01, 10**-1.5, 0.1, 3.0]])
    query, like = np.zeros(16, np.float32), np.zeros(rate.shape, np.float32)
    np.testing.assert_allclose(Advice(query, -1.0, 0.0).heeded(like, rate), [[-1, -1, -0.5, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(Advice(query, 0.5, 0.0).heeded(like, rate), np.full(rate.shape, 0.5))


def test_its_numbers_are_finite_where_nothing_is_found_or_expected():
    nothing = told(2, 1)
    zero = np.zeros(2, np.float32)
    empty = Told(nothing.pooled, nothing.context, zero, zero, nothing.extent, 0.0, 0, 0.0, 0)
    assert np.isfinite(empty.statistics()).all()


@pytest.mark.parametrize("change", ["missing", "misshapen"])
def test_weights_that_do_not_fit_are_refused(change):
    arrays = arrays_of(network())
    name = "patch_drive_controller.lstm.weight_hh_l0"
    if change == "missing":
        del arrays[name]
    else:
        arrays[name] = arrays[name][:-1]
    with pytest.raises(CheckpointError, match="weight_hh_l0"):
        Controller(arrays, CONFIG)


def test_a_network_has_one_where_its_weights_have_learnt():
    assert TorchNetwork(network()).controller is not None
    plain = PatchDriveNet(config=CONFIG.model_copy(update={"controller": False}))
    assert TorchNetwork(plain).controller is None
