from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from affine import Affine

from geopdn.errors import OutputError, SceneReadError, SidecarWarning
from geopdn.geometry.window import Size, Window
from geopdn.scene import Scene, Stretch
from geopdn.scene import cells as cells_module
from geopdn.scene import prepare as prepare_module
from geopdn.scene.overview import Overview, OverviewReader, open_overview
from geopdn.scene.prepare import prepare, sidecar_path
from geopdn.scene.sidecar import TAG

if TYPE_CHECKING:
    from pathlib import Path


def stretch_of(bands: int) -> Stretch:
    return Stretch(low=(0.0,) * bands, high=(200.0,) * bands, scale=(1.0,) * bands, offset=(0.0,) * bands)


def whole(reader: OverviewReader) -> Overview:
    return reader.read(Window(0, 0, reader.size.height, reader.size.width, reader.level))


def open_whole(path: Path, *, level: int, bands: tuple[str, ...] | None = None, **options) -> tuple[str, Overview]:
    with Scene.open(path, bands=bands) as scene:
        stretch = stretch_of(len(scene.band_names))
        with open_overview(scene, level=level, stretch=stretch, **options) as reader:
            return reader.kind, whole(reader)


def prepared(path: Path, **options) -> Path:
    with Scene.open(path) as scene:
        return prepare(scene, **options)


@pytest.fixture
def scene_path(tmp_path, make_scene) -> Path:
    make_scene(tmp_path / "scene.tif", size=(101, 155))
    return tmp_path / "scene.tif"


@pytest.mark.parametrize(
    ("dtype", "mask_kind"),
    [("uint8", "none"), ("uint8", "alpha"), ("int16", "nodata"), ("float32", "nodata"), ("float32", "mask")],
)
@pytest.mark.parametrize("level", [2, 3])
def test_a_sidecar_says_what_a_pass_says(tmp_path, make_scene, monkeypatch, mask_kind, level, dtype):
    monkeypatch.setattr(cells_module, "PART_BYTES", 3 * 64 * 64)
    path = tmp_path / "scene.tif"
    make_scene(path, size=(101, 155), mask_kind=mask_kind, dtype=dtype)
    kind, computed = open_whole(path, level=level)
    assert kind == "computed"
    prepared(path)
    kind, stored = open_whole(path, level=level)
    assert kind == "sidecar"
    rounding = (0.5 + 1 / 16) / 200 if dtype != "float32" else 1e-6
    np.testing.assert_allclose(stored.mean, computed.mean, rtol=0, atol=rounding)
    np.testing.assert_array_equal(stored.low, computed.low)
    np.testing.assert_array_equal(stored.high, computed.high)
    np.testing.assert_array_equal(stored.valid, computed.valid)


def test_what_is_in_the_file(tmp_path, make_scene):
    path = tmp_path / "my scene.v2.tif"
    values = make_scene(path, size=(64, 80), bands=2, dtype="uint16", descriptions=("blue", "green"))
    steps = []
    before = path.read_bytes()
    sidecar = prepared(path, progress=lambda done, total: steps.append((done, total)))
    assert sidecar == sidecar_path(path) == tmp_path / "my scene.v2.geopdn-overview.tif"
    assert path.read_bytes() == before
    assert steps[-1] == (64 * 80, 64 * 80)
    blocks = values.reshape(2, 16, 4, 20, 4)
    with rasterio.open(sidecar) as dataset, rasterio.open(path) as original:
        stored = dataset.read()
        assert dataset.dtypes == ("uint16",) * 7
        assert dataset.descriptions == (
            "mean blue",
            "mean green",
            "minimum blue",
            "minimum green",
            "maximum blue",
            "maximum green",
            "valid pixels",
        )
        assert dataset.crs == original.crs
        assert dataset.transform.almost_equals(original.transform @ Affine.scale(4))
        assert dataset.compression.name == "deflate"
        assert dataset.block_shapes[0] == (256, 256)
        record = json.loads(dataset.tags()[TAG])
    np.testing.assert_array_equal(stored[:2], np.floor(blocks.mean((2, 4)) + 0.5))
    np.testing.assert_array_equal(stored[2:4], blocks.min((2, 4)))
    np.testing.assert_array_equal(stored[4:6], blocks.max((2, 4)))
    assert (stored[6] == 16).all()
    stat = path.stat()
    assert record["scene"] == {
        "bytes": [stat.st_size],
        "mtime_ns": [stat.st_mtime_ns],
        "width": 80,
        "height": 64,
        "count": 2,
        "dtype": "uint16",
    }
    assert (record["version"], record["level"], record["bands"]) == (1, 2, ["blue", "green"])
    assert {file.name for file in tmp_path.iterdir()} == {path.name, sidecar.name}


def test_with_a_sidecar_the_scene_is_never_read(scene_path, monkeypatch):
    prepared(scene_path)

    def refuse(*_: object) -> None:
        pytest.fail("the scene was read")

    monkeypatch.setattr(Scene, "read", refuse)
    assert open_whole(scene_path, level=3)[0] == "sidecar"


def test_a_sidecar_comes_before_internal_overviews(tmp_path, make_scene):
    make_scene(tmp_path / "s.tif", overviews=(2, 4))
    assert open_whole(tmp_path / "s.tif", level=2)[0] == "overviews"
    prepared(tmp_path / "s.tif")
    kind, found = open_whole(tmp_path / "s.tif", level=2)
    assert kind == "sidecar"
    assert found.low is not None


def test_padding(scene_path):
    prepared(scene_path)
    everything = open_whole(scene_path, level=3)[1]
    with Scene.open(scene_path) as scene, open_overview(scene, level=3, stretch=stretch_of(3)) as reader:
        assert reader.size == Size(13, 20)
        part = reader.read(Window(10, -2, 6, 10, 3))
        outside = reader.read(Window(13, 0, 2, 2, 3))
    assert part.low is not None
    assert everything.low is not None
    np.testing.assert_array_equal(part.mean[:, :3, 2:], everything.mean[:, 10:, :8])
    np.testing.assert_array_equal(part.low[:, :3, 2:], everything.low[:, 10:, :8])
    np.testing.assert_array_equal(part.valid[:3, 2:], everything.valid[10:, :8])
    assert not part.mean[:, 3:].any()
    assert not part.valid[3:].any()
    assert not part.valid[:, :2].any()
    assert not outside.valid.any()


def test_a_coarser_sidecar_serves_no_finer_level(scene_path):
    prepared(scene_path, level=3)
    assert open_whole(scene_path, level=3)[0] == "sidecar"
    assert open_whole(scene_path, level=2)[0] == "computed"


def test_bands_are_picked(tmp_path, make_scene):
    path = tmp_path / "s.tif"
    make_scene(path, bands=4, descriptions=("a", "b", "c", "d"))
    expected = open_whole(path, level=2, bands=("d", "b"))[1]
    prepared(path)
    kind, found = open_whole(path, level=2, bands=("d", "b"))
    assert kind == "sidecar"
    np.testing.assert_array_equal(found.high, expected.high)
    np.testing.assert_array_equal(found.low, expected.low)


@pytest.mark.parametrize(
    ("stored", "wanted", "mask_kind", "reason"),
    [(("a", "b"), ("c",), "none", "lacks the bands c"), (("a", "b"), ("a",), "nodata", "valid pixels are those of")],
)
def test_bands_that_do_not_fit_are_not_used(tmp_path, make_scene, stored, wanted, mask_kind, reason):
    path = tmp_path / "s.tif"
    make_scene(path, descriptions=("a", "b", "c"), mask_kind=mask_kind)
    with Scene.open(path, bands=stored) as scene:
        prepare(scene)
    assert open_whole(path, level=2, bands=stored)[0] == "sidecar"
    assert open_whole(path, level=2, bands=stored[::-1])[0] == "sidecar"
    with pytest.warns(SidecarWarning, match=reason):
        assert open_whole(path, level=2, bands=wanted)[0] == "computed"


def test_a_stale_sidecar_is_ignored_with_a_warning(scene_path, make_scene):
    prepared(scene_path)
    stat = scene_path.stat()
    os.utime(scene_path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    with pytest.warns(SidecarWarning, match="mtime_ns"):
        assert open_whole(scene_path, level=2)[0] == "computed"
    make_scene(scene_path, size=(101, 156), seed=1)
    os.utime(scene_path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.warns(SidecarWarning, match="bytes|width"):
        assert open_whole(scene_path, level=2)[0] == "computed"
    prepared(scene_path, overwrite=True)
    assert open_whole(scene_path, level=2)[0] == "sidecar"


@pytest.mark.parametrize("kind", ["text", "no tag", "bad json", "other version", "layout", "no scene"])
def test_other_files_by_that_name_are_ignored_with_a_warning(scene_path, make_scene, kind):
    sidecar = sidecar_path(scene_path)
    if kind == "text":
        sidecar.write_text("not a raster")
    elif kind == "no tag":
        make_scene(sidecar)
    else:
        prepared(scene_path)
        with rasterio.open(sidecar) as dataset:
            record = json.loads(dataset.tags()[TAG])
        if kind == "layout":
            make_scene(sidecar, bands=4, block=None)
        if kind == "no scene":
            del record["scene"]
        if kind == "other version":
            record["version"] = 2
        with rasterio.open(sidecar, "r+") as dataset:
            dataset.update_tags(**{TAG: "{" if kind == "bad json" else json.dumps(record)})
    with pytest.warns(SidecarWarning, match="geopdn prepare --overwrite"):
        assert open_whole(scene_path, level=2)[0] == "computed"


def test_a_damaged_sidecar_says_so(scene_path):
    sidecar = prepared(scene_path)
    with rasterio.open(sidecar) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=4))
    with sidecar.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 64)
    with pytest.raises(SceneReadError, match=r"geopdn-overview\.tif.*prepare --overwrite"):
        open_whole(scene_path, level=2)


def test_elsewhere(scene_path, tmp_path):
    (tmp_path / "other").mkdir()
    destination = tmp_path / "other" / "o.tif"
    assert prepared(scene_path, destination=destination) == destination
    assert open_whole(scene_path, level=2)[0] == "computed"
    assert open_whole(scene_path, level=2, sidecar=destination)[0] == "sidecar"
    with pytest.warns(SidecarWarning, match="missing.tif"):
        assert open_whole(scene_path, level=2, sidecar=tmp_path / "missing.tif")[0] == "computed"


def test_same_scene_same_bytes(scene_path, tmp_path):
    first = prepared(scene_path, destination=tmp_path / "1.tif").read_bytes()
    assert prepared(scene_path, destination=tmp_path / "2.tif").read_bytes() == first


def test_existing_files_are_kept(scene_path):
    sidecar = sidecar_path(scene_path)
    sidecar.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        prepared(scene_path)
    assert sidecar.read_bytes() == b"mine"
    assert prepared(scene_path, overwrite=True) == sidecar
    assert sidecar.read_bytes() != b"mine"


def test_the_scene_is_never_replaced(scene_path):
    before = scene_path.read_bytes()
    with pytest.raises(OutputError):
        prepared(scene_path, destination=scene_path, overwrite=True)
    (scene_path.parent / "link.tif").symlink_to(scene_path)
    with pytest.raises(OutputError):
        prepared(scene_path, destination=scene_path.parent / "link.tif", overwrite=True)
    assert scene_path.read_bytes() == before


def test_a_folder_that_cannot_be_written(scene_path, tmp_path):
    with pytest.raises(OutputError, match=r"o\.tif cannot be written") as caught:
        prepared(scene_path, destination=tmp_path / "missing" / "o.tif")
    assert caught.value.exit_code == 6
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"o\.tif cannot be written"):
        prepared(scene_path, destination=tmp_path / "file" / "o.tif")
    with pytest.raises(OutputError, match="exists already"):
        prepared(scene_path, destination=tmp_path, overwrite=True)


@pytest.mark.parametrize("level", [0, 4])
def test_levels_that_cannot_be_stored(scene_path, level):
    with pytest.raises(ValueError, match="level 1, 2 or 3"):
        prepared(scene_path, level=level)


def test_nothing_is_left_after_an_interruption(scene_path):
    def interrupt(*_: int) -> None:
        assert any(".tmp" in path.name for path in scene_path.parent.iterdir())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared(scene_path, progress=interrupt)
    assert [path.name for path in scene_path.parent.iterdir()] == ["scene.tif"]


def test_a_failed_run_keeps_the_former_sidecar(scene_path):
    sidecar = prepared(scene_path)
    before = sidecar.read_bytes()

    def touch(*_: int) -> None:
        os.utime(scene_path, ns=(0, 0))

    with pytest.raises(SceneReadError, match="changed"):
        prepared(scene_path, overwrite=True, progress=touch)
    assert sidecar.read_bytes() == before
    assert len(list(scene_path.parent.iterdir())) == 2


def test_blocks_lost_on_a_full_disk_are_noticed(scene_path, monkeypatch):
    write = prepare_module._write

    def write_and_lose(scene: Scene, path: Path, **options) -> None:  # GDAL reports no failed write of a block
        write(scene, path, **options)
        with rasterio.open(path) as dataset:
            last = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=10))
        with path.open("r+b") as stream:
            stream.truncate(last + 5)

    monkeypatch.setattr(prepare_module, "_write", write_and_lose)
    with pytest.raises(OutputError, match="free space"):
        prepared(scene_path)
    assert [path.name for path in scene_path.parent.iterdir()] == ["scene.tif"]


def test_a_damaged_scene_leaves_no_sidecar(scene_path):
    with rasterio.open(scene_path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    with scene_path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 64)
    with pytest.raises(SceneReadError):
        prepared(scene_path)
    assert [path.name for path in scene_path.parent.iterdir()] == ["scene.tif"]


def test_a_mosaic_is_known_by_its_sources(tmp_path, scene_path):
    with rasterio.open(scene_path) as dataset:
        bands = "".join(
            f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename relativeToVRT="1">scene.tif'
            f"</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
            for band in dataset.indexes
        )
    vrt = tmp_path / "mosaic.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="155" rasterYSize="101">{bands}</VRTDataset>')

    def kind() -> str:
        with (
            Scene.open(vrt, allow_vrt=True) as scene,
            open_overview(scene, level=2, stretch=stretch_of(3)) as reader,
        ):
            return reader.kind

    with Scene.open(vrt, allow_vrt=True) as scene:
        prepare(scene)
    assert kind() == "sidecar"
    os.utime(scene_path, ns=(0, 0))
    with pytest.warns(SidecarWarning, match="mtime_ns"):
        assert kind() == "computed"


@pytest.mark.parametrize("level", [2, 3])
def test_windows_across_tiles_of_the_sidecar(tmp_path, make_scene, level):
    path = tmp_path / "s.tif"
    values = make_scene(path, size=(1100, 1060), bands=1, block=256)
    prepared(path)
    step = 1 << level
    row, col, height, width = 1000 // step, 992 // step, 96 // step, 64 // step  # cells around the tiles' corner
    with Scene.open(path) as scene, open_overview(scene, level=level, stretch=stretch_of(1)) as reader:
        found = reader.read(Window(row, col, height, width, level))
    cells = values[0, row * step :, col * step :][: height * step, : width * step]
    cells = cells.reshape(height, step, width, step)
    assert found.low is not None
    assert found.high is not None
    np.testing.assert_allclose(found.low[0], cells.min((1, 3)) / 200, atol=1e-6)
    np.testing.assert_allclose(found.high[0], cells.max((1, 3)) / 200, atol=1e-6)
    np.testing.assert_allclose(found.mean[0], cells.mean((1, 3)) / 200, atol=0.5 / 200 + 1e-6)
    assert (found.valid == 1).all()
