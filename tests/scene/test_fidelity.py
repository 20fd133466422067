"""Overviews that are not means are recognised, and windows are then averaged from one level finer."""

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling

from geopdn.geometry.window import Window
from geopdn.scene.fidelity import RATIO, is_mean
from geopdn.scene.levels import block_mean
from geopdn.scene.reader import Scene


@pytest.fixture
def textured():
    """`[3, 1024, 1024]` uint8: smooth ground with grain, as in 0.5 m imagery."""
    rng = np.random.default_rng(3)
    rows, cols = np.mgrid[:1024, :1024]
    ground = 110 + 40 * np.sin(rows / 37) * np.cos(cols / 53)
    grain = rng.normal(0, 8, (3, 1024, 1024))
    return np.clip(ground + grain, 0, 255).astype(np.uint8)


def written(path, make_scene, values, resampling, **profile):
    """A COG of the values with overviews made in that way."""
    make_scene(path.with_suffix(".plain.tif"), values=values)
    options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": 256, "OVERVIEW_RESAMPLING": resampling, **profile}
    rasterio.shutil.copy(path.with_suffix(".plain.tif"), path, driver="COG", **options)
    return path


@pytest.mark.parametrize(
    ("resampling", "profile", "means"),
    [
        ("AVERAGE", {}, True),
        ("CUBIC", {}, True),
        ("BILINEAR", {}, False),
        ("NEAREST", {}, False),
        ("AVERAGE", {"OVERVIEW_COMPRESS": "JPEG", "OVERVIEW_QUALITY": 60}, False),
    ],
)
def test_what_overviews_hold_is_recognised(tmp_path, make_scene, textured, resampling, profile, means):
    path = written(tmp_path / "a.tif", make_scene, textured, resampling, **profile)
    with Scene.open(path) as scene, Scene.open(path, use_overviews=False) as plain:
        assert scene.overview_factors
        assert scene.overviews_are_means() is means
        assert plain.overviews_are_means() is None


def test_sampled_overviews_are_replaced_by_means_of_finer_pixels(tmp_path, make_scene, textured):
    path = written(tmp_path / "a.tif", make_scene, textured, "NEAREST")
    with Scene.open(path) as scene:
        first = scene.read(Window(64, 32, 200, 300, 1)).values
        second = scene.read(Window(64, 32, 100, 150, 2)).values
    np.testing.assert_array_equal(first, block_mean(textured, None, 2)[0][:, 64:264, 32:332])
    with rasterio.open(path, OVERVIEW_LEVEL=0) as held:
        overview = held.read()
    np.testing.assert_array_equal(second, block_mean(overview, None, 2)[0][:, 64:164, 32:182])


def test_means_are_read_as_they_are(tmp_path, make_scene, textured):
    path = written(tmp_path / "a.tif", make_scene, textured, "AVERAGE")
    with rasterio.open(path, OVERVIEW_LEVEL=1) as held, Scene.open(path) as scene:
        np.testing.assert_array_equal(scene.read(Window(0, 0, 256, 256, 2)).values, held.read())


def test_a_pass_over_everything_is_never_the_price(tmp_path, make_scene, textured):
    make_scene(tmp_path / "a.tif", values=textured)
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.build_overviews([8], Resampling.nearest)
    with Scene.open(tmp_path / "a.tif") as scene:
        assert scene.overviews_are_means() is False
        np.testing.assert_array_equal(scene.read(Window(0, 0, 128, 128, 3)).values, textured[:, ::8, ::8])


def test_flat_and_masked_ground_says_nothing():
    flat = np.full((1, 8, 8), 7, np.uint8)
    assert is_mean((flat[:, ::2, ::2], None), (flat, None), step=2) is None
    rng = np.random.default_rng(0)
    grain = rng.normal(100, 20, (1, 8, 8)).astype(np.float32)
    mean, _ = block_mean(grain, None, 2)
    assert is_mean((mean, None), (grain, None), step=2) is True
    assert is_mean((mean + 20 * RATIO, None), (grain, None), step=2) is False
    few = np.zeros((8, 8), np.bool_)
    few[:2] = True
    assert is_mean((mean, None), (grain, few), step=2) is None
