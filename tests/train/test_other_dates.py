"""Training on other dates of the same ground: what is shown, and that nothing else is changed by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from test_samples import config_for, write_scene

from geopdn.config import TrainConfig
from geopdn.errors import ConfigError
from geopdn.model.weights import is_learnt, load_weights
from geopdn.scene.overview import Overview
from geopdn.train.dates import SHOWN, moved
from geopdn.train.fit import train
from geopdn.train.places import find_scenes
from geopdn.train.samples import collate
from geopdn.train.stream import TrainingScenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two dates of each of three places, and weights that know none of them."""
    folder = tmp_path_factory.mktemp("dates")
    for seed, name in enumerate(("a_1", "a_2", "b_1", "b_2", "c_1", "c_2")):
        write_scene(folder, name, seed=seed, oriented=True)
    return folder


def configured(folder, *, dates, name="bars", **training):
    config_for(folder, oriented=True)
    record = yaml.safe_load((folder / "bars.yaml").read_text())
    record["model"]["dates"] = dates
    record["training"] |= training
    record["data"]["sources"][0]["place"] = "^([abc])_"
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(record))
    return path, TrainConfig.model_validate(record)


def stream_of(folder, *, dates):
    _, config = configured(folder, dates=dates, name="stream")
    scenes = find_scenes(config.data, base=folder)
    return TrainingScenes([scene for scene in scenes if scene.split == "train"], config=config)


def test_samples_show_other_dates_and_are_the_same_without(folder):
    stream, plain = stream_of(folder, dates=True), stream_of(folder, dates=False)
    assert stream.n_dates == 2
    for index in range(4):
        sample, other = stream.sample(index), plain.sample(index)
        assert sample.earlier.shape == (SHOWN, 11, 64, 64)
        assert other.earlier.shape == (0, 11, 64, 64)
        assert sample.known[0].mean() > 0.8
        assert (sample.known[1:] == 0).all()  # there is one other date
        assert torch.equal(sample.windows, other.windows)
        assert torch.equal(sample.overview, other.overview)
        # the same ground turned the same way: the bars lie elsewhere, the frame of the scene does not
        assert not torch.allclose(sample.earlier[0], sample.overview)
    batch = collate([stream.sample(0), stream.sample(1)])
    assert batch.earlier.shape == (2, SHOWN, 11, 64, 64)


def test_an_overview_moves_by_whole_pixels_and_what_comes_in_is_not_valid():
    plane = np.arange(12, dtype=np.float32).reshape(1, 3, 4) + 1
    view = Overview(mean=plane, low=None, high=None, valid=np.ones((3, 4), np.float32))
    shifted = moved(view, rows=1, cols=-1)
    assert np.array_equal(shifted.mean[0, 1:, :-1], plane[0, :-1, 1:])
    assert shifted.valid[0].max() == 0
    assert shifted.valid[:, -1].max() == 0


@pytest.mark.slow
def test_only_dates_are_learnt_and_the_rest_of_the_weights_stays_bit_for_bit(folder, tmp_path):
    path, _ = configured(folder, dates=False)
    first = train(path, output=tmp_path / "first", steps=1, progress=False).weights
    path, _ = configured(folder, dates=True, only="dates", learning_rate=0.05)
    lines = []
    second = train(
        path, output=tmp_path / "second", steps=2, start=str(first), progress=False, say=lines.append
    ).weights
    before, after = load_weights(first), load_weights(second)
    assert after.header.model.dates
    assert not before.header.model.dates
    theirs = after.net.state_dict()
    for key, value in before.net.state_dict().items():
        if is_learnt(key, before.header.model):
            assert torch.equal(value, theirs[key]), key
    assert after.net.temporal.cells.out.weight.abs().max() > 0
    assert after.net.temporal.calibration.abs().max() > 0
    assert after.header.min_score == before.header.min_score
    assert after.header.training["dates"]["command"] == "geopdn train bars.yaml --from bars.safetensors"
    assert after.header.scores["full"] == before.header.scores["full"]
    assert set(after.header.scores["dates"]) >= {"0.2", "0.2, dates", "default", "default, dates"}
    assert any("2 views of the same ground on other dates" in line for line in lines)


def test_what_would_learn_nothing_is_refused(folder, tmp_path):
    path, _ = configured(folder, dates=True, name="only", only="dates")
    with pytest.raises(ConfigError, match="--from"):
        train(path, output=tmp_path / "run", progress=False)
    with pytest.raises(ValueError, match=r"model.dates is not set"):
        configured(folder, dates=False, name="none", only="dates")


@pytest.mark.slow
def test_scenes_without_other_dates_are_told(folder, tmp_path):
    path, config = configured(folder, dates=True, name="alone")
    record = yaml.safe_load(path.read_text())
    record["data"]["sources"][0]["place"] = "^(.+)$"
    record["data"] |= {"validation": ["c_1"], "calibration": ["b_1"]}
    path.write_text(yaml.safe_dump(record))
    with pytest.raises(ConfigError, match="no two training scenes of one place overlap"):
        train(path, output=tmp_path / "run", steps=1, progress=False)
    assert config.model.dates
