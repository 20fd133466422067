"""Labels are looked at before training starts: errors stop it with nothing written, warnings are said."""

from __future__ import annotations

import geopandas
import pytest
from test_samples import config_for, write_scene

from geopdn.config_file import load_train_config
from geopdn.errors import LabelError
from geopdn.train.fit import check_labels, train
from geopdn.train.places import find_scenes


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate("abc"):
        write_scene(tmp_path, name, seed=seed, oriented=True)
    config_for(tmp_path, oriented=True)
    return tmp_path


def checked(folder):
    config, said = load_train_config(folder / "bars.yaml"), []
    check_labels(config, find_scenes(config.data, base=folder), say=said.append)
    return said


def rewrite(path, change):
    table = geopandas.read_file(path, layer="labels")
    path.unlink()
    change(table).to_file(path, layer="labels")


def test_warnings_and_advice_are_said(folder):
    rewrite(folder / "a.gpkg", lambda table: table.iloc[[*range(len(table)), 0, 1]])
    said = checked(folder)
    assert any("(IoU over 0.5), left out: 2, in a.tif" in line for line in said)
    assert any("class 'bar' has 14 objects in the training scenes" in line for line in said)
    assert any("share 100% of their ground" in line for line in said)  # the three lie in one place
    assert said[-1].startswith("objects are mostly 40 to 40 px long at 0.5 m: windows at 1/2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.set_crs(32633, allow_override=True), "a.gpkg: none of its 14 labels touches"),
        (lambda table: table.set_geometry(table.geometry.boundary), "a.gpkg: 14 features .* that are lines"),
        (lambda table: table.set_geometry(table.geometry.centroid), "a.gpkg: 14 features .* that are points"),
        (lambda table: table.assign(label="rod"), r"classes \['rod'\] are not among \['bar'\]"),
        (lambda table: table.iloc[:0], "none of the 1 training scene shows a labelled object"),
    ],
)
@pytest.mark.filterwarnings("ignore:Geometry is in a geographic CRS")
def test_errors_stop_before_anything_is_written(folder, change, message):
    rewrite(folder / "a.gpkg", change)
    with pytest.raises(LabelError, match=message):
        train(folder / "bars.yaml", output=folder / "run", progress=False)
    assert not (folder / "run").exists()
