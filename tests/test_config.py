"""Configurations: what ships is valid, what is wrong is named, nothing in a file can run code."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from geopdn.config import WindowKind
from geopdn.config_file import load_train_config, parse_yaml
from geopdn.errors import ConfigError
from geopdn.model.weights import find_weights, read_header
from geopdn.train.finish import same_weights

SHIPPED = sorted(Path(str(resources.files("geopdn.configs"))).glob("*.yaml"))


def test_every_shipped_configuration_is_valid():
    assert {path.stem for path in SHIPPED} >= {"aircraft-50cm", "vessels-sentinel2"}
    for path in SHIPPED:
        config = load_train_config(path)
        assert config.name == path.stem.removesuffix(f"-{config.training.only}")  # added to weights of that name


@pytest.mark.parametrize(
    "stem", ["aircraft-50cm-overview", "aircraft-50cm-dates", "aircraft-50cm-drive", "vessels-sentinel2"]
)
def test_shipped_weights_go_on_by_a_shipped_configuration(stem):
    config = load_train_config(next(path for path in SHIPPED if path.stem == stem))
    assert same_weights(config.model) == same_weights(read_header(find_weights(config.name)).model)


def changed(tmp_path, old, new):
    path = tmp_path / "c.yaml"
    text = next(path for path in SHIPPED if path.stem == "aircraft-50cm").read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("pixel_size_m:", "pixle_size_m:", r"pixle_size_m.*pixel_size_m"),
        ("batch: 4", "batch: 0", r"batch.*greater than or equal to 1.*0"),
        ("batch: 4", "batch: four", r"training\.batch"),
        ("batch: 4", "batch: 4\n  batch: 5", "given twice"),
        ("seed: 1", "seed: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("seed: 1", "seed: &a 1", ""),
        ("learning_rate: 0.002", "learning_rate: .nan", "learning_rate"),
        ("halo: 64", "halo: 250", "no core"),
        ("extent: 512", "extent: 500", "multiples of 64 px, got 500"),
        ("[48, 96]", "[96, 48]", "must increase"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, match):
    path = changed(tmp_path, old, new)
    if not match:
        load_train_config(path)
        return
    with pytest.raises(ConfigError, match=match):
        load_train_config(path)


@pytest.mark.parametrize("text", ["- a\n- b", "7", "", "a: *x"])
def test_only_mappings_without_aliases_are_taken(text):
    with pytest.raises(ConfigError):
        parse_yaml(text, name="x")


def test_alias_bombs_and_huge_files_are_refused(tmp_path):
    bomb = "a: &a [1,1,1]\nb: &b [*a,*a,*a]\n"
    with pytest.raises(ConfigError, match="alias"):
        parse_yaml(bomb, name="x")
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"# " + b"x" * 2_000_000)
    with pytest.raises(ConfigError, match="bytes"):
        load_train_config(path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_train_config(tmp_path / "missing.yaml")


def test_window_kinds_state_core_and_tensor():
    kind = WindowKind(extent=1024, level=1, halo=96)
    assert (kind.name, kind.core, kind.tensor) == ("1024", 832, 512)
