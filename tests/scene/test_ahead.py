"""A level read ahead: the same pixels, each strip read once, failures left to who reads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio

from geopdn.errors import SceneError, SceneReadError
from geopdn.geometry.window import Size, Window
from geopdn.scene import Scene, Stretch, overview
from geopdn.scene import ahead as module
from geopdn.scene.ahead import ReadAhead
from geopdn.scene.overview import open_overview, read_ahead
from geopdn.scene.prepare import prepare

WINDOWS = (Window(0, 0, 90, 70, 2), Window(-8, 20, 40, 80, 2), Window(31, 3, 34, 30, 2), Window(60, 40, 50, 50, 2))


@pytest.fixture
def thin_strips(monkeypatch):
    monkeypatch.setattr(module, "STRIP_ROWS", 16)


@pytest.mark.parametrize("mask_kind", ["none", "nodata", "alpha", "mask"])
def test_windows_are_those_of_the_file(tmp_path, make_scene, thin_strips, mask_kind):
    path = tmp_path / "a.tif"
    nodata = 0 if mask_kind == "nodata" else None
    make_scene(path, size=(359, 281), mask_kind=mask_kind, nodata=nodata, overviews=(2, 4))
    with Scene.open(path) as plain, Scene.open(path) as scene:
        scene.read_ahead(2)
        with ThreadPoolExecutor(3) as pool:
            for window, pixels in zip(WINDOWS * 5, pool.map(scene.read, WINDOWS * 5), strict=True):
                expected = plain.read(window)
                np.testing.assert_array_equal(pixels.values, expected.values)
                np.testing.assert_array_equal(pixels.valid, expected.valid)
                assert pixels.values.dtype == expected.values.dtype
        np.testing.assert_array_equal(scene.read(Window(5, 5, 20, 20)).values, plain.read(Window(5, 5, 20, 20)).values)
        scene.end_ahead()
        np.testing.assert_array_equal(scene.read(WINDOWS[0]).values, plain.read(WINDOWS[0]).values)


def test_each_strip_is_read_once_and_only_the_first_rows_are_kept(thin_strips, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 3 * 16 * 20 + 5)
    asked, go = [], threading.Event()

    def read(window):
        go.wait(5)
        asked.append(window.row)
        return np.full((1, window.height, window.width), window.row, np.uint8), None

    ahead = ReadAhead(read, level=3, size=Size(100, 20), n_bands=1, dtype=np.dtype(np.uint8))
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ahead.take, Window(row, 2, 4, 5, 3)) for row in (0, 30, 14, 44)]
        go.set()
        taken = [future.result() for future in waiting]
    rows = [known[0][0, :, 0].tolist() for known in taken]
    assert rows == [[0] * 4, [16, 16, 32, 32], [0, 0, 16, 16], [32] * 4]
    assert ahead.take(Window(46, 0, 4, 4, 3)) is None  # beyond what is kept
    ahead.close()
    assert sorted(asked) == [0, 16, 32]


def test_a_level_wider_than_all_that_is_kept_is_read_as_ever(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    ahead = ReadAhead(None, level=3, size=Size(100, 20), n_bands=1, dtype=np.dtype(np.uint8))
    assert ahead.take(Window(0, 0, 4, 4, 3)) is None
    ahead.close()


def test_damage_is_met_by_who_reads(tmp_path, make_scene, thin_strips):
    path = tmp_path / "a.tif"
    make_scene(path, size=(256, 256))
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[offset : offset + 200] = bytes(200)
    path.write_bytes(data)
    with Scene.open(path) as scene, Scene.open(path) as plain:
        scene.read_ahead(2)
        with pytest.raises(SceneReadError) as caught:
            scene.read(Window(0, 0, 64, 64, 2))
        with pytest.raises(SceneReadError) as expected:
            plain.read(Window(0, 0, 64, 64, 2))
        assert str(caught.value) == str(expected.value)
        np.testing.assert_array_equal(
            scene.read(Window(32, 0, 32, 64, 2)).values, plain.read(Window(32, 0, 32, 64, 2)).values
        )


def test_a_scene_that_is_closed_meanwhile_ends_the_reading(tmp_path, make_scene, thin_strips):
    make_scene(tmp_path / "a.tif", size=(512, 512), overviews=(2, 4))
    scene = Scene.open(tmp_path / "a.tif")
    scene.read_ahead(2)
    scene.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "geopdn-read-ahead"]
    with pytest.raises(SceneError, match="closed"):
        scene.read(Window(0, 0, 10, 10, 2))


def test_only_an_overview_of_the_files_own_is_read_ahead_and_let_go_with_the_reader(tmp_path, make_scene, monkeypatch):
    stretch = Stretch(low=(0.0,) * 3, high=(200.0,) * 3, scale=(1.0,) * 3, offset=(0.0,) * 3)
    make_scene(tmp_path / "with.tif", size=(256, 256), overviews=(2, 4))
    make_scene(tmp_path / "without.tif", size=(256, 256))
    with Scene.open(tmp_path / "without.tif") as scene:
        read_ahead(scene, level=2)
        assert not scene.reads_ahead
    with Scene.open(tmp_path / "with.tif") as scene:
        with open_overview(scene, level=2, stretch=stretch) as reader:
            expected = reader.read(Window(0, 0, 64, 64, 2))
        read_ahead(scene, level=2)
        assert scene.reads_ahead
        with open_overview(scene, level=2, stretch=stretch) as reader:
            seen = reader.read(Window(0, 0, 64, 64, 2))
        assert not scene.reads_ahead
        np.testing.assert_array_equal(seen.mean, expected.mean)
        monkeypatch.setattr(overview, "AHEAD_CACHE", 4 * scene.block_bytes - 1)
        read_ahead(scene, level=2)
        assert not scene.reads_ahead  # blocks that the cache does not hold would be decoded once a strip
        monkeypatch.undo()
        prepare(scene, level=2)
        read_ahead(scene, level=2)
        assert not scene.reads_ahead  # its sidecar is what will be read
