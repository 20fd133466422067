"""`--previous` on the command line and in Python: written down in the result, refused where it cannot help."""

from __future__ import annotations

import json
import sqlite3

import pytest
import torch
from affine import Affine
from planted import UTM, tiny_config

import geopdn
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.weights import WeightsHeader, save_weights


@pytest.fixture
def dated(tmp_path):
    """Tiny weights that have learnt something from dates."""
    torch.manual_seed(0)
    config = tiny_config(dates=True)
    net = PatchDriveNet(config=config)
    torch.nn.init.normal_(net.temporal.cells.out.weight, std=2.0)
    path = tmp_path / "dated.safetensors"
    save_weights(net, WeightsHeader(name="dated", model=config), path)
    return path


@pytest.fixture
def dates(tmp_path, plant):
    """The same ground twice before, one of them on another grid, and ground elsewhere."""
    return [
        plant(tmp_path / "may.tif", transform=UTM @ Affine.translation(3, -5)),
        plant(tmp_path / "june.tif", transform=UTM @ Affine.scale(1.3)),
        plant(tmp_path / "elsewhere.tif", transform=UTM @ Affine.translation(9_000, 0)),
    ]


def run_facts(path):
    connection = sqlite3.connect(path)
    try:
        cursor = connection.execute("select * from run")
        return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
    finally:
        connection.close()


def test_dates_are_used_and_written_down(cli, scene, dated, dates, tmp_path):
    may, june, elsewhere = dates
    previous = [word for one in (may, june, elsewhere, scene) for word in ("--previous", one)]
    done = cli("detect", scene, "--model", dated, *previous, "-o", "out.gpkg", "--saliency", "with.tif")
    assert done.code == 0, done.err
    assert "elsewhere.tif shows no ground of scene.tif: left out" in done.err
    assert "2 earlier dates helped to say where." in done.out
    facts = run_facts(tmp_path / "out.gpkg")
    assert json.loads(facts["previous"]) == ["may.tif", "june.tif"]
    assert facts["command"] == (
        "geopdn detect scene.tif --model dated.safetensors --previous may.tif --previous june.tif "
        "--previous elsewhere.tif --previous scene.tif"
    )
    done = cli("detect", scene, "--model", dated, "-o", "plain.gpkg", "--saliency", "without.tif")
    assert done.code == 0, done.err
    assert (tmp_path / "with.tif").read_bytes() != (tmp_path / "without.tif").read_bytes()
    done = cli("saliency", scene, "--model", dated, "--previous", may, "--previous", june, "-o", "again.tif")
    assert done.code == 0, done.err
    import rasterio

    with rasterio.open(tmp_path / "with.tif") as one, rasterio.open(tmp_path / "again.tif") as other:
        assert (one.read() == other.read()).all()


def test_python_takes_dates_too(scene, dated, dates):
    result = geopdn.detect(scene, dated, previous=dates[:2])
    assert result.run.facts["previous"] == ["may.tif", "june.tif"]


def test_dates_of_several_scenes_are_each_others(cli, scene, dated, dates, tmp_path):
    done = cli("detect", scene, dates[0], "--model", dated, "--previous", dates[0], "--previous", dates[1], "-o", "all")
    assert done.code == 0, done.err
    facts = [run_facts(tmp_path / "all" / f"{name}.detections.gpkg") for name in ("scene", "may")]
    assert [json.loads(one["previous"]) for one in facts] == [["may.tif", "june.tif"], ["june.tif"]]


def test_what_cannot_help_is_refused(refused, scene, weights, dated, dates, plant, tmp_path):
    line = refused(2, "detect", scene, "--model", weights, "--previous", dates[0])
    assert "the model tiny has learnt nothing from earlier dates" in line
    line = refused(3, "detect", scene, "--model", dated, "--previous", dates[2], "-q")
    assert "none of the earlier dates overlaps scene.tif" in line
    line = refused(3, "detect", scene, "--model", dated, "--previous", tmp_path / "gone.tif", "-q")
    assert "gone.tif" in line
    line = refused(2, "detect", scene, "--model", dated, "--previous", dates[0], "--memory", "4GB")
    assert "--memory" in line
    line = refused(2, "detect", scene, "--model", dated, "--previous", dates[0], "-o", dates[0], "--overwrite")
    assert "may.tif" in line
    grey = plant(tmp_path / "grey.tif", count=1)
    line = refused(3, "detect", scene, "--model", dated, "--previous", grey, "-q")
    assert "wanted [red, green, blue]" in line


def test_a_run_goes_on_only_with_the_same_dates(cli, scene, dated, dates, tmp_path):
    from geopdn.ledger import Ledger, ledger_path

    output = tmp_path / "out.gpkg"
    record = {}
    tell = Ledger.tell

    def keep(self, context):
        record.update(context)
        tell(self, context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "tell", keep)
        assert cli("detect", scene, "--model", dated, "--previous", dates[0], "-o", output).code == 0
    assert [one["name"] for one in record["previous"]] == ["may.tif"]
    assert not ledger_path(output).exists()
