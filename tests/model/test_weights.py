"""Weights: a round trip keeps outputs, and everything unsafe, damaged or foreign is refused by name."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from geopdn.errors import CheckpointError
from geopdn.model.patchdrivenet import PatchDriveNet, rgb_config
from geopdn.model.weights import WeightsHeader, find_weights, load_weights, read_header, save_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(3)
    config = rgb_config().model_copy(update={"neck": 16, "grid": 16, "dim": 32})
    save_weights(PatchDriveNet(config=config), WeightsHeader(name="tiny", model=config, min_score=0.4), path)
    return path


def test_a_round_trip_keeps_header_and_outputs(weights, tmp_path):
    model = load_weights(weights)
    assert model.header.name == "tiny"
    assert model.header.min_score == 0.4
    again = tmp_path / "again.safetensors"
    save_weights(model.net, model.header, again)
    assert again.read_bytes() == weights.read_bytes()
    x = torch.rand(1, 3, 96, 96)
    assert torch.equal(model.net.inspect(x, None)[1].logits, load_weights(again).net.inspect(x, None)[1].logits)


def test_weights_from_before_surroundings_load_and_correct_nothing(weights, tmp_path):
    with safe_open(weights, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(weights)
    assert tensors.pop("saliency_head.surroundings").shape == (6,)
    save_file(tensors, tmp_path / "old.safetensors", metadata=metadata)
    assert not load_weights(tmp_path / "old.safetensors").net.saliency_head.surroundings.any()


def refused(path, match):
    with pytest.raises(CheckpointError, match=match):
        load_weights(path)


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.system, (f"touch {self.marker}",))


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_pickle_is_refused_and_never_run(ending, tmp_path):
    path, marker = tmp_path / f"evil{ending}", tmp_path / "marker"
    path.write_bytes(pickle.dumps(Payload(marker)))
    refused(path, "pickle")
    torch.save({"a": torch.zeros(2)}, path)
    refused(path, "pickle")
    assert not marker.exists()


def test_damaged_files_are_refused(weights, tmp_path):
    content = weights.read_bytes()
    path = tmp_path / "x.safetensors"
    for part in (b"", content[:5], content[:200], b"\xff" * 64, content[:-1000]):
        path.write_bytes(part)
        refused(path, "safetensors|damaged")


def test_foreign_and_misshapen_weights_are_refused(weights, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    refused(path, "not of geopdn")
    tensors = load_file(weights)
    metadata = {"geopdn": read_header(weights).to_json()}
    key = next(iter(tensors))
    save_file({k: v for k, v in tensors.items() if k != key}, path, metadata)
    refused(path, key.replace(".", r"\."))
    broken = dict(tensors)
    broken[key] = torch.full_like(tensors[key].float(), float("nan"))
    save_file(broken, path, metadata)
    refused(path, "NaN")


def test_names_are_found_or_explained(tmp_path):
    with pytest.raises(CheckpointError, match="geopdn models"):
        find_weights("no-such-model")
    checkpoint = tmp_path / "last.ckpt"
    checkpoint.write_bytes(b"x")
    with pytest.raises(CheckpointError, match="checkpoint"):
        find_weights(str(checkpoint))
