import numpy as np
import pytest
from affine import Affine

from geopdn.errors import SceneError
from geopdn.geometry.ground import pixel_size
from geopdn.geometry.window import Size, Window
from geopdn.scene.reader import Scene
from geopdn.scene.resample import ResampledScene, resample


def blob(size, *, row, col, sigma):
    """A Gaussian in edge coordinates (its centre is at row, col), averaged over pixels well enough."""
    rows, cols = np.mgrid[: size[0], : size[1]] + 0.5
    return (10_000 * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * sigma**2))).astype(np.float32)[None]


def centroid(image):
    """Row and column of an image's centre of mass, edge convention."""
    rows, cols = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return (image * rows).sum() / image.sum(), (image * cols).sum() / image.sum()


def scene_of(path, make_scene, *, metres=(1.0, 1.0), **options):
    """A scene in UTM with pixels of (height, width) metres, scale factor included."""
    transform = Affine(metres[1] * 0.9996, 0, 500_000.0, 0, -metres[0] * 0.9996, 5_000_000.0)
    make_scene(path, transform=transform, **options)
    return Scene.open(path)


@pytest.mark.parametrize("metres", [(1.0, 1.0), (0.5, 0.5), (0.37, 0.37), (2.3, 2.3), (0.8, 1.9)])
@pytest.mark.parametrize("size", [(320, 384), (301, 387)])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_blob_stays_in_its_place(tmp_path, make_scene, metres, size, level):
    row, col = 141.3, 205.8
    values = blob(size, row=row, col=col, sigma=12)
    with scene_of(tmp_path / "a.tif", make_scene, values=values, metres=metres) as scene:
        view = resample(scene, pixel_size_m=1.0, tolerance=1.0001)
        assert (view is scene) == (metres == (1.0, 1.0))
        full = view.size.at_level(level)
        found = centroid(view.read(Window(-3, -4, full.height + 6, full.width + 9, level)).values[0].astype(float))
        got = np.array([(found[1] - 4) * 2**level, (found[0] - 3) * 2**level])
        x, y = view.transform @ tuple(got)
        there = ~scene.transform @ (x, y)
        assert np.abs(np.array(there) - (col, row)).max() * max(metres) < 0.02 * 2**level


@pytest.mark.parametrize("step", [0.4, 0.77, 1.0, 1.5, 2.0, 2.6, 5.3])
def test_windows_equal_the_whole(tmp_path, make_scene, step, monkeypatch):
    monkeypatch.setattr("geopdn.scene.resample.TILE_SIDE", 50)
    make_scene(tmp_path / "a.tif", size=(203, 301), mask_kind="nodata")
    with Scene.open(tmp_path / "a.tif") as scene:
        view = ResampledScene(scene, step_y=step, step_x=step * 1.1, pixel_size=scene.pixel_size)
        for level in (0, 1):
            full = view.size.at_level(level)
            image = view.read(Window(0, 0, full.height, full.width, level))
            assert (image.values[:, ~image.valid] == 0).all()
            part = view.read(Window(3, 7, 20, 15, level))
            inside = image.values[:, 3:23, 7:22]
            np.testing.assert_allclose(part.values[:, : inside.shape[1], : inside.shape[2]], inside, atol=1)
            padded = view.read(Window(-2, -3, full.height + 4, full.width + 6, level))
            assert padded.valid.sum() == image.valid.sum()
            np.testing.assert_allclose(padded.values[:, 2:-2, 3:-3], image.values, atol=1)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_whole_factors_are_block_means(tmp_path, make_scene, factor):
    truth = make_scene(tmp_path / "a.tif", size=(60, 96), dtype="float32")
    with Scene.open(tmp_path / "a.tif") as scene:
        view = ResampledScene(scene, step_y=factor, step_x=factor, pixel_size=scene.pixel_size)
        assert view.size == Size(60 // factor, 96 // factor)
        pixels = view.read(Window(0, 0, 60 // factor, 96 // factor))
    expected = truth.reshape(3, 60 // factor, factor, 96 // factor, factor).mean((2, 4))
    if factor != 3:  # 3 is read at level 1 and resampled by 1.5, the others at once
        np.testing.assert_allclose(pixels.values, expected, rtol=1e-5)
    assert abs(pixels.values.mean() - truth.mean()) < 0.1
    assert pixels.valid.all()


def test_enlarging_interpolates_linearly(tmp_path, make_scene):
    ramp = np.tile(np.arange(64, dtype=np.float32), (1, 64, 1))
    make_scene(tmp_path / "a.tif", values=ramp)
    with Scene.open(tmp_path / "a.tif") as scene:
        view = ResampledScene(scene, step_y=0.5, step_x=0.4, pixel_size=scene.pixel_size)
        values = view.read(Window(0, 0, view.size.height, view.size.width)).values[0]
    expected = np.clip((np.arange(160) + 0.5) * 0.4 - 0.5, 0, 63)
    np.testing.assert_allclose(values, np.tile(expected, (128, 1)), atol=1e-4)


@pytest.mark.parametrize("step", [0.6, 1.7, 3.0])
def test_invalid_pixels_are_left_out(tmp_path, make_scene, step):
    make_scene(tmp_path / "a.tif", values=np.full((3, 200, 300), 77, np.uint8), mask_kind="mask")
    with Scene.open(tmp_path / "a.tif") as scene:
        view = ResampledScene(scene, step_y=step, step_x=step, pixel_size=scene.pixel_size)
        pixels = view.read(Window(0, 0, view.size.height, view.size.width))
        share = scene.read(Window(0, 0, 200, 300)).valid.mean()
    assert set(pixels.values[:, pixels.valid].ravel()) == {77}
    assert set(pixels.values[:, ~pixels.valid].ravel()) == {0}
    assert pixels.valid.mean() == pytest.approx(share, abs=0.03)


def test_the_grid_covers_the_scene_from_the_same_corner(tmp_path, make_scene):
    with scene_of(tmp_path / "a.tif", make_scene, size=(101, 203), metres=(0.7, 0.6)) as scene:
        view = resample(scene, pixel_size_m=1.0)
        assert view.size == Size(71, 122)  # ceil(101 * 0.7), ceil(203 * 0.6)
        assert view.transform @ (0, 0) == scene.transform @ (0, 0)
        own = pixel_size(view.transform, view.crs, col=view.size.width / 2, row=view.size.height / 2)
        assert (own.x_m, own.y_m) == pytest.approx((1.0, 1.0), rel=1e-4)
        assert (view.band_names, view.dtype, view.scales) == (scene.band_names, scene.dtype, scene.scales)


@pytest.mark.parametrize(
    ("wanted", "tolerance", "same"), [(1.2, 1.25, True), (0.82, 1.25, True), (1.2, 1.1, False), (1.3, 1.25, False)]
)
def test_near_enough_is_left_alone(tmp_path, make_scene, wanted, tolerance, same):
    with scene_of(tmp_path / "a.tif", make_scene, size=(64, 64)) as scene:
        assert (resample(scene, pixel_size_m=wanted, tolerance=tolerance) is scene) == same


def test_far_scales_are_refused_unless_asked_for(tmp_path, make_scene):
    with scene_of(tmp_path / "a.tif", make_scene, size=(64, 64)) as scene:
        for wanted in (0.33, 3.1):
            with pytest.raises(SceneError, match="--any-scale"):
                resample(scene, pixel_size_m=wanted)
            assert resample(scene, pixel_size_m=wanted, any_scale=True) is not scene
        assert resample(scene, pixel_size_m=2.99) is not scene
        with pytest.raises(ValueError, match="pixel_size_m > 0"):
            resample(scene, pixel_size_m=0.0)


def test_without_a_crs_the_scene_is_returned(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif", crs=None)
    with Scene.open(tmp_path / "a.tif") as scene:
        assert resample(scene, pixel_size_m=1.0) is scene
