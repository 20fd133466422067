"""Other dates on a scene's grid: the same ground under the same pixels, masks kept, misfits refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer

from geopdn.errors import BandError, GeoreferenceError, SceneError
from geopdn.geometry.window import Window
from geopdn.scene import Scene
from geopdn.scene.coregister import coregister, overlap
from geopdn.scene.dates import stack_dates

HERE = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


def smooth(height, width, *, row=0.0, col=0.0, step=1.0):
    """Values of one ground, sampled at any offset and step."""
    rows, cols = np.mgrid[:height, :width]
    rows, cols = (rows + 0.5) * step + row, (cols + 0.5) * step + col
    waves = [np.sin(rows / 19 + k) * np.cos(cols / 23 - k) for k in range(3)]
    return (120 + 100 * np.stack(waves)).astype(np.float32)


@pytest.fixture
def current(tmp_path, make_scene):
    make_scene(tmp_path / "now.tif", values=smooth(200, 240), dtype="float32", transform=HERE)
    with Scene.open(tmp_path / "now.tif") as scene:
        yield scene


def opened(tmp_path, make_scene, values, name="then.tif", **options):
    make_scene(tmp_path / name, values=values, dtype="float32", **options)
    return Scene.open(tmp_path / name)


def test_whole_pixels_apart_nothing_is_interpolated(tmp_path, make_scene, current):
    there = HERE @ Affine.translation(-30, 40)
    with opened(tmp_path, make_scene, smooth(200, 240, row=40, col=-30), transform=there) as other:
        view = coregister(other, current)
        assert view.size == current.size
        assert view.transform == current.transform
        pixels, own = view.read(Window(0, 0, 200, 240)), current.read(Window(0, 0, 200, 240))
    assert not pixels.valid[:40].any()
    assert not pixels.valid[:, 210:].any()
    assert pixels.valid[41:, :209].all()
    assert np.abs(pixels.values - own.values)[:, pixels.valid].max() < 1e-3
    assert (pixels.values[:, ~pixels.valid] == 0).all()


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("step", [0.6, 1.0, 1.7])
def test_other_pixel_sizes_and_levels_show_the_same_ground(tmp_path, make_scene, current, level, step):
    there = HERE @ Affine.scale(step)
    values = smooth(round(200 / step), round(240 / step), step=step)
    with opened(tmp_path, make_scene, values, transform=there) as other:
        window = Window(8, 8, 24, 40, level)
        pixels, own = coregister(other, current).read(window), current.read(window)
    assert pixels.valid.all()
    assert np.abs(pixels.values - own.values).max() < 4


def test_another_crs_is_warped_to_the_same_places(tmp_path, make_scene, current):
    to_map = Transformer.from_crs(32634, 32633, always_xy=True)
    x0, y0 = Transformer.from_crs(32633, 32634, always_xy=True).transform(500_000 + 200, 5_000_000 - 200)
    there = Affine(8.0, 0.0, x0 - 200, 0.0, -8.0, y0 + 200)
    cols, rows = np.meshgrid(np.arange(400) + 0.5, np.arange(400) + 0.5)
    x, y = to_map.transform(there.c + 8 * cols, there.f - 8 * rows)
    col, row = (x - HERE.c) / 10, (HERE.f - y) / 10
    values = (120 + 100 * np.stack([np.sin(row / 19 + k) * np.cos(col / 23 - k) for k in range(3)])).astype(np.float32)
    with opened(tmp_path, make_scene, values, transform=there, crs="EPSG:32634") as other:
        pixels, own = (one.read(Window(0, 0, 200, 240)) for one in (coregister(other, current), current))
    assert pixels.valid.mean() > 0.8
    assert np.abs(pixels.values - own.values)[:, pixels.valid].max() < 3


def test_masked_pixels_of_a_date_stay_masked(tmp_path, make_scene, current):
    seen = make_scene(tmp_path / "then.tif", size=(200, 240), dtype="float32", transform=HERE, mask_kind="nan")
    with Scene.open(tmp_path / "then.tif") as other:
        pixels, whole = coregister(other, current).read(Window(0, 0, 200, 240)), other.read(Window(0, 0, 200, 240))
    assert (pixels.valid == whole.valid).all()
    assert np.abs(pixels.values - seen)[:, pixels.valid].max() < 1e-3


def test_misfits_are_refused_by_name(tmp_path, make_scene, current):
    far = HERE @ Affine.translation(5_000, 0)
    with opened(tmp_path, make_scene, smooth(200, 240), name="far.tif", transform=far) as other:
        assert not overlap(other, current)
        with pytest.raises(SceneError, match=r"far.tif does not overlap now.tif"):
            coregister(other, current)
    coarse = HERE @ Affine.scale(4)
    with (
        opened(tmp_path, make_scene, smooth(60, 60), name="coarse.tif", transform=coarse) as other,
        pytest.raises(SceneError, match=r"coarse.tif has pixels 4.0 times as large"),
    ):
        coregister(other, current)
    with (
        opened(tmp_path, make_scene, smooth(200, 240), name="nowhere.tif", crs=None, transform=None) as other,
        pytest.raises(GeoreferenceError, match=r"nowhere.tif has no CRS"),
    ):
        coregister(other, current)
    with (
        opened(tmp_path, make_scene, smooth(200, 240)[:2], name="two.tif", transform=HERE) as other,
        pytest.raises(BandError, match=r"two.tif has 2 bands, now.tif 3"),
    ):
        coregister(other, current)


def test_a_small_date_inside_a_large_scene_overlaps_it(tmp_path, make_scene, current):
    there = HERE @ Affine.translation(101, 51)
    with opened(tmp_path, make_scene, smooth(3, 3), transform=there, block=None) as other:
        assert overlap(other, current)
        assert overlap(current, other)


def test_dates_stack_as_a_lazy_array_on_the_scenes_grid(tmp_path, make_scene, current):
    there = HERE @ Affine.translation(0, 100)
    with opened(tmp_path, make_scene, smooth(200, 240, row=100), transform=there) as other:
        stack = stack_dates(current, [other], chunk_px=128)
        assert stack.dims == ("time", "band", "y", "x")
        assert stack.shape == (2, 3, 200, 240)
        assert stack.chunks[2] == (128, 72)
        assert stack.rio.crs.to_epsg() == 32633
        assert stack.rio.transform() == HERE
        assert np.isnat(stack.time.values).all()
        first, second = stack.values
        halved = stack_dates(current, [other], level=1)
    assert not np.isnan(first).any()
    assert np.isnan(second[:, :100]).all()
    assert np.abs(second - first)[:, 101:].max() < 1e-3
    assert halved.shape == (2, 3, 100, 120)
    assert float(halved.x[0]) == 500_010.0
