from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from geopdn.errors import NoOverviewsWarning, ResourceLimitError, SceneReadError
from geopdn.geometry.window import Size, Window
from geopdn.scene import Pixels, Scene, Stretch
from geopdn.scene import cells as cells_module
from geopdn.scene import computed as computed_module
from geopdn.scene import overview as overview_module
from geopdn.scene.cells import Cells, coarsen, existing, stream, summarise
from geopdn.scene.overview import Overview, OverviewReader, open_overview
from geopdn.scene.resample import ResampledScene

if TYPE_CHECKING:
    from pathlib import Path


DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def plain_stretch(bands: int, *, scale: float = 1.0) -> Stretch:
    """Stored values 0..200 become 0..1, or -1..0 for a negative scale."""
    low, high = (0.0, 200.0) if scale > 0 else (-200.0, 0.0)
    return Stretch(low=(low,) * bands, high=(high,) * bands, scale=(scale,) * bands, offset=(0.0,) * bands)


def oracle(values: np.ndarray, valid: np.ndarray, step: int) -> tuple[np.ndarray, ...]:
    """Mean, minimum, maximum `[C, h, w]`, share and count `[h, w]`, cell by cell in plain loops."""
    bands, height, width = values.shape
    shape = (-(-height // step), -(-width // step))
    mean, low, high = (np.zeros((bands, *shape)) for _ in range(3))
    share, count = np.zeros(shape), np.zeros(shape, int)
    for row, col in np.ndindex(shape):
        place = np.s_[row * step : (row + 1) * step, col * step : (col + 1) * step]
        inside = valid[place]
        share[row, col], count[row, col] = inside.mean(), inside.sum()
        if inside.any():
            found = values[:, *place][:, inside].astype(float)
            mean[:, row, col], low[:, row, col], high[:, row, col] = found.mean(1), found.min(1), found.max(1)
    return mean, low, high, share, count


def whole(reader: OverviewReader) -> Overview:
    return reader.read(Window(0, 0, reader.size.height, reader.size.width, reader.level))


def assert_same(first: Overview, second: Overview, *, atol: float = 0.0) -> None:
    for name in ("mean", "low", "high", "valid"):
        tolerance = atol if name == "mean" else 0.0
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(16, 24), (21, 13), (1, 1), (3, 40)])
def test_summarise_is_the_oracle(dtype, shape):
    rng = np.random.default_rng(1)
    low, high = (-100, 100) if np.dtype(dtype).kind in "if" else (0, 200)
    values = rng.integers(low, high, (2, *shape)).astype(dtype)
    valid = rng.random(shape) < 0.8
    valid[:8, :8] = False  # a cell with nothing
    values[:, ~valid] = 0
    cells = summarise(Pixels(values, valid), 8)
    mean, minimum, maximum, _, count = oracle(values, valid, 8)
    np.testing.assert_allclose(cells.mean, mean, rtol=1e-12)
    np.testing.assert_array_equal(cells.low, minimum)
    np.testing.assert_array_equal(cells.high, maximum)
    np.testing.assert_array_equal(cells.count, count)
    assert cells.low.dtype == cells.high.dtype == np.dtype(dtype)


def test_values_at_the_ends_of_a_type_survive():
    for dtype in ("uint8", "int16", "int64", "uint64"):
        limits = np.iinfo(dtype)
        values = np.array([[[limits.min, limits.max], [limits.max, limits.min]]], dtype)
        cells = summarise(Pixels(values, np.ones((2, 2), bool)), 2)
        assert cells.low[0, 0, 0] == limits.min
        assert cells.high[0, 0, 0] == limits.max


def test_coarsened_cells_are_those_of_the_larger_step():
    rng = np.random.default_rng(2)
    values = rng.integers(1, 200, (3, 43, 29)).astype(np.uint16)
    valid = rng.random(values.shape[1:]) < 0.5
    values[:, ~valid] = 0
    direct, derived = (
        summarise(Pixels(values, valid), 8),
        coarsen(summarise(Pixels(values, valid), 4), 2),
    )
    for name in ("mean", "low", "high", "count"):
        np.testing.assert_allclose(getattr(derived, name), getattr(direct, name), rtol=1e-12, err_msg=name)


def test_existing_counts_partial_cells():
    np.testing.assert_array_equal(
        existing(Window(0, 1, 3, 2, 2), Size(9, 11)), [[4 * 4, 4 * 3], [4 * 4, 4 * 3], [1 * 4, 1 * 3]]
    )


@pytest.mark.parametrize("block", [16, 64, None])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_stream_covers_the_level_once(tmp_path, make_scene, monkeypatch, level, block):
    monkeypatch.setattr(cells_module, "PART_BYTES", 3 * 40 * 40)
    make_scene(tmp_path / "s.tif", size=(101, 155), block=block)
    steps = []
    with Scene.open(tmp_path / "s.tif") as scene:
        size = scene.size.at_level(level)
        seen = np.zeros((size.height, size.width), int)
        parts = list(stream(scene, level=level, progress=lambda done, total: steps.append((done, total))))
        for window, cells in parts:
            seen[window.row : window.row_stop, window.col : window.col_stop] += 1
            assert cells.mean.shape == (3, window.height, window.width)
    assert len(parts) > 3
    assert (seen == 1).all()
    assert steps[-1] == (101 * 155, 101 * 155)
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})


@pytest.mark.parametrize(
    ("mask_kind", "level"), [("none", 2), ("nodata", 3), ("alpha", 2), ("nodata+alpha", 3), ("mask", 2)]
)
def test_computed_is_the_oracle(tmp_path, make_scene, monkeypatch, mask_kind, level):
    monkeypatch.setattr(cells_module, "PART_BYTES", 3 * 64 * 64)
    values = make_scene(tmp_path / "s.tif", size=(101, 155), mask_kind=mask_kind)
    with Scene.open(tmp_path / "s.tif") as scene:
        valid = scene.read(Window(0, 0, 101, 155)).valid
        with open_overview(scene, level=level, stretch=plain_stretch(3)) as reader:
            assert (reader.kind, reader.size, reader.unread) == ("computed", Size(101, 155).at_level(level), ())
            found = whole(reader)
    mean, low, high, share, _ = oracle(values, valid, 1 << level)
    np.testing.assert_allclose(found.mean, mean / 200, atol=0.25 / 200)
    np.testing.assert_allclose(found.low, low / 200, atol=1e-6)
    np.testing.assert_allclose(found.high, high / 200, atol=1e-6)
    np.testing.assert_allclose(found.valid, share, atol=1e-7)
    assert {array.dtype for array in (found.mean, found.low, found.high, found.valid)} == {np.dtype(np.float32)}
    assert (found.low <= found.mean + 1e-6).all()
    assert (found.mean <= found.high + 1e-6).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_means_are_within_a_quarter_of_a_stored_unit(tmp_path, make_scene, dtype):
    rng = np.random.default_rng(3)
    top = {"uint8": 255, "uint16": 65535, "float32": 60000}[dtype]
    values = rng.integers(0, top, (1, 64, 64), endpoint=True).astype(dtype)
    make_scene(tmp_path / "s.tif", values=values)
    stretch = Stretch(low=(0.0,), high=(float(top),), scale=(1.0,), offset=(0.0,))
    with Scene.open(tmp_path / "s.tif") as scene, open_overview(scene, level=3, stretch=stretch) as reader:
        mean = whole(reader).mean * np.float64(top)
    assert np.abs(mean - oracle(values, np.ones((64, 64), bool), 8)[0]).max() < 0.25


def test_nan_pixels_do_not_count(tmp_path, make_scene):
    make_scene(tmp_path / "s.tif", size=(64, 64), dtype="float32", mask_kind="nan")
    with Scene.open(tmp_path / "s.tif") as scene, open_overview(scene, level=2, stretch=plain_stretch(3)) as reader:
        pixels = scene.read(Window(0, 0, 64, 64))
        found = whole(reader)
    mean, low, _, share, _ = oracle(pixels.values, pixels.valid, 4)
    np.testing.assert_allclose(found.mean, mean / 200, atol=1e-6)
    np.testing.assert_allclose(found.low, low / 200, atol=1e-6)
    np.testing.assert_allclose(found.valid, share)
    assert (share == 0).any()
    assert (share == 1).any()


def test_a_negative_scale_keeps_low_below_high(tmp_path, make_scene):
    values = make_scene(tmp_path / "s.tif", size=(32, 32), bands=1)
    stretch = plain_stretch(1, scale=-1.0)
    with Scene.open(tmp_path / "s.tif") as scene, open_overview(scene, level=2, stretch=stretch) as reader:
        found = whole(reader)
    _, low, high, _, _ = oracle(values, np.ones((32, 32), bool), 4)
    np.testing.assert_allclose(found.low, 1 - high / 200, atol=1e-6)
    np.testing.assert_allclose(found.high, 1 - low / 200, atol=1e-6)


@pytest.mark.parametrize("kind", ["computed", "overviews"])
def test_windows_are_parts_of_the_whole_and_padded(tmp_path, make_scene, kind):
    make_scene(tmp_path / "s.tif", size=(101, 155), overviews=(2, 4) if kind == "overviews" else ())
    with Scene.open(tmp_path / "s.tif") as scene, open_overview(scene, level=2, stretch=plain_stretch(3)) as reader:
        assert reader.kind == kind
        everything = whole(reader)
        window = Window(-3, 30, 40, 20, 2)
        part = reader.read(window)
        outside = reader.read(Window(200, -50, 4, 5, 2))
    expected = np.zeros((3, 40, 20), np.float32)
    expected[:, 3:29, :9] = everything.mean[:, :, 30:]
    np.testing.assert_array_equal(part.mean, expected)
    assert part.valid[:3].max() == part.valid[29:].max() == part.valid[:, 9:].max() == 0
    np.testing.assert_array_equal(part.valid[3:29, :9], everything.valid[:, 30:])
    assert outside.mean.shape == (3, 4, 5)
    assert not outside.mean.any()
    assert not outside.valid.any()


def test_internal_overviews_give_means_only(tmp_path, make_scene):
    make_scene(tmp_path / "s.tif", size=(128, 192), overviews=(2, 4), mask_kind="nodata")
    with rasterio.open(tmp_path / "s.tif", overview_level=1) as dataset:
        stored = dataset.read()
    with Scene.open(tmp_path / "s.tif") as scene, open_overview(scene, level=2, stretch=plain_stretch(3)) as reader:
        found = whole(reader)
    assert reader.kind == "overviews"
    assert found.low is None
    assert found.high is None
    np.testing.assert_allclose(found.mean, stored / 200, atol=1e-6)
    np.testing.assert_array_equal(found.valid, (stored != 0).all(0).astype(np.float32))


@pytest.mark.parametrize(("factors", "kind"), [((2,), "overviews"), ((8,), "overviews"), ((16,), "computed")])
def test_only_overviews_fine_enough_are_used(tmp_path, make_scene, factors, kind):
    make_scene(tmp_path / "s.tif", size=(160, 192), overviews=factors)
    with Scene.open(tmp_path / "s.tif") as scene, open_overview(scene, level=3, stretch=plain_stretch(3)) as reader:
        assert reader.kind == kind
    with (
        Scene.open(tmp_path / "s.tif", use_overviews=False) as scene,
        open_overview(scene, level=3, stretch=plain_stretch(3)) as reader,
    ):
        assert reader.kind == "computed"


@pytest.mark.parametrize(
    ("step", "factors", "kind"), [(2.0, (4,), "overviews"), (0.5, (4,), "computed"), (2.0, (), "computed")]
)
def test_resampled_views(tmp_path, make_scene, step, factors, kind):
    make_scene(tmp_path / "s.tif", size=(48, 64), overviews=factors)
    with Scene.open(tmp_path / "s.tif") as scene:
        view = ResampledScene(scene, step_y=step, step_x=step, pixel_size=scene.pixel_size)
        with open_overview(view, level=1, stretch=plain_stretch(3)) as reader:
            assert reader.kind == kind
            found = whole(reader)
            pixels = view.read(Window(0, 0, view.size.height, view.size.width))
    mean, low, high, share, _ = oracle(pixels.values, pixels.valid, 2)
    if kind == "computed":
        np.testing.assert_allclose(found.low, low / 200, atol=1e-6)
        np.testing.assert_allclose(found.high, high / 200, atol=1e-6)
        np.testing.assert_allclose(found.mean, mean / 200, atol=0.25 / 200)
    else:
        np.testing.assert_allclose(found.mean, mean / 200, atol=1.6 / 200)  # rounded at each level
    np.testing.assert_allclose(found.valid, share)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_temporary_files_hold_the_same(tmp_path, make_scene, monkeypatch, dtype):
    monkeypatch.setattr(cells_module, "PART_BYTES", 3 * 64 * 64)
    monkeypatch.setattr(computed_module.tempfile, "tempdir", str(tmp_path))
    make_scene(tmp_path / "s.tif", size=(201, 155), mask_kind="nodata", dtype=dtype)
    with Scene.open(tmp_path / "s.tif") as scene:
        with open_overview(scene, level=2, stretch=plain_stretch(3)) as reader:
            in_memory = whole(reader)
            assert {path.name for path in tmp_path.iterdir()} == {"s.tif"}
        with open_overview(scene, level=2, stretch=plain_stretch(3), memory_bytes=0) as reader:
            (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
            assert {path.name for path in folder.iterdir()} == {"cells"}
            on_disk = whole(reader)
    assert_same(in_memory, on_disk)
    assert {path.name for path in tmp_path.iterdir()} == {"s.tif"}
    with pytest.raises(ValueError, match="closed"):
        whole(reader)


def test_no_room_for_temporary_files(tmp_path, make_scene, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(computed_module.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(computed_module.os, "posix_fallocate", full, raising=False)
    make_scene(tmp_path / "s.tif", size=(64, 64))
    with Scene.open(tmp_path / "s.tif") as scene, pytest.raises(ResourceLimitError, match=r"No space left.*TMPDIR"):
        open_overview(scene, level=2, stretch=plain_stretch(3), memory_bytes=0)
    assert {path.name for path in tmp_path.iterdir()} == {"s.tif"}


def test_interruption_removes_temporary_files(tmp_path, make_scene, monkeypatch):
    monkeypatch.setattr(computed_module.tempfile, "tempdir", str(tmp_path))
    make_scene(tmp_path / "s.tif", size=(64, 64))

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with Scene.open(tmp_path / "s.tif") as scene, pytest.raises(KeyboardInterrupt):
        open_overview(scene, level=2, stretch=plain_stretch(3), memory_bytes=0, progress=interrupt)
    assert {path.name for path in tmp_path.iterdir()} == {"s.tif"}


def damage(path: Path, *, row: int, col: int) -> None:
    """Overwrite one compressed block of all bands."""
    with rasterio.open(path) as dataset:
        places = []
        for band in dataset.indexes:
            offset, size = (
                dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band) for what in ("OFFSET", "SIZE")
            )
            places.append((int(offset), int(size)))
    with path.open("r+b") as stream_:
        for offset, size in places:
            stream_.seek(offset)
            stream_.write(b"\xff" * size)


def test_a_damaged_block_is_recorded_and_the_rest_is_exact(tmp_path, make_scene, monkeypatch):
    monkeypatch.setattr(cells_module, "RETRY_SIDE", 64)
    values = make_scene(tmp_path / "s.tif", size=(192, 256))
    damage(tmp_path / "s.tif", row=1, col=2)
    with Scene.open(tmp_path / "s.tif") as scene:
        with pytest.raises(SceneReadError):
            scene.read(Window(64, 128, 64, 64))
        with open_overview(scene, level=2, stretch=plain_stretch(3)) as reader:
            found = whole(reader)
    (unread,) = reader.unread
    assert unread.window == Window(16, 32, 16, 16, 2)
    assert "s.tif" in unread.cause
    mean, low, _, share, _ = oracle(values, np.ones((192, 256), bool), 4)
    for expected in (mean, low, share):
        expected[..., 16:32, 32:48] = 0
    np.testing.assert_allclose(found.mean, mean / 200, atol=0.25 / 200)
    np.testing.assert_allclose(found.low, low / 200, atol=1e-6)
    np.testing.assert_array_equal(found.valid, share)


def test_warns_once_of_the_cost_and_only_where_it_is_large(tmp_path, make_scene, monkeypatch):
    make_scene(tmp_path / "s.tif", size=(100, 200))
    with Scene.open(tmp_path / "s.tif") as scene:
        open_overview(scene, level=2, stretch=plain_stretch(3)).close()  # warnings are errors here
        monkeypatch.setattr(overview_module, "COSTLY_PX", 19_999)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            open_overview(scene, level=2, stretch=plain_stretch(3)).close()
    assert [warning.category for warning in caught] == [NoOverviewsWarning]
    assert "s.tif has no overviews: its overview at 1/4" in str(caught[0].message)


def test_wrong_levels_are_refused(tmp_path, make_scene):
    make_scene(tmp_path / "s.tif", size=(64, 64))
    with Scene.open(tmp_path / "s.tif") as scene:
        with pytest.raises(ValueError, match="level 1"):
            open_overview(scene, level=0, stretch=plain_stretch(3))
        with (
            open_overview(scene, level=2, stretch=plain_stretch(3)) as reader,
            pytest.raises(ValueError, match="level 2"),
        ):
            reader.read(Window(0, 0, 4, 4, 3))


def test_averaged_overviews_agree_with_computed_means(tmp_path, make_scene):
    make_scene(tmp_path / "s.tif", size=(128, 128))
    with Scene.open(tmp_path / "s.tif") as scene, open_overview(scene, level=2, stretch=plain_stretch(3)) as reader:
        computed = whole(reader)
    with rasterio.open(tmp_path / "s.tif", "r+") as dataset:
        dataset.build_overviews([4], Resampling.average)
    with Scene.open(tmp_path / "s.tif") as scene, open_overview(scene, level=2, stretch=plain_stretch(3)) as reader:
        np.testing.assert_allclose(whole(reader).mean, computed.mean, atol=0.6 / 200)


def test_one_pixel(tmp_path, make_scene):
    make_scene(tmp_path / "s.tif", values=np.full((2, 1, 1), 50, np.uint8), block=None)
    with Scene.open(tmp_path / "s.tif") as scene, open_overview(scene, level=3, stretch=plain_stretch(2)) as reader:
        found = whole(reader)
    assert reader.size == Size(1, 1)
    assert found.valid.tolist() == [[1.0]]
    assert found.mean.ravel().tolist() == found.low.ravel().tolist() == found.high.ravel().tolist() == [0.25, 0.25]


def test_cells_of_one_step_are_left_alone():
    cells = Cells(np.ones((1, 2, 2)), np.ones((1, 2, 2)), np.ones((1, 2, 2)), np.ones((2, 2), int))
    assert coarsen(cells, 1) is cells
