"""The controller learns from searches what the unseen holds, and nothing else changes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from test_overview_training import bars_of_a, network, rewritten

from geopdn.errors import ConfigError
from geopdn.model.advice import N_STATISTICS
from geopdn.model.controller import DriveAdvice
from geopdn.model.weights import LoadedModel, WeightsHeader, is_controller, load_weights
from geopdn.train.drive_module import DriveModule, unseen_loss
from geopdn.train.episodes import SCORED, Step, Unseen, _thinned, episodes_of
from geopdn.train.fit import train

G = 64


def advice(log_scale=0.0, slope=0.0, query=None) -> DriveAdvice:
    return DriveAdvice(
        query=torch.zeros(1, G) if query is None else query,
        log_scale=torch.tensor([log_scale]),
        slope=torch.tensor([slope]),
    )


def ground(*, rate=0.02, share=0.25, n=4000, seed=0) -> Unseen:
    """Cells of which a share of the expected objects is there, all where the grid's first channel is 1."""
    rng = np.random.default_rng(seed)
    row, col = rng.integers(0, 8, n), rng.integers(0, 8, n)
    grid = torch.zeros(G, 8, 8)
    grid[0, :, :4] = 1
    count = rng.poisson(rate * share * 2, n) * (col < 4)
    return Unseen(
        grid=grid.half(),
        row=torch.from_numpy(row.astype(np.int16)),
        col=torch.from_numpy(col.astype(np.int16)),
        log_rate=torch.full((n,), math.log(rate)).half(),
        count=torch.from_numpy(count.astype(np.float32)).half(),
    )


def test_the_loss_is_least_where_the_rates_are_true():
    unseen = ground()
    plain = unseen_loss(unseen, None)
    assert torch.isclose(unseen_loss(unseen, advice()), plain)
    true = math.log(float(unseen.count.float().sum() / unseen.log_rate.float().exp().sum()))
    losses = [float(unseen_loss(unseen, advice(true + away))) for away in (-0.5, 0.0, 0.5)]
    assert losses[1] < min(losses[0], losses[2], float(plain))
    query = torch.zeros(1, G)
    query[0, 0] = 2.0 * G**0.5
    assert unseen_loss(unseen, advice(true - 1, query=query)) < losses[1]  # it says where they are, too


def episode(seed: int, unseen: Unseen) -> tuple[Step, ...]:
    rng = torch.Generator().manual_seed(seed)
    return tuple(
        Step(
            torch.rand(2, 128, generator=rng),
            torch.rand(2, G, generator=rng),
            torch.rand(2, N_STATISTICS, generator=rng),
            unseen if last else None,
        )
        for last in (False, True)
    )


def test_steps_teach_the_controller_alone(tmp_path):
    config, _ = bars_of_a(tmp_path)
    net = network("dense-global")
    module = DriveModule(config, net)
    module.log = module.log_dict = lambda *_, **__: None
    before = {key: value.clone() for key, value in net.state_dict().items()}
    optimiser = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=3e-3)
    searches = [episode(i, ground(seed=i)) for i in range(4)]
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = module.training_step(searches, 0)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 10
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert all(is_controller(key) for key in changed)


def test_searches_of_a_scene_become_episodes(tmp_path):
    config, scenes = bars_of_a(tmp_path)
    net = network("dense-global")
    net.config = net.config.model_copy(update={"kinds": config.model.kinds})
    net.patch_priorities.theta.data.fill_(2.0)
    model = LoadedModel(net, WeightsHeader(name="bars", model=net.config), "test")
    again = [episodes_of(scenes[0], config, model) for _ in range(2)]
    for first, second in zip(*again, strict=True):
        assert len(first) == len(second)
        assert first[-1].unseen is not None
        assert all(torch.equal(a.statistics, b.statistics) for a, b in zip(first, second, strict=True))
        unseen = first[-1].unseen
        assert unseen.row.shape == unseen.log_rate.shape == unseen.count.shape
        assert torch.isfinite(unseen.log_rate).all()


def test_the_loss_looks_at_some_rounds_of_a_long_search():
    steps = [replace(step) for _ in range(15) for step in episode(0, ground(n=10))[1:]]
    thinned = list(_thinned(steps))
    assert len(thinned) == len(steps)
    assert sum(step.unseen is not None for step in thinned) == SCORED
    assert thinned[-1].unseen is not None


@pytest.mark.slow
@pytest.mark.graph
def test_only_the_controller_is_new_in_the_file(tmp_path):
    bars_of_a(tmp_path)
    first = train(tmp_path / "bars.yaml", output=tmp_path / "first", steps=1, progress=False).weights
    assert not any(is_controller(key) for key in load_file(first))
    rewritten(tmp_path, training={"only": "drive"})
    with pytest.raises(ConfigError, match=r"model\.controller is not set"):
        train(tmp_path / "bars.yaml", output=tmp_path / "none", steps=1, start=str(first), progress=False)
    rewritten(tmp_path, model={"controller": True}, training={"only": "drive"})
    output = tmp_path / "second"
    second = train(tmp_path / "bars.yaml", output=output, steps=2, start=str(first), progress=False).weights
    before, after = load_file(first), load_file(second)
    assert {key for key in after if not is_controller(key)} == set(before)
    assert all(np.array_equal(before[key], after[key]) for key in before)
    header = load_weights(second).header
    assert header.model.controller
    assert header.training["drive"]["steps"] == 2
    assert header.training["steps"] == 1
