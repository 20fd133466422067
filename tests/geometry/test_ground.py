"""Pixel <-> map against rasterio, ground lengths against known values."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod
from rasterio.transform import xy

from geopdn.errors import GeoreferenceError
from geopdn.geometry import ground

UTM = CRS.from_epsg(32631)
MERCATOR = CRS.from_epsg(3857)

transforms = st.builds(
    lambda angle, sx, sy, x, y: Affine.translation(x, y) @ Affine.rotation(angle) @ Affine.scale(sx, sy),
    st.floats(-180, 180),
    st.floats(0.1, 100),
    st.one_of(st.floats(-100, -0.1), st.floats(0.1, 100)),
    st.floats(-2e7, 2e7),
    st.floats(-2e7, 2e7),
)


@settings(deadline=None)
@given(transforms, st.floats(-1e5, 4e5), st.floats(-1e5, 4e5))
def test_round_trip_below_a_millionth_of_a_pixel(transform: Affine, col: float, row: float) -> None:
    points = np.array([[col, row]])
    there = ground.pixel_to_map(points, transform)
    np.testing.assert_allclose(there[0], transform @ (col, row), rtol=1e-12, atol=1e-6)
    np.testing.assert_allclose(ground.map_to_pixel(there, transform), points, atol=1e-6)


def test_edge_convention_is_rasterios_upper_left() -> None:
    transform = Affine(10, 0.5, 500_000, 0.25, -10, 5_000_000)
    x, y = xy(transform, [3, 7], [2, 11], offset="ul")
    got = ground.pixel_to_map(np.array([[2.0, 3], [11, 7]]), transform)
    np.testing.assert_allclose(got, np.stack([x, y], -1), atol=1e-9)


def test_longitude_comes_first() -> None:
    np.testing.assert_allclose(ground.to_lon_lat(np.array([[500_000.0, 0]]), UTM), [[3, 0]], atol=1e-9)
    back = ground.transformer(ground.LON_LAT, UTM).transform(3.0, 45.0)
    np.testing.assert_allclose(back, (500_000, 4_982_950.4), atol=0.1)


def test_web_mercator_is_true_ground_size() -> None:
    x, y = ground.transformer(ground.LON_LAT, MERCATOR).transform(10.0, 60.0)
    size = ground.pixel_size(Affine(10, 0, x, 0, -10, y), MERCATOR, col=0, row=0)
    assert size.x_m == pytest.approx(5.0, rel=5e-3)  # 10 m x cos 60, to the ellipsoid's difference
    assert size.mean_m == pytest.approx(np.sqrt(size.x_m * size.y_m))


def test_degrees_are_measured_by_the_geodesic() -> None:
    transform = Affine(1e-4, 0, 10, 0, -1e-4, 60)
    size = ground.pixel_size(transform, ground.LON_LAT, col=100, row=100)
    geod = Geod(ellps="WGS84")
    lat, lon = 60 - 0.01, 10.01
    assert size.x_m == pytest.approx(geod.inv(lon, lat, lon + 1e-4, lat)[2], rel=1e-5)
    assert size.y_m == pytest.approx(geod.inv(lon, lat, lon, lat + 1e-4)[2], rel=1e-5)


def test_azimuth_is_clockwise_from_north() -> None:
    starts = np.array([[500_000.0, 0]] * 4)
    steps = np.array([[0, 100.0], [100, 0], [0, -100], [-100, 0]])
    length, azimuth = ground.ground_vectors(starts, starts + steps, UTM)
    np.testing.assert_allclose(length, 100 / 0.9996, rtol=1e-6)
    np.testing.assert_allclose((azimuth + 1) % 360 - 1, [0, 90, 180, 270], atol=1e-6)


def test_local_systems_use_their_own_unit() -> None:
    feet = CRS.from_wkt(
        'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["foot",0.3048]]'
    )
    length, azimuth = ground.ground_vectors(np.zeros((1, 2)), np.array([[30.0, 40]]), feet)
    assert length[0] == pytest.approx(50 * 0.3048)
    assert azimuth[0] == pytest.approx(np.degrees(np.arctan2(3, 4)))


def test_outside_the_domain_is_an_error() -> None:
    with pytest.raises(GeoreferenceError, match="outside the domain"):
        ground.pixel_size(Affine(10, 0, 1e300, 0, -10, 0), UTM, col=0, row=0)


def test_no_operation_between_systems_is_an_error() -> None:
    site = CRS.from_wkt(
        'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["m",1]]'
    )
    with pytest.raises(GeoreferenceError, match="no coordinate operation from 'site'"):
        ground.transformer(site, UTM)
