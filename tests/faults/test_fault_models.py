"""Faults 62 to 71: weights that are something else, configurations that say something else."""

from __future__ import annotations

import json
import os
import pickle
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from geopdn.config_file import parse_yaml, read_train_config
from geopdn.errors import BandError, CheckpointError, ConfigError
from geopdn.model.weights import read_header

WRONG = [
    ("training: {batch: 4, batch: 5}", "given twice"),
    ("name: no", "means true or false to YAML"),
    ("name: On", "means true or false to YAML"),
    ("training: {batch: 010}", "010 near line 1 is not a decimal number"),
    ("training: {batch: 0x10}", "0x10 near line 1 is not a decimal number"),
    ("training: {seed: 1:30}", "1:30 near line 1 is not a decimal number"),
    ("training: {batch: true}", r"training\.batch: .*not true or false"),
    ("training: {learning_rate: true}", r"training\.learning_rate: .*not true or false"),
    ("training: {pretrained: 2}", r"training\.pretrained"),
    ("training: {batch: 4.5}", r"training\.batch"),
    ("training: {batch: four}", r"training\.batch"),
    ("training: {learning_rate: .inf}", r"training\.learning_rate"),
    ("training: {learning_rate: .nan}", r"training\.learning_rate"),
    ("training: {ema: 1.5}", r"training\.ema"),
    ("training: {btach: 4}", r"training\.btach: unknown key, did you mean 'batch'\?"),
    ("trainig: {batch: 4}", r"trainig: unknown key, did you mean 'training'\?"),
    ("- a\n- b", "expected a mapping of sections at the top, got list"),
    ("7", "expected a mapping"),
    ("", "expected a mapping"),
    ("seed: !!python/object/apply:os.system ['touch marker']", "not valid YAML"),
    ("seed: !!python/name:os.system ''", "not valid YAML"),
    ("a: &a [1,1]\nb: [*a,*a]", "aliases"),
    ("? [a]\n: 1", "not valid YAML"),
    ("a: 2026-13-45", "not valid YAML"),
    ("[" * 5000, "not valid YAML"),
    ("a: \x00", "not valid YAML"),
]


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("ending", [".pt", ".safetensors", ".pth", ".ckpt"])
def test_62_67_pickles_are_refused_by_content_and_never_run(fails, scene, tmp_path, ending):
    evil = Payload(tmp_path / "marker")
    path = tmp_path / f"evil{ending}"
    for number in range(2):
        if number:
            torch.save({"state_dict": {}, "_instantiator": evil}, path)
        else:
            path.write_bytes(pickle.dumps(evil))
        line = fails(CheckpointError, "detect", scene, "--model", path)
        assert "pickle" in line
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("kind", ["empty", "cut header", "cut tensors", "1 TiB header", "no JSON", "list", "text"])
def test_63_damaged_weights(fails, weights, scene, tmp_path, kind):
    content = weights.read_bytes()
    broken = {
        "empty": b"",
        "cut header": content[:200],
        "cut tensors": content[:-1000],
        "1 TiB header": struct.pack("<Q", 1 << 40) + content[8:],
        "no JSON": struct.pack("<Q", 8) + b"\xff" * 100,
        "list": struct.pack("<Q", 2) + b"[]" + b"\0" * 8,
        "text": b"these are no weights",
    }
    (tmp_path / "x.safetensors").write_bytes(broken[kind])
    line = fails(CheckpointError, "detect", scene, "--model", tmp_path / "x.safetensors")
    assert "get it again" in line or "not of geopdn" in line


def changed(weights, path, tensors=None, **facts):
    """The weights with other tensors and with other facts in their header."""
    record = json.loads(read_header(weights).to_json())
    for key, value in facts.items():
        place = record["model"] if key in record["model"] else record
        place[key] = value
    save_file({**load_file(weights), **(tensors or {})}, path, {"geopdn": json.dumps(record)})
    return path


def test_64_tensors_that_do_not_fit_are_named(fails, weights, scene, tmp_path):
    tensors = load_file(weights)
    first, *_ = sorted(tensors)
    for name, other in {
        "extra": {f"extra.{n}": torch.zeros(1) for n in range(9)},
        "shape": {first: torch.zeros(7, 7)},
    }.items():
        path = changed(weights, tmp_path / f"{name}.safetensors", other)
        line = fails(CheckpointError, "detect", scene, "--model", path)
        assert "missing, extra or misshapen: " in line
        assert line.rpartition(": ")[2].count(",") <= 4
    missing = {key: value for key, value in tensors.items() if key != first}
    save_file(missing, tmp_path / "less.safetensors", {"geopdn": read_header(weights).to_json()})
    assert first in fails(CheckpointError, "detect", scene, "--model", tmp_path / "less.safetensors")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_65_weights_that_are_no_numbers(fails, weights, scene, tmp_path, bad):
    tensors = load_file(weights)
    key = next(key for key in sorted(tensors) if tensors[key].is_floating_point() and tensors[key].ndim)
    value = tensors[key].clone()
    value.view(-1)[0] = bad
    path = changed(weights, tmp_path / "x.safetensors", {key: value})
    assert f"tensors with NaN or infinite values: {key}" in fails(CheckpointError, "detect", scene, "--model", path)


def test_66_weights_for_something_else(fails, weights, scene, tmp_path):
    path = tmp_path / "x.safetensors"
    detect = ("detect", scene, "--model", path)
    changed(weights, path, format=99)
    assert "weights of format 99, this geopdn reads format" in fails(CheckpointError, *detect)
    changed(weights, path, bands=["B04", "B03", "B8A"])
    assert "B8A" in fails(BandError, *detect)
    changed(weights, path, classes=["target", "other"])
    assert "missing, extra or misshapen" in fails(CheckpointError, *detect)
    changed(weights, path, classes=[])
    assert "header is incomplete" in fails(CheckpointError, *detect)
    changed(weights, path, min_score=float("nan"))
    assert "min_score" in fails(CheckpointError, *detect)
    changed(weights, path, heads=3)
    assert "heads" in fails(CheckpointError, *detect)
    changed(weights, path, highres_backbone="timm:no_such_network")
    assert "no_such_network" in fails(CheckpointError, *detect)
    for name in ("timm:hf-hub:some/one", "timm:local-dir:/etc", "torchgeo:../x", "other:x"):
        changed(weights, path, global_backbone=name)
        assert name in fails(CheckpointError, *detect)
    changed(weights, path, radiometry={"kind": "fixed", "low": [5], "high": [1]})
    assert "low < high" in fails(CheckpointError, *detect)


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_68_69_70_configurations_say_what_they_mean_or_are_refused(fails, tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as caught:
        read_train_config(text, name="c.yaml")
    assert len(str(caught.value)) < 2000
    (tmp_path / "c.yaml").write_text(text)
    assert "c.yaml" in fails(ConfigError, "train", tmp_path / "c.yaml", "-o", tmp_path / "out")
    assert not (tmp_path / "marker").exists()


def test_69_numbers_keep_their_value():
    found = parse_yaml("a: 1e-3\nb: 12\nc: -7\nd: 1_000\ne: 'no'\nf: 0\ng: true\nh: 2.5\ni: 0.0", name="x")
    assert found == {"a": "1e-3", "b": 12, "c": -7, "d": 1000, "e": "no", "f": 0, "g": True, "h": 2.5, "i": 0.0}


def test_70_a_huge_file_is_not_read(fails, tmp_path):
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(1 << 30)
    assert "over 1000000 bytes" in fails(ConfigError, "train", tmp_path / "huge.yaml", "-o", tmp_path / "out")


@pytest.mark.parametrize(("budget", "found", "read"), [("0", 0, 0), ("1", 5, 490_000), ("9999w", 5, None)])
def test_71_budgets_at_their_ends(cli, scene, exact, budget, found, read):
    done = cli("detect", scene, "--model", exact, "--budget", budget, "--json", "-q")
    assert done.code == 0, done.err
    assert done.record["detections"] == found
    assert read is None or done.record["pixels_read"] == read


@pytest.mark.parametrize("budget", ["nan", "inf", "-1", "1.0001", "1e999", "", "0x1", "-3w", "nans"])
def test_71_budgets_that_are_none(fails, scene, weights, budget):
    assert "--budget" in fails(ConfigError, "detect", scene, "--model", weights, f"--budget={budget}")
