"""`train` from a configuration file to weights: a few real steps, calibration, scores, resume."""

from __future__ import annotations

import json

import pytest
from test_samples import config_for, write_scene

from geopdn.errors import ConfigError
from geopdn.model.network import network_of
from geopdn.model.weights import load_weights
from geopdn.train.fit import train


@pytest.mark.slow
@pytest.mark.graph
def test_training_runs_from_the_file_to_weights_and_resumes(tmp_path):
    for seed, name in enumerate("abc"):
        write_scene(tmp_path, name, seed=seed, oriented=True)
    config_for(tmp_path, oriented=True)
    output, lines = tmp_path / "run", []
    result = train(tmp_path / "bars.yaml", output=output, steps=2, progress=False, say=lines.append)
    assert result.curve.stat().st_size > 5000
    assert any("validation" in line for line in lines)
    with pytest.raises(ConfigError, match="resume"):
        train(tmp_path / "bars.yaml", output=output, progress=False)
    result = train(tmp_path / "bars.yaml", output=output, resume=True, progress=False)
    model = load_weights(result.weights)
    assert network_of(model).runtime == "onnxruntime"
    header = model.header
    assert header.training["steps"] == 4
    assert header.training["seed"] == 0
    assert header.scores["places"] == ["c"]
    assert header.scores["full"]["objects"] == 14
    assert json.loads(header.to_json())["model"]["classes"] == ["bar"]


@pytest.mark.slow
def test_all_places_are_trained_on_and_the_header_says_so(tmp_path):
    for seed, name in enumerate("abc"):
        write_scene(tmp_path, name, seed=seed, oriented=True)
    config_for(tmp_path, oriented=True)
    result = train(tmp_path / "bars.yaml", output=tmp_path / "run", steps=1, all_places=True, progress=False)
    header = load_weights(result.weights).header
    assert header.training["places"] == ["a", "c"]  # c is a validation place
    assert header.training["command"] == "geopdn train bars.yaml --all-places"
    assert (header.scores["split"], header.scores["places"]) == ("calibration", ["b"])


@pytest.mark.slow
def test_training_goes_on_from_weights_of_the_same_model_alone(tmp_path):
    for seed, name in enumerate("abc"):
        write_scene(tmp_path, name, seed=seed, oriented=True)
    config_for(tmp_path, oriented=True)
    first = train(tmp_path / "bars.yaml", output=tmp_path / "first", steps=1, progress=False).weights
    config_for(tmp_path, oriented=True, seed=5)
    start = str(first)
    second = train(tmp_path / "bars.yaml", output=tmp_path / "second", steps=1, start=start, progress=False).weights
    header = load_weights(second).header
    assert header.training["command"] == "geopdn train bars.yaml --from bars.safetensors"
    assert header.training["from"] == load_weights(first).header.training
    fresh = train(tmp_path / "bars.yaml", output=tmp_path / "third", steps=1, progress=False).weights
    told, gone_on, anew = (load_weights(path).net.head.box[0][0].weight for path in (first, second, fresh))
    assert (gone_on - told).abs().mean() < 0.2 * (anew - told).abs().mean()
    text = (tmp_path / "bars.yaml").read_text()
    (tmp_path / "other.yaml").write_text(text.replace("neck: 16", "neck: 24"))
    with pytest.raises(ConfigError, match="differs from that of the weights 'bars' in 'neck'"):
        train(tmp_path / "other.yaml", output=tmp_path / "fourth", start=start, progress=False)
    (tmp_path / "known.yaml").write_text(text.replace("calibration:\n  - b", "calibration:\n  - a"))
    with pytest.raises(ConfigError, match="trained on a"):
        train(tmp_path / "known.yaml", output=tmp_path / "fifth", start=start, progress=False)
