import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from geopdn.errors import GeoreferenceError
from geopdn.scene.reader import Scene

PROFILE = {"driver": "GTiff", "height": 100, "width": 200, "count": 1, "dtype": "uint8"}
TRUE = Affine(10.0, 1.0, 500_000.0, 2.0, -9.0, 5_000_000.0)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_ground_control_points_are_fitted_with_their_residual(tmp_path):
    places = [(0, 0, 0.0), (0, 200, 0.0), (100, 0, 0.0), (100, 200, 30.0)]
    gcps = [GroundControlPoint(r, c, (TRUE @ (c, r))[0] + shift, (TRUE @ (c, r))[1]) for r, c, shift in places]
    with rasterio.open(tmp_path / "a.tif", "w", **PROFILE, gcps=gcps, crs="EPSG:32633"):
        pass
    with Scene.open(tmp_path / "a.tif") as scene:
        assert scene.crs.to_epsg() == 32633
        assert scene.transform @ (100, 50) == pytest.approx((501_050 + 7.5, 4_999_750), abs=1e-6)
        assert scene.gcp_residual_px == pytest.approx(0.75, rel=0.1)  # 30 m over four points on 10 m pixels


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_rpcs_alone_are_refused_with_advice(tmp_path):
    rpc = RPC(
        height_off=0, height_scale=1, lat_off=45, lat_scale=1, line_den_coeff=[1.0] + [0.0] * 19,
        line_num_coeff=[0.0] * 20, line_off=0, line_scale=1, long_off=15, long_scale=1,
        samp_den_coeff=[1.0] + [0.0] * 19, samp_num_coeff=[0.0] * 20, samp_off=0, samp_scale=1,
    )  # fmt: skip
    with rasterio.open(tmp_path / "a.tif", "w", **PROFILE, rpcs=rpc):
        pass
    with pytest.raises(GeoreferenceError, match="gdalwarp -rpc"):
        Scene.open(tmp_path / "a.tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("crs", "transform"), [(None, None), ("EPSG:32633", None), (None, TRUE)])
def test_half_a_georeference_is_none(tmp_path, make_scene, crs, transform):
    make_scene(tmp_path / "a.tif", crs=crs, transform=transform)
    with Scene.open(tmp_path / "a.tif") as scene:
        assert scene.crs is None
        assert scene.pixel_size is None
        assert scene.gcp_residual_px is None
        assert scene.transform.almost_equals(transform or Affine.identity(), 1e-9)


def test_places_outside_the_domain_are_refused(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif", transform=Affine(10.0, 0, 1e300, 0, -10.0, 5e6))
    with pytest.raises(GeoreferenceError):
        Scene.open(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"TIFFTAG_DATETIME": "2024:05:01 10:20:30"}, "2024-05-01T10:20:30"),
        (
            {"TIFFTAG_DATETIME": "2025:01:01 00:00:00", "ACQUISITIONDATETIME": "2024-05-01 10:20:30"},
            "2024-05-01T10:20:30",
        ),
        ({"ACQUISITION_DATE": "2024-05-01"}, "2024-05-01"),
        ({"ACQUISITIONDATETIME": "2024-05-01T10:20:30Z"}, "2024-05-01T10:20:30+00:00"),
        ({"TIFFTAG_DATETIME": "yesterday"}, ""),
        ({}, ""),
    ],
)
def test_times_are_iso_8601(tmp_path, make_scene, tags, expected):
    make_scene(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.update_tags(**tags)
    with Scene.open(tmp_path / "a.tif") as scene:
        assert scene.datetime == expected


@pytest.mark.parametrize("kind", ["Area", "Point"])
def test_pixel_edges_whatever_area_or_point_says(tmp_path, make_scene, kind):
    make_scene(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.update_tags(AREA_OR_POINT=kind)
    with rasterio.open(tmp_path / "a.tif") as dataset, Scene.open(tmp_path / "a.tif") as scene:
        centre = np.array(dataset.xy(0, 0))
        np.testing.assert_allclose(scene.transform @ (0.5, 0.5), centre, atol=1e-6)
