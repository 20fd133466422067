"""GeoJSON against RFC 7946: places, winding, decimals, the antimeridian, the poles, and nothing lost."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from shapely.geometry import shape

from geopdn.errors import GeoreferenceError, OutputError
from geopdn.geometry.boxes import corners
from geopdn.geometry.ground import pixel_to_map
from geopdn.output.frames import detection_batches
from geopdn.output.geojson import lon_lat_polygons, write_geojson
from geopdn.output.write import write_result

SOUTH_UP = Affine(0.5, 0, 500_000, 0, 0.5, 4_999_000)
TURNED = Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_000_000)
NORTH_UP = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def features(path):
    return json.loads(path.read_text(encoding="utf-8"))["features"]


@pytest.mark.parametrize("transform", [NORTH_UP, SOUTH_UP, TURNED], ids=["north", "south", "turned"])
def test_features_follow_the_rfc(make_result, tmp_path, transform) -> None:
    result = make_result(20, transform=transform)
    path = write_result(result, tmp_path / "a.geojson")
    collection = json.loads(path.read_text(encoding="utf-8"))
    assert list(collection) == ["type", "geopdn", "features"]  # no obsolete crs member
    assert collection["type"] == "FeatureCollection"
    assert collection["geopdn"]["config_hash"] == "0123abcd"
    oracle = next(detection_batches(result)).to_crs(4326)
    assert len(collection["features"]) == 20
    for feature, row in zip(collection["features"], oracle.itertuples(), strict=True):
        polygon = shape(feature["geometry"])
        assert polygon.exterior.is_ccw
        assert polygon.is_valid
        assert shapely.hausdorff_distance(polygon, row.geometry) < 1e-7
        assert feature["properties"]["id"] == row.id
        assert feature["properties"]["score"] == pytest.approx(row.score, rel=1e-8)
        assert feature["properties"]["datetime"] == "2026-05-01T10:11:12Z"
        flat = np.array(feature["geometry"]["coordinates"]).ravel()
        assert np.array_equal(flat, np.round(flat, 7))


def test_geopandas_reads_the_same_table(make_result, tmp_path) -> None:
    result = make_result(12, classes=("aircraft", '<ves&sel "é✈">'), has_heading=False)
    back = gpd.read_file(write_result(result, tmp_path / "a.geojson"))
    frame = next(detection_batches(result))
    assert list(back.columns) == list(frame.columns)
    assert back.crs == CRS.from_epsg(4326)
    assert back.label.tolist() == frame.label.tolist()
    assert back.heading_deg.isna().all()
    assert np.allclose(back.length_m, frame.length_m, rtol=1e-8)


@pytest.mark.parametrize("n", [0, 25])
def test_equal_runs_give_equal_bytes_in_any_batches(make_result, tmp_path, n) -> None:
    paths = [tmp_path / name for name in ("a.geojson", "another.geojson")]
    for path, batch in zip(paths, (1000, 7), strict=True):
        write_geojson(make_result(n), path, batch=batch)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert len(features(paths[0])) == n
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # no line file is left


@pytest.mark.parametrize("zone", ["32660", "32601", "4326"])
def test_boxes_across_180_degrees_are_cut(make_result, tmp_path, zone) -> None:
    """A tilted 50 x 20 km box centred on the antimeridian, and one on either side of it."""
    crs = CRS.from_epsg(int(zone))
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(180.0, 10.0)
    step = 10.0 if zone != "4326" else 1e-4
    boxes = [[0, 0, 5000, 2000, 0.5], [-9000, 0, 500, 200, 0.5], [9000, 0, 500, 200, 0.5]]
    result = make_result(boxes=boxes, crs=crs, transform=Affine(step, 0, x, 0, -step, y))
    written = features(write_result(result, tmp_path / "a.geojson"))
    assert len(written) == 3
    expected = pixel_to_map(corners(result.detections.boxes), result.frame.transform)
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(expected[..., 0], expected[..., 1])
    kinds = []
    for feature, oracle in zip(written, shapely.polygons(np.stack([lon % 360, lat], -1)), strict=True):
        geometry = shape(feature["geometry"])
        kinds.append(geometry.geom_type)
        parts = list(getattr(geometry, "geoms", [geometry]))
        assert geometry.is_valid
        assert all(part.exterior.is_ccw for part in parts)
        assert geometry.bounds[0] >= -180
        assert geometry.bounds[2] <= 180
        assert all(part.bounds[2] - part.bounds[0] < 1 for part in parts)
        assert geometry.area == pytest.approx(oracle.area, rel=1e-4 if len(parts) == 1 else 3e-6)
        for part in parts:  # only the closing vertex is a repeated one
            assert len(set(part.exterior.coords)) == len(part.exterior.coords) - 1
        moved = shapely.union_all([shapely.transform(p, lambda xy: np.stack([xy[:, 0] % 360, xy[:, 1]], 1)) for p in
                                   parts if p.bounds[2] < 180])  # fmt: skip
        assert moved.difference(oracle.buffer(1e-6)).is_empty
    assert sorted(kinds) == ["MultiPolygon", "Polygon", "Polygon"]


def test_a_box_that_ends_on_the_antimeridian_stays_one_polygon() -> None:
    ring = np.array([[[179.9, 1.0], [179.9, 0.0], [180.0, 0.0], [180.0, 1.0]]])
    for shift in (0, -360):
        east = ring + np.array([shift, 0])
        (polygon,) = lon_lat_polygons(east, CRS.from_epsg(4326))
        assert polygon.geom_type == "Polygon"
        assert polygon.area == pytest.approx(0.1)
        assert abs(polygon.bounds[0]) <= 180


def test_polar_boxes_are_bent_and_a_pole_inside_is_refused(make_result, tmp_path) -> None:
    crs = CRS.from_epsg(3413)
    transform = Affine(10, 0, 0, 0, -10, 0)  # the pole is at pixel (0, 0)
    result = make_result(boxes=[[3000, 2000, 800, 400, 0.3]], crs=crs, transform=transform)
    (feature,) = features(write_result(result, tmp_path / "a.geojson"))
    polygon = shape(feature["geometry"])
    back = shapely.transform(
        polygon, lambda xy: np.stack(Transformer.from_crs(4326, 3413, always_xy=True).transform(*xy.T), 1)
    )
    oracle = next(detection_batches(result)).geometry[0]
    assert len(polygon.exterior.coords) == 33
    assert back.symmetric_difference(oracle).area < 1e-3 * oracle.area
    poles = make_result(boxes=[[0, 0, 800, 400, 0.3], [3000, 2000, 80, 40, 0]], crs=crs, transform=transform)
    with pytest.raises(GeoreferenceError, match="1 detections have a pole inside"):
        write_result(poles, tmp_path / "b.geojson")
    assert not (tmp_path / "b.geojson").exists()


def test_places_outside_the_domain_are_counted_and_nothing_is_written(make_result, tmp_path) -> None:
    result = make_result(6, transform=Affine(0.5, 0, 1e9, 0, -0.5, 1e9))
    with pytest.raises(GeoreferenceError, match=r"6 of 6 detections lie outside .*UTM zone 31N"):
        write_result(result, tmp_path / "a.geojson")
    beyond = make_result(2, crs=CRS.from_epsg(4326), transform=Affine(1e-4, 0, 0, 0, -1e-4, 95))
    with pytest.raises(GeoreferenceError, match="2 of 2"):
        write_result(beyond, tmp_path / "a.geojson")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("crs", [None, CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')], ids=["none", "local"])
def test_scenes_without_lon_lat_are_refused(make_result, tmp_path, crs) -> None:
    with pytest.raises(GeoreferenceError, match=r"write a \.gpkg instead"):
        write_result(make_result(2, crs=crs), tmp_path / "a.geojson")
    assert list(tmp_path.iterdir()) == []


def test_a_feature_lost_by_the_driver_is_an_error(make_result, tmp_path, monkeypatch) -> None:
    write = pyogrio.write_dataframe
    monkeypatch.setattr(pyogrio, "write_dataframe", lambda frame, *args, **options: write(frame[1:], *args, **options))
    with pytest.raises(OutputError, match="4 of 5 features"):
        write_result(make_result(5), tmp_path / "a.geojson")
    assert list(tmp_path.iterdir()) == []
