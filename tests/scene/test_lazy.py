import numpy as np
import pytest
import rasterio
from affine import Affine
from scene_factory import valid_truth

from geopdn.scene.reader import Scene

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rioxarray's own


@pytest.mark.parametrize("chunks", [None, 64, {"x": 100, "y": 50}])
def test_values_bands_coordinates_and_crs(tmp_path, make_scene, chunks):
    truth = make_scene(tmp_path / "a.tif", bands=4, dtype="uint16", descriptions=("B02", "B03", "B04", "B08"))
    with Scene.open(tmp_path / "a.tif", bands=["nir", "red"]) as scene:
        array = scene.to_xarray(chunks=chunks)
    assert array.dims == ("band", "y", "x")
    assert array.band.values.tolist() == ["B08", "B04"]
    assert (array.chunks is None) == (chunks is None)
    assert array.rio.crs.to_epsg() == 32633
    assert array.rio.transform().almost_equals(scene.transform, 1e-9)
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert (array.x.values[7], array.y.values[5]) == dataset.xy(5, 7)
    part = array.sel(band="B04")[20:40, 30:60]
    np.testing.assert_array_equal(part.values, truth[2, 20:40, 30:60])
    np.testing.assert_array_equal(array.values, truth[[3, 2]])


def test_masked_values_are_nan(tmp_path, make_scene):
    truth = make_scene(tmp_path / "a.tif", mask_kind="nodata", dtype="int16")
    with Scene.open(tmp_path / "a.tif") as scene:
        values = scene.to_xarray(masked=True).values
    valid = valid_truth((200, 300), "nodata")
    assert np.isnan(values[:, ~valid]).all()
    np.testing.assert_array_equal(values[:, valid], truth[:, valid])


def test_a_rotated_scene_keeps_its_transform(tmp_path, make_scene):
    transform = Affine(8.66, 5.0, 500_000.0, 5.0, -8.66, 5_000_000.0)
    make_scene(tmp_path / "a.tif", transform=transform)
    with Scene.open(tmp_path / "a.tif") as scene:
        array = scene.to_xarray()
    assert array.rio.transform().almost_equals(transform, 1e-9)
