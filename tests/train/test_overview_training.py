"""A slim global stream learns what a whole one says, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from test_samples import config_for, write_scene

from geopdn.config import ModelConfig
from geopdn.config_file import load_train_config
from geopdn.errors import ConfigError
from geopdn.model.network import Planes, network_of
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.weights import is_overview, load_weights
from geopdn.train.fit import train
from geopdn.train.overview_module import OverviewModule
from geopdn.train.overview_samples import OverviewScenes, collate
from geopdn.train.places import find_scenes
from geopdn.train.pruning import fill_from

WHOLE, SLIM = "timm:tf_efficientnet_lite0", "efficientnet-lite0-slim"


def network(backbone: str, seed: int = 0) -> PatchDriveNet:
    torch.manual_seed(seed)
    config = ModelConfig(
        classes=("bar",),
        bands=("red", "green", "blue"),
        pixel_size_m=1.0,
        radiometry={"kind": "fixed", "low": [0], "high": [255]},
        global_backbone=backbone,
        neck=16,
    )
    return PatchDriveNet(config=config).eval()


def rewritten(folder, **changes):
    """The configuration of `config_for` with another model or training."""
    import yaml

    record = yaml.safe_load((folder / "bars.yaml").read_text())
    for section, values in changes.items():
        record[section].update(values)
    (folder / "bars.yaml").write_text(yaml.safe_dump(record))


def bars_of_a(folder):
    """The configuration of three scenes, and the one to train on."""
    for seed, name in enumerate("abc"):
        write_scene(folder, name, seed=seed, oriented=True)
    config_for(folder, oriented=True)
    config = load_train_config(folder / "bars.yaml")
    return config, [scene for scene in find_scenes(config.data, base=folder) if scene.split == "train"]


def test_a_stream_filled_from_one_as_wide_says_the_same():
    whole, other = network(WHOLE), network(WHOLE, seed=1)
    x = torch.rand(2, 11, 64, 96)
    fill_from(other.global_stream, whole.global_stream, x)
    for name in ("cells", "grid"):
        theirs, ours = (getattr(net.global_stream(x), name) for net in (whole, other))
        torch.testing.assert_close(ours, theirs)


def test_the_channels_that_say_most_are_kept():
    whole, slim = network(WHOLE), network(SLIM)
    block = whole.global_stream.backbone.network.blocks[3][1]
    n = slim.global_stream.backbone.network.blocks[3][1].conv_dw.out_channels
    loud = torch.randperm(block.conv_pwl.in_channels, generator=torch.Generator().manual_seed(3))[:n].sort().values
    quiet = torch.ones(block.conv_pwl.in_channels, dtype=torch.bool)
    quiet[loud] = False
    block.conv_pwl.weight.data[:, quiet] *= 1e-6
    block.bn2.bias.data.fill_(3.0)  # no channel is silent
    fill_from(slim.global_stream, whole.global_stream, torch.rand(2, 11, 64, 64))
    kept = slim.global_stream.backbone.network.blocks[3][1]
    torch.testing.assert_close(kept.conv_dw.weight, block.conv_dw.weight[loud])
    torch.testing.assert_close(kept.conv_pwl.weight, block.conv_pwl.weight[:, loud])
    torch.testing.assert_close(kept.bn3.bias, block.bn3.bias)


def test_only_efficientnet_can_be_made_slimmer():
    with pytest.raises(ConfigError, match="EfficientNet-Lite0"):
        fill_from(network(SLIM).global_stream, network("dense-global").global_stream, torch.rand(1, 11, 64, 64))


def test_a_slim_stream_has_half_of_the_weights_and_the_same_maps():
    whole, slim = (network(name).global_stream for name in (WHOLE, SLIM))
    n_whole, n_slim = (sum(p.numel() for p in stream.parameters()) for stream in (whole, slim))
    assert 0.4 < n_slim / n_whole < 0.6
    x = torch.rand(1, 11, 64, 96)
    assert slim(x).cells.shape == whole(x).cells.shape
    assert slim(x).grid.shape == whole(x).grid.shape


def test_samples_are_a_function_of_their_number_and_say_what_is_outside(tmp_path):
    config, scenes = bars_of_a(tmp_path)
    stream = OverviewScenes(scenes, config=config)
    first, again = stream.sample(7), OverviewScenes(scenes, config=config).sample(7)
    assert torch.equal(first, again)
    drawn = torch.stack([stream.sample(i) for i in range(40)])
    assert drawn.shape[1:] == (11, stream.side, stream.side)
    valid, known = drawn[:, -2], drawn[:, -1]
    assert (valid == 0).any()
    assert (drawn[:, :3] * (valid == 0)[:, None]).abs().max() == 0
    assert 0.1 < known[:, 0, 0].mean() < 0.8
    assert (drawn[:, 3:9].amax((1, 2, 3)) > 0).equal(known[:, 0, 0] > 0)


def test_steps_bring_the_slim_stream_nearer_to_the_whole_one(tmp_path):
    config, scenes = bars_of_a(tmp_path)
    stream = OverviewScenes(scenes, config=config)
    teacher = network(WHOLE)
    config = config.model_copy(update={"model": network(SLIM).config})
    batch = collate([stream.sample(i) for i in range(4)])
    module = OverviewModule(config, teacher, batch)
    module.log = module.log_dict = lambda *_, **__: None
    before = module.net.highres_stream.deep[0].weight.clone()
    optimiser = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=2e-3)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = module.training_step(batch, 0)
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.6 * losses[0]
    assert torch.equal(module.net.highres_stream.deep[0].weight, before)
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.slow
@pytest.mark.graph
def test_only_what_looks_at_overviews_is_new_in_the_file(tmp_path):
    bars_of_a(tmp_path)
    rewritten(tmp_path, model={"global_backbone": WHOLE})
    first = train(tmp_path / "bars.yaml", output=tmp_path / "first", steps=1, progress=False).weights
    rewritten(tmp_path, model={"global_backbone": SLIM}, training={"only": "overview"})
    with pytest.raises(ConfigError, match="--from"):
        train(tmp_path / "bars.yaml", output=tmp_path / "none", steps=1, progress=False)
    output = tmp_path / "second"
    second = train(tmp_path / "bars.yaml", output=output, steps=2, start=str(first), progress=False).weights
    before, after = load_file(first), load_file(second)
    same = {key for key in before if not is_overview(key) and not key.startswith("onnx.")}
    assert same == {key for key in after if not is_overview(key) and not key.startswith("onnx.")}
    assert all(np.array_equal(before[key], after[key]) for key in same)
    model = load_weights(second)
    header, earlier = model.header, load_weights(first).header
    assert header.model.global_backbone == SLIM
    assert header.model.kinds == earlier.model.kinds
    assert header.training["overview"]["steps"] == 2
    assert header.training["steps"] == earlier.training["steps"] == 1
    net = network_of(model)
    assert net.runtime == "onnxruntime"
    mean = np.random.default_rng(0).random((len(header.model.bands), 64, 64), np.float32)
    looked = net.look(Planes(mean, np.ones((64, 64), np.float32)))
    assert np.isfinite(looked.rate).all()
