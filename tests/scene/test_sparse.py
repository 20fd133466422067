"""Blocks that are missing in a file: not read, and the same as if what they stand for were there."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterWindow

from geopdn.geometry.window import Window
from geopdn.scene import Scene
from geopdn.scene.decode import Decoder

SIZE, BLOCK = 2048, 256
PAINTED = (512, 1024)


def write(path, *, sparse, nodata, interleave):
    profile = {"driver": "GTiff", "count": 2, "height": SIZE, "width": SIZE, "dtype": "uint8", "nodata": nodata}
    profile |= {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": interleave}
    pixels = np.random.default_rng(1).integers(1, 255, (2, BLOCK, BLOCK), np.uint8)
    with rasterio.open(path, "w", **profile, SPARSE_OK=sparse) as out:
        if not sparse:
            out.write(np.full((2, SIZE, SIZE), nodata or 0, np.uint8))
        out.write(pixels, window=RasterWindow(PAINTED[1], PAINTED[0], BLOCK, BLOCK))
    with rasterio.Env(SPARSE_OK_OVERVIEW=sparse), rasterio.open(path, "r+") as out:
        out.build_overviews([2, 4], Resampling.average)
    return path


@pytest.mark.parametrize("nodata", [None, 0, 9])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_missing_blocks_read_as_what_they_stand_for(tmp_path, monkeypatch, nodata, interleave):
    absent = []
    is_absent = Decoder._is_absent
    monkeypatch.setattr(Decoder, "_is_absent", lambda *given: absent.append(is_absent(*given)) or absent[-1])
    one = write(tmp_path / "sparse.tif", sparse=True, nodata=nodata, interleave=interleave)
    two = write(tmp_path / "dense.tif", sparse=False, nodata=nodata, interleave=interleave)
    assert one.stat().st_size < two.stat().st_size / 4
    with Scene.open(one) as sparse, Scene.open(two) as dense:
        for level in (0, 1, 2):
            n = SIZE >> level
            windows = [Window(0, 0, n, n, level), Window(0, 0, 100, 90, level), Window(n // 2, 0, n // 2, n, level)]
            windows.append(Window((PAINTED[0] >> level) - 3, (PAINTED[1] >> level) - 3, 40, 40, level))
            for window in windows:
                a, b = sparse.read(window), dense.read(window)
                assert np.array_equal(a.values, b.values)
                assert np.array_equal(a.valid, b.valid)
    assert True in absent
    assert False in absent


@pytest.mark.parametrize("rows", [1, 64, SIZE])
def test_strips_are_never_taken_for_missing(tmp_path, rows):
    pixels = np.random.default_rng(2).integers(1, 255, (1, SIZE, SIZE), np.uint8)
    profile = {"driver": "GTiff", "count": 1, "height": SIZE, "width": SIZE, "dtype": "uint8", "compress": "deflate"}
    with rasterio.open(tmp_path / "strips.tif", "w", **profile, blockysize=rows) as out:
        out.write(pixels)
    with Scene.open(tmp_path / "strips.tif") as scene:
        for row in (0, 1, SIZE // 2):
            assert (scene.read(Window(row, 0, 9, SIZE)).values == pixels[:, row : row + 9]).all()
