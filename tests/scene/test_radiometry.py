import json
import warnings

import numpy as np
import pytest
import rasterio

from geopdn.errors import ConfigError, RadiometryWarning
from geopdn.geometry.window import Window
from geopdn.scene.radiometry import Radiometry, Stretch, resolve_stretch
from geopdn.scene.reader import Pixels, Scene

BYTES = Radiometry("fixed", (0.0,), (255.0,))


def pixels_of(values, valid=None):
    return Pixels(values, np.ones(values.shape[1:], bool) if valid is None else valid)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "int64", "float32", "float64"])
def test_apply_is_the_formula(dtype):
    values = np.arange(200, dtype=dtype).reshape(2, 10, 10)
    valid = np.ones((10, 10), bool)
    valid[3] = False
    stretch = Stretch(low=(0.1, 2.0), high=(0.9, 3.0), scale=(0.01, 0.02), offset=(0.05, -0.3))
    out = stretch.apply(Pixels(values, valid))
    physical = values.astype(float) * np.array([0.01, 0.02])[:, None, None] + np.array([0.05, -0.3])[:, None, None]
    expected = (physical - np.array([0.1, 2.0])[:, None, None]) / np.array([0.8, 1.0])[:, None, None]
    np.testing.assert_allclose(out, np.where(valid, np.clip(expected, 0, 1.5), 0), atol=1e-5)
    assert out.dtype == np.float32


@pytest.mark.parametrize(
    "values",
    [
        np.full((1, 4, 4), np.nan, np.float32),
        np.full((1, 4, 4), 1e300),
        np.full((1, 4, 4), np.iinfo(np.int64).min),
        np.full((1, 4, 4), np.iinfo(np.uint64).max),
    ],
)
@pytest.mark.parametrize("high", [0.0, 1.0, 1e-30])
def test_apply_is_finite_whatever_comes(values, high):
    out = Stretch(low=(0.0,), high=(high,), scale=(1.0,), offset=(0.0,)).apply(pixels_of(values))
    assert np.isfinite(out).all()
    assert (out >= 0).all()
    assert (out <= 1.5).all()


def test_scale_and_offset_of_the_file_are_applied_once(tmp_path, make_scene):
    truth = make_scene(tmp_path / "a.tif", dtype="uint16", bands=2)
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.scales, dataset.offsets = (1e-2, 2e-2), (-0.1, 0.0)
    with Scene.open(tmp_path / "a.tif", bands=[2, 1]) as scene:
        assert scene.scales == (2e-2, 1e-2)
        stretch = resolve_stretch(scene, Radiometry("fixed", (0.0,), (2.0,)))
        out = stretch.apply(scene.read(Window(0, 0, 200, 300)))
    assert json.loads(json.dumps(stretch.to_dict()))["offset"] == [0.0, -0.1]
    assert Stretch.from_dict(stretch.to_dict()) == stretch
    expected = np.stack([truth[1] * 2e-2, truth[0] * 1e-2 - 0.1]) / 2
    np.testing.assert_allclose(out, np.clip(expected, 0, 1.5), atol=1e-5)


def test_percentiles_are_those_of_valid_pixels_and_the_same_each_time(tmp_path, make_scene):
    truth = make_scene(tmp_path / "a.tif", mask_kind="nodata", dtype="int16", nodata=-9999)
    valid = truth[0] != 0
    with Scene.open(tmp_path / "a.tif") as scene:
        first = resolve_stretch(scene, Radiometry("percentile", (2.0,), (98.0,)))
        assert resolve_stretch(scene, Radiometry("percentile", (2.0,), (98.0,))) == first
    for band in range(3):
        low, high = np.percentile(truth[band][valid], [2, 98])
        assert (first.low[band], first.high[band]) == (low, high)


def test_percentiles_of_a_large_scene_come_from_a_decimated_view(tmp_path, make_scene):
    values = np.zeros((1, 1500, 1200), np.uint8)
    values[:, :, 600:] = 100
    make_scene(tmp_path / "a.tif", values=values, block=256)
    with Scene.open(tmp_path / "a.tif") as scene:
        windows = []
        read = scene.read
        scene.read = lambda window: windows.append(window) or read(window)
        stretch = resolve_stretch(scene, Radiometry("percentile", (2.0,), (98.0,)))
    assert {window.level for window in windows} == {1}
    assert sum(window.area for window in windows) == 750 * 600
    assert (stretch.low, stretch.high) == ((0.0,), (100.0,))


@pytest.mark.parametrize("value", [0, 7, 255])
def test_constant_and_empty_scenes(tmp_path, make_scene, value):
    make_scene(tmp_path / "a.tif", values=np.full((1, 64, 64), value, np.uint8), nodata=255)
    with Scene.open(tmp_path / "a.tif") as scene:
        stretch = resolve_stretch(scene, Radiometry("percentile", (2.0,), (98.0,)))
        out = stretch.apply(scene.read(Window(-1, -1, 80, 80)))
    assert np.isfinite(out).all()
    assert (out == 0).all()


@pytest.mark.parametrize(
    ("value", "dtype", "radiometry", "words"),
    [
        (255, "uint8", BYTES, "100% of the sampled values"),
        (3000, "uint16", BYTES, "100% of the sampled values"),
        (200, "uint16", Radiometry("fixed", (0.0,), (10000.0,)), r"fill 2\.0% of the range"),
        (100, "uint16", Radiometry("fixed", (0.0,), (255.0,), ("uint8",)), "holds uint16 values, limits are meant for"),
        (100, "uint8", BYTES, None),
        (0, "uint8", BYTES, None),
    ],
)
@pytest.mark.parametrize("side", [64, 1500])
def test_values_unlike_the_limits_are_warned_of(tmp_path, make_scene, value, dtype, radiometry, words, side):
    make_scene(tmp_path / "a.tif", values=np.full((1, side, side), value, dtype), block=256)
    with Scene.open(tmp_path / "a.tif") as scene:
        if words is None:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                resolve_stretch(scene, radiometry)
        else:
            with pytest.warns(RadiometryWarning, match=words):
                resolve_stretch(scene, radiometry)


def test_records_round_trip_and_bad_ones_are_refused(tmp_path, make_scene):
    radiometry = Radiometry("fixed", (0.0, 1.0), (255.0, 2.0), ("uint8",))
    assert Radiometry.from_dict(json.loads(json.dumps(radiometry.to_dict()))) == radiometry
    for record in (
        {"kind": "other", "low": [0], "high": [1]},
        {"kind": "fixed", "low": [1], "high": [1]},
        {"kind": "fixed", "low": [0, 0], "high": [1]},
        {"kind": "fixed", "low": [0], "high": [float("nan")]},
        {"kind": "percentile", "low": [2], "high": [120]},
        {"kind": "fixed", "low": [0]},
        {"kind": "fixed", "low": 0, "high": 1},
    ):
        with pytest.raises(ConfigError, match="radiometry"):
            Radiometry.from_dict(record)
    make_scene(tmp_path / "a.tif")
    with Scene.open(tmp_path / "a.tif") as scene, pytest.raises(ConfigError, match=r"2 bands, .* has 3"):
        resolve_stretch(scene, radiometry)
