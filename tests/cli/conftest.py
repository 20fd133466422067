"""Scenes with planted squares, tiny weights, and the command line called in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from planted import PLACES, SIDE, TARGET, UTM, Done, Plant, tiny_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny random weights."""
    import torch

    from geopdn.model.patchdrivenet import PatchDriveNet
    from geopdn.model.weights import WeightsHeader, save_weights

    torch.manual_seed(0)
    config = tiny_config()
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    scores = {"default": {"share": 0.25, "ap": 0.5, "f1": 0.5, "recall": 0.5}, "places": ["here"], "scenes": 2}
    header = WeightsHeader(name="tiny", model=config, licence="CC0-1.0", trained_on="noise", scores=scores)
    save_weights(PatchDriveNet(config=config), header, path)
    return path


@pytest.fixture
def exact(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny weights, loaded as a network that finds bright squares exactly."""
    from exact import ExactNet

    from geopdn.api import search
    from geopdn.model import weights as module

    def load(path: Path, *, at_once: bool = True) -> module.LoadedModel:
        del at_once
        header = module.read_header(path)
        net = ExactNet(config=header.model).eval()
        net.patch_priorities.theta.data.fill_(6.0)
        return module.LoadedModel(net=net, header=header, digest="exact")

    monkeypatch.setattr(module, "load_weights", load)
    search.forget_model()
    yield weights
    search.forget_model()


@pytest.fixture
def shipped(weights: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny weights as the only model that is shipped; the folder of shipped models."""
    from geopdn.model import weights as module

    folder = tmp_path_factory.mktemp("shipped")
    (folder / "tiny.safetensors").write_bytes(weights.read_bytes())
    monkeypatch.setattr(
        module, "shipped_models", lambda: {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    )
    return folder


@pytest.fixture
def plant() -> Plant:
    """Writes a dark scene with bright squares at `PLACES`; keyword arguments go to rasterio."""

    def write(path: Path, **options: Any) -> Path:
        count, dtype, side = options.pop("count", 3), options.pop("dtype", "uint8"), options.pop("side", SIDE)
        image = np.random.default_rng(3).integers(0, 12, (side, side)).astype(dtype)
        for row, col in PLACES:
            image[row : row + TARGET, col : col + TARGET] = 255
        profile: dict[str, Any] = {
            "driver": "GTiff", "width": side, "height": side, "count": count, "dtype": dtype, "tiled": True,
            "blockxsize": 64, "blockysize": 64, "compress": "deflate", "crs": "EPSG:32631", "transform": UTM,
        }  # fmt: skip
        if count == 3:
            profile["photometric"] = "rgb"
        with rasterio.open(path, "w", **{**profile, **options}) as target:
            target.write(np.repeat(image[None], count, axis=0))
        return path

    return write


@pytest.fixture
def scene(tmp_path: Path, plant: Plant) -> Path:
    """`scene.tif` in the test's folder."""
    return plant(tmp_path / "scene.tif")


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """The targets as labels, in longitudes and latitudes."""
    boxes = [shapely.box(*(UTM @ (col, row + TARGET)), *(UTM @ (col + TARGET, row))) for row, col in PLACES]
    path = tmp_path / "truth.gpkg"
    table = geopandas.GeoDataFrame({"label": ["target"] * len(boxes)}, geometry=boxes, crs=32631)
    table.to_crs(4326).to_file(path, layer="labels")
    return path


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs `geopdn` in this process, in the test's folder."""
    from geopdn.cli.main import run

    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Done(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def refused(cli: Callable[..., Done], tmp_path: Path) -> Callable[..., str]:
    """Runs a command that must fail: one line on stderr, no other files afterwards. Returns the line.

    With `keeps_ledger` there are a line before it that says how to go on, and the ledger of `scene`'s run.
    """

    def call(code: int, *arguments: object, keeps_ledger: bool = False) -> str:
        before = sorted(tmp_path.rglob("*"))
        done = cli(*arguments)
        assert done.code == code, done.err
        assert done.out == ""
        lines = done.err.splitlines()
        if keeps_ledger:
            assert "--resume goes on" in lines.pop(0)
            (ledger,) = tmp_path.glob("*.ledger")
            ledger.unlink()
        assert len(lines) == 1, done.err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in done.err
        assert sorted(tmp_path.rglob("*")) == before
        return lines[0]

    return call
