"""Faults 33 to 45: where a scene lies on the Earth."""

from __future__ import annotations

import json
import re
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from planted import PLACES, TARGET
from pyproj import CRS, Geod, Transformer
from rasterio.rpc import RPC

import geopdn
from geopdn.errors import ConfigError, GeoreferenceError
from geopdn.geometry.ground import map_to_pixel, pixel_to_map

LOCAL = 'LOCAL_CS["site",UNIT["metre",1]]'


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "options",
    [{"crs": None}, {"transform": Affine.identity()}, {"crs": None, "transform": Affine.identity()}],
    ids=["33-no-crs", "34-no-transform", "neither"],
)
def test_33_34_no_place_needs_a_word_and_a_geopackage(fails, cli, plant, exact, tmp_path, options):
    path = plant(tmp_path / "plain.tif", **options)
    detect = ("detect", path, "--model", exact, "-q", "--budget", "full")
    assert "--pixel-output" in fails(GeoreferenceError, *detect)
    assert "into a .gpkg" in fails(ConfigError, *detect, "--pixel-output", "-o", "o.geojson")
    done = cli(*detect, "--pixel-output", "-o", "o.gpkg")
    assert done.code == 0, done.err
    centres = geopandas.read_file(tmp_path / "o.gpkg", layer="detections").centroid
    wanted = {(col + TARGET / 2, -(row + TARGET / 2)) for row, col in PLACES}
    assert {(round(point.x, 3), round(point.y, 3)) for point in centres} == wanted


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_35_rpcs_alone_are_refused(fails, plant, tmp_path):
    rpc = RPC(
        height_off=0, height_scale=1, lat_off=45, lat_scale=1, line_den_coeff=[1.0] + [0.0] * 19,
        line_num_coeff=[0.0] * 20, line_off=0, line_scale=1, long_off=15, long_scale=1,
        samp_den_coeff=[1.0] + [0.0] * 19, samp_num_coeff=[0.0] * 20, samp_off=0, samp_scale=1,
    )  # fmt: skip
    path = plant(tmp_path / "rpc.tif", crs=None, transform=Affine.identity(), rpcs=rpc)
    assert "gdalwarp -rpc" in fails(GeoreferenceError, "info", path)


@pytest.mark.parametrize(
    "transform",
    [
        Affine.translation(5e5, 5e6) * Affine.rotation(30) * Affine.scale(0.5, -0.5),
        Affine(0.5, 0, 5e5, 0, 0.5, 5e6),
        Affine(0.5, 0, 5e5, 0, -0.55, 5e6),
    ],
    ids=["36-rotated", "37-south-up", "38-not-square"],
)
def test_36_37_38_places_and_orientation(cli, plant, exact, tmp_path, transform):
    path = plant(tmp_path / "scene.tif", transform=transform)
    done = cli("detect", path, "--model", exact, "-q", "--budget", "full", "-o", "o.gpkg")
    assert done.code == 0, done.err
    table = geopandas.read_file(tmp_path / "o.gpkg", layer="detections")
    assert len(table) == len(PLACES)
    assert all(polygon.exterior.is_ccw and polygon.is_valid for polygon in table.geometry)
    found = map_to_pixel(shapely.get_coordinates(table.centroid.values), transform)
    wanted = np.array([(col + TARGET / 2, row + TARGET / 2) for row, col in PLACES])
    assert np.abs(found[:, None] - wanted[None]).max(2).min(1).max() < 0.6
    sides = sorted((TARGET * np.hypot(transform.a, transform.d), TARGET * np.hypot(transform.b, transform.e)))
    assert table.width_m.median() == pytest.approx(sides[0], rel=0.03)
    assert table.length_m.median() == pytest.approx(sides[1], rel=0.03)


def test_38_degrees_give_metres(cli, plant, exact, tmp_path):
    step = 0.5 / 111_320
    path = plant(tmp_path / "degrees.tif", crs="EPSG:4326", transform=Affine(step, 0, 10, 0, -step, 1))
    done = cli("detect", path, "--model", exact, "-q", "--budget", "full", "-o", "o.gpkg")
    assert done.code == 0, done.err
    table = geopandas.read_file(tmp_path / "o.gpkg", layer="detections")
    areas = [abs(Geod(ellps="WGS84").geometry_area_perimeter(polygon)[0]) for polygon in table.geometry]
    np.testing.assert_allclose(table.area_m2, areas, rtol=1e-3)
    assert 30 < table.area_m2.median() < 40


def test_39_85_pixels_to_map_and_back_in_double_precision():
    transform = Affine(0.5, 0, 500_005.0, 0, -0.5, 4_999_995.0)
    points = np.random.default_rng(0).uniform(0, 1e5, (1000, 2))
    assert np.abs(map_to_pixel(pixel_to_map(points, transform), transform) - points).max() < 1e-6
    assert pixel_to_map(points, transform).dtype == np.float64
    rounded = pixel_to_map(points, transform).astype(np.float32).astype(np.float64)
    assert np.abs(map_to_pixel(rounded, transform) - points).max() > 0.1  # what float32 would have cost


def test_40_a_local_system_stays_in_the_geopackage(fails, cli, plant, exact, tmp_path):
    path = plant(tmp_path / "local.tif", crs=CRS.from_wkt(LOCAL).to_wkt())
    detect = ("detect", path, "--model", exact, "-q", "--budget", "full")
    assert "write a .gpkg instead" in fails(GeoreferenceError, *detect, "-o", "o.geojson")
    assert cli(*detect, "-o", "o.gpkg").code == 0
    assert len(geopandas.read_file(tmp_path / "o.gpkg", layer="detections")) == 5


def test_41_detections_outside_the_domain_leave_no_geojson(fails, cli, plant, exact, tmp_path, monkeypatch):
    from geopdn.output import geojson

    path = plant(tmp_path / "scene.tif")
    true = geojson.to_lon_lat

    def partly(points, crs):
        out = true(points, crs)
        out[0] = np.inf
        return out

    monkeypatch.setattr(geojson, "to_lon_lat", partly)
    line = fails(GeoreferenceError, "detect", path, "--model", exact, "-q", "--budget", "full", "-o", "o.geojson")
    assert "1 of 5 detections lie outside the domain" in line


def test_42_one_place_makes_transformers_and_longitude_comes_first():
    folder = Path(geopdn.__file__).parent
    used = [path for path in folder.rglob("*.py") if re.search(r"\bfrom_crs\(", path.read_text())]
    assert [path.relative_to(folder).as_posix() for path in used] == ["geometry/ground.py"]
    assert "always_xy=True" in used[0].read_text()


def test_43_a_scene_across_180_degrees_is_cut(cli, plant, exact, tmp_path):
    x, y = Transformer.from_crs(4326, 32660, always_xy=True).transform(180.0, 10.0)
    row, col = PLACES[2]
    transform = Affine(0.5, 0, x - 0.5 * (col + TARGET / 2), 0, -0.5, y + 0.5 * row)
    path = plant(tmp_path / "scene.tif", crs="EPSG:32660", transform=transform)
    assert cli("detect", path, "--model", exact, "-q", "--budget", "full", "-o", "o.geojson").code == 0
    shapes = [
        shapely.geometry.shape(one["geometry"]) for one in json.loads((tmp_path / "o.geojson").read_text())["features"]
    ]
    assert len(shapes) == 5
    assert [shape.geom_type for shape in shapes].count("MultiPolygon") >= 1
    assert all(shape.is_valid and abs(shape.bounds[0]) <= 180 and abs(shape.bounds[2]) <= 180 for shape in shapes)
    geod = Geod(ellps="WGS84")
    areas = [abs(sum(geod.geometry_area_perimeter(part)[0] for part in shapely.get_parts(shape))) for shape in shapes]
    np.testing.assert_allclose(areas, 36, rtol=0.02)


@pytest.mark.parametrize("code", [3413, 3031])
def test_44_over_a_pole(fails, cli, plant, exact, tmp_path, code):
    row, col = PLACES[2]
    transform = Affine(0.5, 0, -0.5 * (col + TARGET / 2), 0, -0.5, 0.5 * (row + TARGET / 2))
    path = plant(tmp_path / "pole.tif", crs=f"EPSG:{code}", transform=transform)
    detect = ("detect", path, "--model", exact, "-q", "--budget", "full")
    assert "have a pole inside" in fails(GeoreferenceError, *detect, "-o", "o.geojson")
    assert cli(*detect, "-o", "o.gpkg").code == 0
    table = geopandas.read_file(tmp_path / "o.gpkg", layer="detections")
    assert table.crs.to_epsg() == code
    assert len(table) == 5


@pytest.mark.parametrize("x", [1e300, 1e12])
def test_45_coordinates_beyond_the_earth(fails, plant, tmp_path, x):
    path = plant(tmp_path / "far.tif", transform=Affine(0.5, 0, x, 0, -0.5, 5e6))
    assert "far.tif" in fails(GeoreferenceError, "info", path)


def test_45_a_transform_of_numbers_that_are_none(fails, plant, tmp_path):
    path = plant(tmp_path / "nan.tif", transform=Affine(float("nan"), 0, 0, 0, -0.5, 5e6))
    assert "nan.tif" in fails(GeoreferenceError, "info", path)


def test_rasterio_is_the_oracle_of_edges(plant, tmp_path):
    with rasterio.open(plant(tmp_path / "a.tif")) as source:
        assert source.transform @ (0, 0) == (500_000, 5_000_000)
