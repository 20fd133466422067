"""What cannot work is refused: the exit code, one line that names it, nothing left behind."""

from __future__ import annotations

import geopandas
import pytest
import rasterio
from affine import Affine

from geopdn.scene.reader import Scene


def test_a_missing_scene(refused, weights):
    assert (
        refused(3, "detect", "nowhere.tif", "--model", weights) == "error: nowhere.tif does not exist: check the path"
    )


def test_a_directory_an_empty_file_and_text(refused, weights, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.tif").write_text("not a raster\n")
    assert "is a directory" in refused(3, "detect", tmp_path / "folder", "--model", weights)
    assert "is empty (0 bytes)" in refused(3, "detect", "empty.tif", "--model", weights)
    assert "is not a raster but text" in refused(3, "detect", "text.tif", "--model", weights)


def test_a_scene_without_crs(refused, weights, plant, tmp_path):
    path = plant(tmp_path / "plain.tif", crs=None, transform=Affine.identity())
    line = refused(3, "detect", path, "--model", weights)
    assert "plain.tif has no CRS" in line
    assert "--pixel-output" in line
    line = refused(2, "detect", path, "--model", weights, "--pixel-output", "-o", "o.geojson")
    assert "into a .gpkg, not into o.geojson" in line


def test_bands_that_do_not_match_name_both_lists(refused, weights, plant, tmp_path):
    path = plant(tmp_path / "grey.tif", count=2)
    line = refused(3, "detect", path, "--model", weights)
    assert "[1, 2]" in line
    assert "[red, green, blue]" in line
    line = refused(3, "detect", path, "--model", weights, "--bands", "1,2")
    assert "--bands names 2 bands [1, 2]" in line
    assert "[red, green, blue]" in line
    assert "--bands '1,,2'" in refused(2, "detect", path, "--model", weights, "--bands", "1,,2")


def test_pixels_of_another_size(refused, weights, plant, tmp_path):
    path = plant(tmp_path / "coarse.tif", transform=Affine(10, 0, 500_000, 0, -10, 5_000_000))
    line = refused(3, "detect", path, "--model", weights)
    assert "10 x 10 m" in line
    assert "0.5 m" in line


def test_output_folders_that_cannot_take_a_file(refused, weights, scene):
    assert "'nowhere'" in refused(6, "detect", scene, "--model", weights, "-o", "nowhere/o.gpkg")
    assert "scene.tif" in refused(6, "detect", scene, "--model", weights, "-o", scene / "o.gpkg")
    assert "'nowhere'" in refused(6, "detect", scene, "--model", weights, "--saliency", "nowhere/s.tif")
    assert "'nowhere'" in refused(6, "detect", scene, "--model", weights, "--picture", "nowhere/p.png")
    assert "cannot be made" in refused(6, "detect", scene, "b.tif", "--model", weights, "-o", "nowhere/deep")


def test_outputs_that_exist_are_kept(refused, weights, scene, tmp_path):
    for name in ("o.gpkg", "s.tif", "p.png"):
        (tmp_path / name).write_bytes(b"mine")
    assert "'o.gpkg' exists" in refused(6, "detect", scene, "--model", weights, "-o", "o.gpkg")
    assert "'s.tif' exists" in refused(6, "detect", scene, "--model", weights, "--saliency", "s.tif")
    assert "'p.png' exists" in refused(6, "detect", scene, "--model", weights, "--picture", "p.png")
    assert (tmp_path / "o.gpkg").read_bytes() == b"mine"


def test_an_output_that_is_an_input(refused, weights, scene, tmp_path):
    before = scene.read_bytes()
    (tmp_path / "link.tif").symlink_to(scene)
    assert "is the input" in refused(2, "detect", scene, "--model", weights, "--saliency", scene, "--overwrite")
    assert "is the input" in refused(2, "detect", scene, "--model", weights, "--saliency", "link.tif", "--overwrite")
    assert "ends in '.tif'" in refused(2, "detect", scene, "--model", weights, "-o", scene, "--overwrite")
    assert "is the input" in refused(2, "prepare", scene, "-o", scene, "--overwrite")
    assert scene.read_bytes() == before


def test_names_that_contradict_each_other(refused, weights, scene):
    detect = ("detect", scene, "--model", weights)
    assert "contradict" in refused(2, *detect, "-o", "o.gpkg", "--format", "fgb")
    assert "'shp'" in refused(2, *detect, "--format", "shp")
    assert "ends in '.shp'" in refused(2, *detect, "-o", "o.shp")
    assert "one file" in refused(2, *detect, "b.tif", "-o", "o.gpkg")
    assert "would both be written to" in refused(2, *detect, "deep/scene.tif")
    assert "for one scene" in refused(2, *detect, "b.tif", "--picture", "p.png")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--budget", "lots"), "--budget 'lots': expected a share"),
        (("--budget", "1.5"), "--budget '1.5'"),
        (("--recall", "0"), "--recall 0.0"),
        (("--recall", "nan"), "--recall nan"),
        (("--min-score", "2"), "--min-score 2.0"),
        (("--device", "tpu"), "--device 'tpu': expected auto, cpu or cuda"),
        (("--budgt", "0.2"), "--budget"),
    ],
)
def test_options_out_of_range(refused, weights, scene, arguments, says):
    assert says in refused(2, "detect", scene, "--model", weights, *arguments)


def test_usage_errors_name_the_help(refused):
    assert refused(2, "detect").endswith("see `geopdn detect --help`")
    assert "Did you mean 'detect'" in refused(2, "detct", "scene.tif")


def test_models_that_are_unknown_or_unsafe(refused, scene, tmp_path):
    import torch

    assert "'nothing' is neither a file nor a shipped model" in refused(3, "detect", scene, "--model", "nothing")
    torch.save({"a": 1}, tmp_path / "pickled.safetensors")
    assert "pickle" in refused(3, "detect", scene, "--model", "pickled.safetensors")


def test_no_shipped_model_fits(refused, shipped, plant, tmp_path):
    path = plant(tmp_path / "deep.tif", dtype="uint16", photometric="rgb")
    line = refused(2, "detect", path)
    assert line.startswith("error: no shipped model fits deep.tif: tiny takes uint8 values, the scene has uint16.")
    path = plant(tmp_path / "grey.tif", count=1)
    assert "tiny takes the bands [red, green, blue], the scene has [1]" in refused(2, "detect", path)
    path = plant(tmp_path / "coarse.tif", transform=Affine(10, 0, 500_000, 0, -10, 5_000_000))
    assert "tiny takes pixels of 0.5 m, the scene's are 10 m" in refused(2, "detect", path)
    (shipped / "tiny.safetensors").unlink()
    assert "shipped without any" in refused(2, "detect", path)


def test_cuda_without_gpu_is_refused_before_the_scene_is_opened(refused, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = refused(2, "detect", "nowhere.tif", "--device", "cuda")
    assert line.startswith("error: --device cuda: torch ")
    assert "finds no CUDA GPU" in line
    assert refused(2, "saliency", "nowhere.tif", "-o", "s.tif", "--device", "cuda") == line


@pytest.fixture
def damaged(plant, tmp_path):
    """A scene with overviews and one tile of full resolution that cannot be decoded, over the second target."""
    path = plant(tmp_path / "damaged.tif")
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    with rasterio.open(path) as source:
        offset = int(source.get_tag_item("BLOCK_OFFSET_7_2", "TIFF", bidx=1))
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 16)
    return path


def test_a_corrupt_tile_is_recorded(cli, exact, damaged):
    done = cli("detect", damaged, "--model", exact, "--budget", "full", "--json")
    assert done.code == 5, done.err
    record = done.record
    assert len(record["failures"]) >= 1
    first = record["failures"][0]
    assert set(first) == {"window", "row", "col", "height", "width", "cause"}
    assert "damaged.tif" in first["cause"]
    assert all(f["row"] <= 128 + 64 and f["row"] + f["height"] >= 128 - 64 for f in record["failures"])
    assert 0 < record["detections"] < 5
    text = cli("detect", damaged, "--model", exact, "--budget", "full", "-o", "text.gpkg")
    assert text.code == 5
    assert "could not be read" in text.out
    failures = geopandas.read_file("text.gpkg", layer="failures")
    assert failures.window.tolist() == [f["window"] for f in record["failures"]]
    assert failures.cause.tolist() == [f["cause"] for f in record["failures"]]


def test_a_corrupt_tile_is_an_error_when_strict(refused, exact, damaged):
    line = refused(3, "detect", damaged, "--model", exact, "--budget", "full", "--strict", "-q", keeps_ledger=True)
    assert "damaged.tif" in line


def test_a_scene_that_changes_meanwhile_gives_no_output(refused, exact, scene, monkeypatch):
    monkeypatch.setattr(Scene, "changed", lambda _: True)
    assert "was changed while it was read" in refused(3, "detect", scene, "--model", exact, "-q", "--picture", "p.png")
    assert "was changed while it was read" in refused(3, "saliency", scene, "--model", exact, "-q", "-o", "s.tif")


def test_an_interrupt_leaves_nothing(refused, exact, scene, monkeypatch):
    import geopdn.output.write as module

    def interrupted(result, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setitem(module.WRITERS, ".gpkg", interrupted)
    line = refused(130, "detect", scene, "--model", exact, "-q", keeps_ledger=True)
    assert line.startswith("error: interrupted")


def test_memory_running_out_is_a_resource_limit(refused, exact, scene, monkeypatch):
    import geopdn.engine as module

    def greedy(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr(module, "detect", greedy)
    assert "out of memory" in refused(4, "detect", scene, "--model", exact, "-q")
