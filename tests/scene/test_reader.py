import pickle
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.enums import Resampling

from geopdn.errors import (
    BandError,
    OverviewMismatchWarning,
    ResourceLimitError,
    SceneError,
    SceneReadError,
    SidecarWarning,
)
from geopdn.geometry.window import Size, Window
from geopdn.scene.reader import Scene

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
TRANSFORMS = {
    "rotated": ("EPSG:32633", Affine(8.66, 5.0, 500_000.0, 5.0, -8.66, 5_000_000.0)),
    "south-up": ("EPSG:32633", Affine(10.0, 0.0, 500_000.0, 0.0, 10.0, 5_000_000.0)),
    "non-square": ("EPSG:3857", Affine(10.0, 0.0, 500_000.0, 0.0, -5.0, 5_000_000.0)),
    "geographic": ("EPSG:4326", Affine(1e-4, 0.0, 15.0, 0.0, -1e-4, 45.0)),
}


def whole(path):
    with rasterio.open(path) as dataset:
        return dataset.read()


def level_mean(image, level):
    """Block means `[C, ceil(H / step), ceil(W / step)]` in float64, partial blocks included."""
    step = 1 << level
    _, height, width = image.shape
    return np.stack(
        [
            np.stack(
                [
                    image[:, row : row + step, col : col + step].astype(np.float64).mean((1, 2))
                    for col in range(0, width, step)
                ],
                -1,
            )
            for row in range(0, height, step)
        ],
        1,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block", [None, 32])
def test_windows_equal_the_whole_image(tmp_path, make_scene, dtype, block):
    make_scene(tmp_path / "a.tif", dtype=dtype, block=block)
    image = whole(tmp_path / "a.tif")
    with Scene.open(tmp_path / "a.tif") as scene:
        assert (scene.size, scene.dtype) == (Size(200, 300), np.dtype(dtype))
        assert scene.block == (Size(32, 32) if block else scene.block)
        for window in (Window(0, 0, 200, 300), Window(31, 33, 64, 65), Window(199, 299, 1, 1)):
            pixels = scene.read(window)
            part = image[:, window.row : window.row_stop, window.col : window.col_stop]
            np.testing.assert_array_equal(pixels.values, part)
            assert pixels.values.dtype == image.dtype
            assert pixels.valid.all()


@pytest.mark.parametrize("level", [0, 1, 3])
@pytest.mark.parametrize(("row", "col"), [(-7, -9), (-7, 20), (15, -9), (20, 30), (-50, -60)])
def test_outside_is_padded_and_not_valid(tmp_path, make_scene, level, row, col):
    image = make_scene(tmp_path / "a.tif", size=(203, 301))
    with Scene.open(tmp_path / "a.tif") as scene:
        full = scene.size.at_level(level)
        inner = scene.read(Window(0, 0, full.height, full.width, level)).values
        pixels = scene.read(Window(row, col, 300, 400, level))
        assert pixels.values.shape == (3, 300, 400)
        rows, cols = np.arange(row, row + 300), np.arange(col, col + 400)
        inside = np.outer((rows >= 0) & (rows < full.height), (cols >= 0) & (cols < full.width))
        np.testing.assert_array_equal(pixels.valid, inside)
        assert (pixels.values[:, ~inside] == 0).all()
        expected = inner[:, max(row, 0) : row + 300, max(col, 0) : col + 400]
        np.testing.assert_array_equal(pixels.values[:, inside].reshape(expected.shape), expected)
        beyond = scene.read(Window(full.height, 0, 4, 5, level))
        assert not beyond.valid.any()
        assert not beyond.values.any()
    assert image.shape == (3, 203, 301)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
@pytest.mark.parametrize("size", [(192, 256), (203, 301), (1, 77), (130, 1)])
@pytest.mark.parametrize("level", [1, 2, 4])
def test_levels_without_overviews_are_block_means(tmp_path, make_scene, monkeypatch, dtype, size, level):
    monkeypatch.setattr("geopdn.scene.pyramid.CHUNK_PX", 4096)  # several chunks
    image = make_scene(tmp_path / "a.tif", size=size, dtype=dtype, bands=2, block=32)
    expected = level_mean(image, level)
    with Scene.open(tmp_path / "a.tif") as scene:
        full = scene.size.at_level(level)
        pixels = scene.read(Window(0, 0, full.height, full.width, level))
        assert pixels.valid.all()
        np.testing.assert_allclose(pixels.values, expected, atol=1e-4 if dtype == "float32" else 0.5)
        if full.height > 3 and full.width > 3:
            part = scene.read(Window(1, 2, full.height - 1, full.width - 2, level)).values
            np.testing.assert_array_equal(part, pixels.values[:, 1:, 2:])


@pytest.mark.parametrize("size", [(128, 192), (403, 309)])
def test_overviews_are_used_where_they_should(tmp_path, make_scene, size):
    rows, cols = np.mgrid[: size[0], : size[1]]
    ramp = np.stack([rows * 20, cols * 20]).astype(np.uint16)
    make_scene(tmp_path / "a.tif", values=ramp, overviews=(2, 4, 8))
    with rasterio.open(tmp_path / "a.tif", "r+", OVERVIEW_LEVEL=1) as overview:
        assert overview.width == -(-size[1] // 4)
    with Scene.open(tmp_path / "a.tif") as scene, Scene.open(tmp_path / "a.tif", use_overviews=False) as plain:
        assert scene.overview_factors == (2, 4, 8)
        assert plain.overview_factors == ()
        for level in (1, 2, 3, 4):
            full = scene.size.at_level(level)
            window = Window(0, 0, full.height, full.width, level)
            step = 1 << level
            near, exact = scene.read(window).values.astype(float), plain.read(window).values.astype(float)
            np.testing.assert_allclose(exact, level_mean(ramp, level), atol=0.5)
            # a ramp's values are positions: half an overview pixel, and rounding; less where sides divide evenly
            margin = 20 * min(step, 8) * (0.5 if size[0] % 8 else 0) + 1
            assert abs(near - exact)[:, :-1, :-1].max() <= margin


def test_overviews_are_really_read_and_really_bypassed(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif", values=np.full((1, 128, 128), 100, np.uint8), overviews=(2, 4))
    # overviews that lie: written over with other values
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.write(np.full((1, 128, 128), 50, np.uint8))
    with Scene.open(tmp_path / "a.tif") as scene, Scene.open(tmp_path / "a.tif", use_overviews=False) as plain:
        for level, seen in {0: 50, 1: 100, 2: 100, 3: 100}.items():
            window = Window(0, 0, 8, 8, level)
            assert set(scene.read(window).values.ravel()) == {seen}
            assert set(plain.read(window).values.ravel()) == {50}


def test_an_overview_of_another_factor_is_not_taken_for_a_level(tmp_path, make_scene):
    image = make_scene(tmp_path / "a.tif", size=(240, 240), overviews=(3, 6))
    with Scene.open(tmp_path / "a.tif") as scene:
        assert scene.overview_factors == ()
        values = scene.read(Window(0, 0, 60, 60, 2)).values
    np.testing.assert_allclose(values, level_mean(image, 2), atol=0.5)


def test_a_corrupt_overview_falls_back_to_full_resolution(tmp_path, make_scene):
    path = tmp_path / "a.tif"
    image = make_scene(path, size=(256, 256))
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([4], Resampling.average)
    data = bytearray(path.read_bytes())
    second = int.from_bytes(data[_next_directory(data) :][:4], "little")
    offset = _block_offset(path, 0, directory=second)
    data[offset : offset + 200] = bytes(200)
    path.write_bytes(data)
    with Scene.open(path) as scene:
        assert scene.overview_factors == (4,)
        with pytest.warns(OverviewMismatchWarning, match=r"a\.tif"):
            values = scene.read(Window(0, 0, 64, 64, 2)).values
        np.testing.assert_allclose(values, level_mean(image, 2), atol=0.5)
        assert scene.overview_factors == ()


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_transforms_keep_pixels_and_are_read_exactly(tmp_path, make_scene, kind):
    crs, transform = TRANSFORMS[kind]
    image = make_scene(tmp_path / "a.tif", crs=crs, transform=transform)
    with Scene.open(tmp_path / "a.tif") as scene:
        np.testing.assert_array_equal(scene.read(Window(10, 20, 50, 60)).values, image[:, 10:60, 20:80])
        assert scene.transform.almost_equals(transform, 1e-9)
        assert scene.crs == CRS.from_user_input(crs)
        lengths = {
            "rotated": (10.0, 10.0),
            "south-up": (10.0, 10.0),
            "non-square": (5 * 0.7, 10 * 0.7),  # Mercator at 40.9 N stretches by 1.3
            "geographic": (11.1, 7.9),
        }[kind]
        assert (scene.pixel_size.y_m, scene.pixel_size.x_m) == pytest.approx(lengths, rel=0.1)


@pytest.mark.parametrize("wanted", [["B04", "B02"], ["red", "blue"], [3, 1]])
def test_bands_are_read_in_the_order_asked_for(tmp_path, make_scene, wanted):
    image = make_scene(tmp_path / "a.tif", bands=4, descriptions=("B02", "B03", "B04", "B08"))
    with Scene.open(tmp_path / "a.tif", bands=wanted) as scene:
        assert scene.band_names == ("B04", "B02")
        assert scene.band_indexes == (3, 1)
        assert scene.all_band_names == ("B02", "B03", "B04", "B08")
        np.testing.assert_array_equal(scene.read(Window(0, 0, 200, 300)).values, image[[2, 0]])


def test_a_corrupt_block_names_the_window(tmp_path, make_scene):
    path = tmp_path / "a.tif"
    image = make_scene(path, size=(256, 256), bands=1)
    data = bytearray(path.read_bytes())
    offset = _block_offset(path, 5)
    data[offset : offset + 200] = bytes(200)
    path.write_bytes(data)
    with Scene.open(path) as scene:
        with pytest.raises(SceneReadError, match=r"a\.tif: rows 60-80, columns 64-80 of level 0 cannot be read: .+"):
            scene.read(Window(60, 64, 20, 16))
        with pytest.raises(SceneReadError, match="of level 2 cannot"):
            scene.read(Window(0, 0, 64, 64, 2))
        np.testing.assert_array_equal(scene.read(Window(128, 0, 128, 256)).values, image[:, 128:])


def _next_directory(data):
    """Where a classic little-endian TIFF says where its second directory is."""
    start = int.from_bytes(data[4:8], "little")
    return start + 2 + 12 * int.from_bytes(data[start : start + 2], "little")


def _block_offset(path, index, *, directory=None):
    """Where a tile of a classic little-endian TIFF lies: field 324 (TileOffsets) of a directory, else the first."""
    data = path.read_bytes()
    start = int.from_bytes(data[4:8], "little") if directory is None else directory
    for entry in range(int.from_bytes(data[start : start + 2], "little")):
        field = data[start + 2 + 12 * entry : start + 14 + 12 * entry]
        if int.from_bytes(field[:2], "little") == 324:
            table = int.from_bytes(field[8:12], "little")
            single = int.from_bytes(field[4:8], "little") == 1
            return table if single else int.from_bytes(data[table + 4 * index : table + 4 * index + 4], "little")
    raise AssertionError


def test_scenes_pickle_as_path_and_settings(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif", overviews=(2,))
    with Scene.open(tmp_path / "a.tif", bands=[3, 1], use_overviews=False) as scene:
        again = pickle.loads(pickle.dumps(scene))
        with again:
            assert again.band_indexes == (3, 1)
            assert again.overview_factors == ()
            window = Window(5, 6, 70, 80)
            np.testing.assert_array_equal(again.read(window).values, scene.read(window).values)


def test_a_closed_scene_says_so(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif")
    with Scene.open(tmp_path / "a.tif") as scene:
        pass
    with pytest.raises(SceneError, match="closed"):
        scene.read(Window(0, 0, 1, 1))


def test_a_change_of_the_file_is_seen(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif")
    with Scene.open(tmp_path / "a.tif") as scene:
        assert not scene.changed()
        time.sleep(0.01)
        make_scene(tmp_path / "a.tif", seed=1)
        assert scene.changed()


def test_sidecars_are_ignored_with_a_warning(tmp_path, make_scene):
    image = make_scene(tmp_path / "a.tif")
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>60</NoDataValue></PAMRasterBand></PAMDataset>'
    )
    with pytest.warns(SidecarWarning, match=r"a\.tif\.aux\.xml"):
        scene = Scene.open(tmp_path / "a.tif")
    with scene:
        assert scene.nodata == (None, None, None)
        np.testing.assert_array_equal(scene.read(Window(0, 0, 200, 300)).values, image)


def test_limits_of_bands_types_and_blocks(tmp_path, make_scene):
    make_scene(tmp_path / "many.tif", size=(4, 4), bands=70, block=None)
    with pytest.raises(ResourceLimitError, match="--bands"):
        Scene.open(tmp_path / "many.tif")
    with Scene.open(tmp_path / "many.tif", bands=[70]) as scene:
        assert scene.band_names == ("70",)
    make_scene(tmp_path / "complex.tif", values=np.ones((1, 8, 8), np.complex64))
    with pytest.raises(BandError, match="complex64"):
        Scene.open(tmp_path / "complex.tif")
    with rasterio.open(
        tmp_path / "tile.tif",
        "w",
        driver="GTiff",
        height=25_000,
        width=25_000,
        count=1,
        dtype="uint8",
        compress="deflate",
        tiled=True,
        blockxsize=24_000,
        blockysize=24_000,
        sparse_ok=True,
        transform=Affine.scale(2),
    ):
        pass
    with pytest.raises(ResourceLimitError, match="gdal_translate -of COG"):
        Scene.open(tmp_path / "tile.tif")


STRESS = """
import sys, threading
import numpy as np
from geopdn.geometry.window import Window
from geopdn.scene.reader import Scene
import rasterio
with rasterio.open(sys.argv[1]) as dataset:
    image = dataset.read()
wrong = []
with Scene.open(sys.argv[1]) as scene:
    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(100):
            row, col = (int(v) for v in rng.integers(0, 400, 2))
            if not np.array_equal(scene.read(Window(row, col, 100, 90)).values, image[:, row:row + 100, col:col + 90]):
                wrong.append((row, col))
            scene.read(Window(0, 0, 60, 60, 3))
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
assert not wrong, wrong
"""


def test_four_threads_read_right_pixels(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif", size=(512, 512), overviews=(2, 4))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STRESS), str(tmp_path / "a.tif")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
