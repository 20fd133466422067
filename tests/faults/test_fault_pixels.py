"""Faults 16, 17 and 19 to 32: sizes that are odd, overviews that lie, values that mean nothing or something else."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine

from geopdn.engine import DetectOptions, detect
from geopdn.errors import BandError, NoOverviewsWarning, OverviewMismatchWarning, ResourceLimitError
from geopdn.geometry.window import Window
from geopdn.scene import Scene, overview
from geopdn.scene.agreement import warn_of_mismatch

UTM = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def write(path, values, **options):
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype}
    profile |= {"crs": "EPSG:32631", "transform": UTM, "compress": "deflate", **options}
    with rasterio.open(path, "w", **profile) as target:
        target.write(values)
    return path


def test_16_too_many_bands(fails, weights, tmp_path):
    path = write(tmp_path / "many.tif", np.zeros((5000, 2, 2), np.uint8), interleave="band")
    assert "has 5000 bands to read, at most 64" in fails(ResourceLimitError, "info", path)
    with Scene.open(path, bands=[4711, 3]) as scene:
        assert scene.read(Window(0, 0, 2, 2)).values.shape == (2, 2, 2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 100_000), (100_000, 1), (40, 30)])
def test_17_lines_and_points_are_padded_and_nothing_is_found_in_the_padding(cli, exact, tmp_path, shape):
    path = write(tmp_path / "thin.tif", np.full((3, *shape), 10, np.uint8), photometric="rgb")
    done = cli("detect", path, "--model", exact, "--budget", "full", "--json", "-q")
    assert done.code == 0, done.err
    assert (done.record["detections"], done.record["pixels_total"]) == (0, shape[0] * shape[1])


def test_19_a_corrupt_overview_falls_back(cli, plant, exact, tmp_path):
    path = plant(tmp_path / "scene.tif")
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    with rasterio.open(path, overview_level=2) as source:
        offset = int(source.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 16)
    done = cli("detect", path, "--model", exact, "-q", "--json")
    assert done.code == 0, done.err
    assert done.record["detections"] == 5
    assert "an overview cannot be read, full resolution is used" in done.err
    assert "Traceback" not in done.err


def with_lying_overviews(path, *, factors=(2, 4, 8)):
    """Bright overviews of a dark scene."""
    with rasterio.open(path, "r+") as target:
        target.build_overviews(list(factors), rasterio.enums.Resampling.average)
    for number in range(len(factors)):
        with rasterio.open(path, "r+", overview_level=number) as target:
            target.write(np.full((target.count, target.height, target.width), 255, target.dtypes[0]))


def test_20_overviews_that_disagree_are_told_of_and_can_be_left_out(cli, plant, exact, tmp_path):
    path = plant(tmp_path / "scene.tif")
    with_lying_overviews(path)
    done = cli("detect", path, "--model", exact, "-q", "--budget", "full")
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if "overviews do not show" in line]
    assert line.startswith("warning: scene.tif: its overviews do not show what full resolution shows")
    assert "--no-overviews" in line
    quiet = cli("detect", path, "--model", exact, "-q", "--budget", "full", "--no-overviews", "--overwrite")
    assert (quiet.code, quiet.err) == (0, "")


@pytest.mark.filterwarnings("error::geopdn.errors.OverviewMismatchWarning")
@pytest.mark.parametrize("resampling", ["nearest", "average", "bilinear", "cubic", "gauss", "mode"])
@pytest.mark.parametrize("kind", ["noise", "constant", "gradient", "speckle"])
def test_20_any_honest_way_of_making_overviews_agrees(tmp_path, resampling, kind):
    rng = np.random.default_rng(0)
    values = {
        "noise": rng.integers(0, 255, (1, 2048, 1024)),
        "constant": np.full((1, 2048, 1024), 7),
        "gradient": np.broadcast_to(np.arange(2048)[None, :, None] // 9, (1, 2048, 1024)),
        "speckle": 255 * (rng.random((1, 2048, 1024)) > 0.99),
    }[kind].astype(np.uint8)
    path = write(tmp_path / "a.tif", values, tiled=True, blockxsize=256, blockysize=256)
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4, 8], rasterio.enums.Resampling[resampling])
    with Scene.open(path) as scene:
        if (kind, resampling) == ("speckle", "mode"):  # drops what is rare, which is no mean of anything
            return
        warn_of_mismatch(scene, level=3)


def test_20_an_old_overview_of_another_image_is_found_out(tmp_path):
    path = write(tmp_path / "a.tif", np.full((1, 2048, 2048), 100, np.uint8), tiled=True)
    with_lying_overviews(path)
    with Scene.open(path) as scene, pytest.warns(OverviewMismatchWarning, match="a mean of 255 instead of 100"):
        warn_of_mismatch(scene, level=3)


def test_21_a_scene_without_overviews_says_once_what_that_costs(cli, plant, exact, tmp_path, monkeypatch):
    monkeypatch.setattr(overview, "COSTLY_PX", 1000)
    path = plant(tmp_path / "scene.tif")
    done = cli("detect", path, "--model", exact, "-q")
    assert done.code == 0
    assert done.err.count("has no overviews") == 1
    assert "pass over all" in done.err
    assert NoOverviewsWarning.__doc__


def test_22_26_nan_and_infinite_pixels_are_masked_and_every_logit_is_finite(cli, weights, tmp_path):
    import torch

    from geopdn.config import RadiometryConfig
    from geopdn.model.weights import LoadedModel, load_weights

    loaded = load_weights(weights)
    radiometry = RadiometryConfig(kind="fixed", low=(0.0,), high=(255.0,))
    config = loaded.header.model.model_copy(update={"radiometry": radiometry})
    loaded.net.config = config
    values = np.random.default_rng(0).uniform(0, 255, (3, 700, 700)).astype(np.float32)
    values[0, ::7, ::5], values[1, 100:200, 100:200], values[2, 3::11, 2::3] = np.nan, np.inf, -np.inf
    path = write(tmp_path / "float.tif", values, nodata=float("nan"))
    logits = []
    with Scene.open(path) as scene:
        assert not scene.read(Window(0, 0, 8, 8)).valid[0, 0]
        net = loaded.net
        inspect = net.inspect

        def keep(*arguments, **options):
            answer = inspect(*arguments, **options)
            logits.append(answer[1].logits)
            return answer

        net.inspect = keep
        result = detect(scene, LoadedModel(net, loaded.header, "x"), DetectOptions())
    assert all(bool(torch.isfinite(part).all()) for part in logits)
    assert np.isfinite(result.detections.boxes).all()


def test_27_a_scene_of_nodata_is_complete_with_nothing_in_it(cli, exact, tmp_path):
    path = write(tmp_path / "void.tif", np.zeros((3, 700, 700), np.uint8), nodata=0, photometric="rgb")
    done = cli("detect", path, "--model", exact, "--json", "-q")
    assert done.code == 0, done.err
    assert (done.record["detections"], done.record["pixels_read"], done.record["share"]) == (0, 0, 0)


def test_30_complex_values_are_refused(fails, tmp_path):
    path = write(tmp_path / "complex.tif", np.ones((1, 8, 8), np.complex64))
    assert "complex64 values, expected real ones" in fails(BandError, "info", path)


@pytest.mark.parametrize("bits", [1, 2, 4, 12])
def test_30_packed_bits_are_read(tmp_path, bits):
    dtype = np.uint8 if bits <= 8 else np.uint16
    values = np.random.default_rng(0).integers(0, 1 << bits, (1, 33, 47)).astype(dtype)
    path = write(tmp_path / "packed.tif", values, nbits=bits)
    with Scene.open(path) as scene:
        seen = scene.read(Window(0, 0, 33, 47)).values
        # GDAL gives one bit a palette of black and white, which is expanded.
        np.testing.assert_array_equal(seen[:1], values * 255 if bits == 1 else values)


def test_31_other_bands_are_refused_and_can_be_mapped(fails, cli, plant, exact, tmp_path):
    path = plant(tmp_path / "grey.tif", count=4, alpha="unspecified", photometric="minisblack")
    line = fails(BandError, "detect", path, "--model", exact)
    assert "[1, 2, 3, 4]" in line
    assert "[red, green, blue]" in line
    done = cli("detect", path, "--model", exact, "--bands", "4,2,1", "--json", "-q", "--budget", "full")
    assert (done.code, done.record["detections"]) == (0, 5)


@pytest.mark.parametrize(("value", "says"), [(0, None), (100, None), (255, "100% of the sampled values lie outside")])
def test_32_constant_and_saturated_scenes(cli, exact, tmp_path, value, says):
    path = write(tmp_path / "flat.tif", np.full((3, 700, 700), value, np.uint8), photometric="rgb")
    done = cli("detect", path, "--model", exact, "--json", "-q", "--budget", "64w")
    assert done.code == 0, done.err
    assert (says is None and done.err == "") or says in done.err
