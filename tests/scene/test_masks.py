import warnings

import numpy as np
import pytest
import rasterio
from scene_factory import valid_truth

from geopdn.errors import RadiometryWarning
from geopdn.geometry.window import Window
from geopdn.scene.decode import usable_nodata
from geopdn.scene.levels import block_mean
from geopdn.scene.reader import Scene

KINDS = [
    ("nodata", "uint8"),
    ("nodata", "int16"),
    ("nodata", "float32"),
    ("alpha", "uint8"),
    ("nodata+alpha", "uint8"),
    ("mask", "uint8"),
    ("mask", "uint16"),
    ("nan", "float32"),
    ("nan", "float64"),
]


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_masks_at_full_resolution(tmp_path, make_scene, kind, dtype):
    truth = make_scene(tmp_path / "a.tif", mask_kind=kind, dtype=dtype)
    with Scene.open(tmp_path / "a.tif") as scene:
        assert scene.band_names == ("red", "green", "blue") if dtype == "uint8" else ("1", "2", "3")
        pixels = scene.read(Window(0, 0, 200, 300))
        np.testing.assert_array_equal(pixels.valid, valid_truth((200, 300), kind))
        np.testing.assert_array_equal(pixels.values, truth)


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
@pytest.mark.parametrize("level", [1, 3])
def test_masks_never_leak_into_means(tmp_path, make_scene, kind, dtype, level):
    truth = make_scene(tmp_path / "a.tif", mask_kind=kind, dtype=dtype, size=(203, 301))
    expected, valid = block_mean(truth, valid_truth((203, 301), kind), 1 << level)
    with Scene.open(tmp_path / "a.tif") as scene:
        full = scene.size.at_level(level)
        pixels = scene.read(Window(0, 0, full.height, full.width, level))
        np.testing.assert_array_equal(pixels.valid, valid)
        np.testing.assert_array_equal(pixels.values, expected)


@pytest.mark.parametrize(("kind", "dtype"), [pair for pair in KINDS if pair[0] != "nan"])
def test_masks_of_overviews(tmp_path, make_scene, kind, dtype):
    values = np.full((3, 256, 256), 100).astype(dtype)
    make_scene(tmp_path / "a.tif", mask_kind=kind, values=values, overviews=(2, 4))
    _, expected = block_mean(values, valid_truth((256, 256), kind), 4)
    with Scene.open(tmp_path / "a.tif") as scene:
        assert scene.overview_factors == (2, 4)
        pixels = scene.read(Window(0, 0, 64, 64, 2))
        assert (pixels.values[:, ~pixels.valid] == 0).all()
        np.testing.assert_allclose(pixels.values[:, pixels.valid], 100, atol=1)  # nothing mixed in
        assert (pixels.valid == expected).mean() > 0.97  # overviews round their own way along edges


def test_infinities_are_invalid(tmp_path, make_scene):
    values = np.ones((2, 16, 16), np.float32)
    values[0, 3, 4], values[1, 5, 6] = np.inf, -np.inf
    make_scene(tmp_path / "a.tif", values=values, block=16)
    with Scene.open(tmp_path / "a.tif") as scene:
        pixels = scene.read(Window(0, 0, 16, 16))
    assert np.argwhere(~pixels.valid).tolist() == [[3, 4], [5, 6]]
    assert np.isfinite(pixels.values).all()


def test_nodata_differs_by_band(tmp_path, make_scene):
    values = np.stack([np.arange(64).reshape(8, 8), np.arange(64).reshape(8, 8)]).astype(np.uint8)
    make_scene(tmp_path / "a.tif", values=values, block=16)
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><NoDataValue>{nodata}</NoDataValue><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">a.tif</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for band, nodata in ((1, 5), (2, 7))
    )
    (tmp_path / "a.vrt").write_text(f'<VRTDataset rasterXSize="8" rasterYSize="8">{bands}</VRTDataset>')
    with Scene.open(tmp_path / "a.vrt", allow_vrt=True) as scene:
        assert scene.nodata == (5, 7)
        assert np.argwhere(~scene.read(Window(0, 0, 8, 8)).valid).tolist() == [[0, 5], [0, 7]]
    with Scene.open(tmp_path / "a.vrt", allow_vrt=True, bands=[2]) as scene:
        assert np.argwhere(~scene.read(Window(0, 0, 8, 8)).valid).tolist() == [[0, 7]]


def test_nodata_that_cannot_occur_is_ignored_with_a_warning(tmp_path, make_scene):
    truth = make_scene(tmp_path / "a.tif", bands=1)
    (tmp_path / "a.vrt").write_text(
        '<VRTDataset rasterXSize="300" rasterYSize="200"><VRTRasterBand dataType="Byte" band="1"><NoDataValue>50.5'
        '</NoDataValue><SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.warns(RadiometryWarning, match=r"nodata 50\.5 cannot occur in uint8"):
        scene = Scene.open(tmp_path / "a.vrt", allow_vrt=True)
    with scene:
        pixels = scene.read(Window(0, 0, 200, 300))
        assert pixels.valid.all()
        np.testing.assert_array_equal(pixels.values, truth)


def test_nodata_outside_the_type_of_a_geotiff_is_ignored(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif", nodata=255)
    data = (tmp_path / "a.tif").read_bytes()
    tag = b"\x81\xa4\x02\x00\x04\x00\x00\x00255\x00"  # GDAL_NODATA, ASCII, four bytes
    assert data.count(tag) == 1
    (tmp_path / "a.tif").write_bytes(data.replace(tag, tag[:8] + b"-99\x00"))
    with Scene.open(tmp_path / "a.tif") as scene:  # GDAL itself drops it, without a word
        assert scene.nodata == (None, None, None)
        assert scene.read(Window(0, 0, 200, 300)).valid.all()


@pytest.mark.parametrize(
    ("value", "dtype", "kept"),
    [(-9999.0, "uint8", False), (255.0, "uint8", True), (float("nan"), "int16", False), (1e39, "float32", False),
     (float("nan"), "float32", True), (-3.4028234663852886e38, "float32", True), (None, "uint8", False)],
)  # fmt: skip
def test_usable_nodata(value, dtype, kept):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RadiometryWarning)
        found = usable_nodata(value, np.dtype(dtype), name="a")
    assert (found is not None) == kept


def test_a_fourth_band_that_gdal_calls_alpha_is_data_where_it_has_a_name(tmp_path):
    profile = {"driver": "GTiff", "height": 16, "width": 16, "count": 4, "dtype": "uint8"}
    for name in ("", "B08"):
        with rasterio.open(tmp_path / "a.tif", "w", **profile, transform=rasterio.Affine.scale(2)) as dataset:
            dataset.write(np.zeros((4, 16, 16), np.uint8))
            for index, text in enumerate(("B02", "B03", "B04", name), start=1):
                dataset.set_band_description(index, text)
        with Scene.open(tmp_path / "a.tif") as scene:
            assert scene.all_band_names == ("B02", "B03", "B04", "B08")[: 4 if name else 3]
            assert scene.read(Window(0, 0, 16, 16)).valid.all() == bool(name)


def test_palettes_become_colours(tmp_path):
    index = np.random.default_rng(0).integers(0, 4, (32, 32)).astype(np.uint8)
    table = {0: (0, 0, 0, 255), 1: (250, 10, 20, 255), 2: (30, 240, 40, 255), 3: (5, 6, 7, 0)}
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=32, width=32, count=1, dtype="uint8", crs="EPSG:32633",
        transform=rasterio.Affine(1, 0, 5e5, 0, -1, 5e6),
    ) as dataset:  # fmt: skip
        dataset.write(index, 1)
        dataset.write_colormap(1, table)
    with Scene.open(tmp_path / "a.tif", bands=["blue", "red"]) as scene:
        assert scene.is_palette
        pixels = scene.read(Window(0, 0, 32, 32))
    expected = np.array([[colour[2], colour[0]] for colour in table.values()], np.uint8)[index]
    shown = index == 1
    np.testing.assert_array_equal(pixels.values[:, shown], expected[shown].T)
    assert set(map(tuple, pixels.values[:, shown].T.tolist())) == {(20, 250)}
    opaque = dataset_alpha(tmp_path / "a.tif", table)[index]
    np.testing.assert_array_equal(pixels.valid, opaque)


def dataset_alpha(path, table):
    """What the file itself says of each entry's opacity (GeoTIFF keeps none)."""
    with rasterio.open(path) as dataset:
        return np.array([dataset.colormap(1)[index][3] > 0 for index in table])
