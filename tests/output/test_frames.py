"""The tables against shapely and pyproj: places, directions and true sizes for any transform."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer

from geopdn.errors import OutputError
from geopdn.geometry.boxes import to_polygons
from geopdn.geometry.ground import map_to_pixel
from geopdn.output.frames import detection_batches, run_frame, text, utc, window_batches, writable

COLUMNS = [
    "id",
    "label",
    "score",
    "length_m",
    "width_m",
    "heading_deg",
    "area_m2",
    "scale",
    "window",
    "scene",
    "datetime",
    "geometry",
]
WINDOW_COLUMNS = [
    "id",
    "kind",
    "scale",
    "reason",
    "round",
    "expected",
    "found",
    "status",
    "cause",
    "row",
    "col",
    "height",
    "width",
    "read_row",
    "read_col",
    "read_height",
    "read_width",
    "geometry",
]

NORTH_UP = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
SOUTH_UP = Affine(0.5, 0, 500_000, 0, 0.5, 4_999_000)
TURNED = Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_000_000)  # 0.5 m pixels
MIRRORED = Affine(-0.5, 0, 501_000, 0, -0.5, 5_000_000)


def whole(result):
    (frame,) = detection_batches(result)
    return frame


@pytest.mark.parametrize(
    "transform", [NORTH_UP, SOUTH_UP, TURNED, MIRRORED], ids=["north", "south", "turned", "mirrored"]
)
def test_polygons_are_the_boxes_mapped_counter_clockwise_and_valid(make_result, transform) -> None:
    result = make_result(60, transform=transform)
    frame = whole(result)
    assert list(frame.columns) == COLUMNS
    assert shapely.is_ccw(shapely.get_exterior_ring(frame.geometry.array)).all()
    assert shapely.is_valid(frame.geometry.array).all()
    for polygon, box in zip(frame.geometry, to_polygons(result.detections.boxes), strict=True):
        oracle = shapely.affinity.affine_transform(
            box, [transform.a, transform.b, transform.d, transform.e, transform.c, transform.f]
        )
        assert shapely.symmetric_difference(polygon, oracle).area < 1e-6 * oracle.area
        back = map_to_pixel(np.array(polygon.exterior.coords), transform)
        assert shapely.hausdorff_distance(shapely.Polygon(back), box) < 1e-6  # rows 39, 85: edges, float64


def test_a_box_over_known_pixels_has_their_outer_edges(make_result) -> None:
    """Columns 100-139 and rows 200-209 whole: no half-pixel shift."""
    frame = whole(make_result(boxes=[[120, 205, 40, 10, 0]]))
    assert frame.geometry[0].bounds == (500_050.0, 4_999_895.0, 500_070.0, 4_999_900.0)


@pytest.mark.parametrize(
    ("angle", "heading"), [(0, 90), (np.pi / 2, 0), (-np.pi / 2, 0), (np.pi / 4, 135), (-np.pi / 4, 45)]
)
def test_sizes_and_heading_on_the_central_meridian(make_result, angle, heading) -> None:
    """UTM's scale on its central meridian is 0.9996, and grid north is true north there (to half a length)."""
    frame = whole(make_result(boxes=[[0, 0, 200, 80, angle]]))
    row = frame.iloc[0]
    assert row.length_m == pytest.approx(100 / 0.9996, rel=1e-6)
    assert row.width_m == pytest.approx(40 / 0.9996, rel=1e-6)
    assert row.area_m2 == pytest.approx(row.length_m * row.width_m, rel=1e-6)
    assert 0 <= row.heading_deg < 180
    assert abs((row.heading_deg - heading + 90) % 180 - 90) < 1e-3


def test_heading_is_from_true_north_not_grid_north(make_result) -> None:
    """Three degrees east of the central meridian grid north leans by the meridian convergence."""
    transform = Affine(0.5, 0, 736_000, 0, -0.5, 5_000_000)
    row = whole(make_result(boxes=[[0, 0, 200, 80, np.pi / 2]], transform=transform)).iloc[0]
    lon, lat = Transformer.from_crs(32631, 4326, always_xy=True).transform(736_000, 5_000_000)
    convergence = np.degrees(np.arctan(np.tan(np.radians(lon - 3)) * np.sin(np.radians(lat))))
    assert row.heading_deg == pytest.approx(convergence, abs=1e-3)
    assert convergence > 2


def test_web_mercator_sizes_are_true_metres(make_result) -> None:
    """At 60 degrees north Web Mercator doubles lengths."""
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(10, 60)
    result = make_result(boxes=[[0, 0, 100, 40, 0.4]], crs=CRS.from_epsg(3857), transform=Affine(1, 0, x, 0, -1, y))
    row = whole(result).iloc[0]
    assert row.length_m == pytest.approx(50, rel=5e-3)
    assert row.width_m == pytest.approx(20, rel=5e-3)


@pytest.mark.parametrize("angle", [0, 0.7, np.pi / 2 - 1e-9])
def test_degrees_give_geodesic_metres_and_length_is_the_longer_side(make_result, angle) -> None:
    """Square pixels in degrees at 60 N are half as wide as high: areas follow the geodesic polygon."""
    transform = Affine(1e-5, 0, 10, 0, -1e-5, 60)
    row = whole(make_result(boxes=[[0, 0, 50, 40, angle]], crs=CRS.from_epsg(4326), transform=transform)).iloc[0]
    oracle, _ = Geod(ellps="WGS84").geometry_area_perimeter(row.geometry)
    assert row.area_m2 == pytest.approx(oracle, rel=1e-4)
    assert row.length_m >= row.width_m
    if angle == 0:  # 50 columns are the shorter side on the ground
        assert abs((row.heading_deg + 90) % 180 - 90) < 1e-3
        assert row.length_m == pytest.approx(40 * 1.1141, rel=1e-3)


def test_without_heading_or_crs_the_values_are_null(make_result) -> None:
    frame = whole(make_result(5, has_heading=False))
    assert frame.heading_deg.isna().all()
    assert frame.length_m.notna().all()
    pixels = whole(make_result(boxes=[[120, 205, 40, 10, 0]], crs=None))
    assert pixels.crs is None
    assert pixels.geometry[0].bounds == (100.0, -210.0, 140.0, -200.0)
    assert pixels[["length_m", "width_m", "heading_deg", "area_m2"]].isna().all(axis=None)


def test_engineering_crs_takes_its_own_unit(make_result) -> None:
    crs = CRS.from_wkt('LOCAL_CS["site",UNIT["US survey foot",0.304800609601219],AXIS["X",EAST],AXIS["Y",NORTH]]')
    row = whole(make_result(boxes=[[0, 0, 200, 80, 0]], crs=crs, transform=Affine(0.5, 0, 0, 0, -0.5, 0))).iloc[0]
    assert row.length_m == pytest.approx(100 * 0.3048006, rel=1e-6)
    assert row.heading_deg == pytest.approx(90)


def test_sizes_outside_the_domain_are_null(make_result) -> None:
    frame = whole(make_result(3, transform=Affine(0.5, 0, 1e9, 0, -0.5, 1e9)))
    assert frame[["length_m", "width_m", "heading_deg", "area_m2"]].isna().all(axis=None)


def test_rows_keep_the_order_and_values_of_the_detections(make_result) -> None:
    result = make_result(30, classes=("aircraft", "vessel"))
    frame = whole(result)
    found = result.detections
    assert frame.id.tolist() == list(range(1, 31))
    assert frame.score.tolist() == found.score.tolist()
    assert frame.label.tolist() == [("aircraft", "vessel")[k] for k in found.label]
    assert frame.window.tolist() == found.window.tolist()
    assert frame["scale"].tolist() == [2**k for k in found.level]
    assert set(frame.scene) == {"scenes/airport.tif"}
    assert (frame.datetime == pd.Timestamp("2026-05-01T10:11:12Z")).all()


def test_batches_join_to_the_whole(make_result) -> None:
    result = make_result(23)
    parts = list(detection_batches(result, batch=10))
    assert [len(part) for part in parts] == [10, 10, 3]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole(result))


def test_no_detections_keep_columns_types_and_crs(make_result) -> None:
    empty, full = whole(make_result(0)), whole(make_result(3))
    assert list(empty.columns) == COLUMNS
    assert len(empty) == 0
    assert empty.crs == full.crs
    numeric = ["id", "score", "length_m", "scale", "window", "datetime"]
    assert empty.dtypes[numeric].tolist() == full.dtypes[numeric].tolist()


@pytest.mark.parametrize("bad", [[np.nan, 5, 9, 4, 0], [5, 5, 9, 0, 0], [5, 5, np.inf, 4, 0]])
def test_detections_that_make_no_polygon_are_refused_with_their_number(make_result, bad) -> None:
    result = make_result(boxes=[[50, 50, 9, 4, 0], bad, [70, 50, 9, 4, 0]])
    assert writable(result.detections).sum() == 2
    with pytest.raises(OutputError, match="1 of 3 detections"):
        list(detection_batches(result))


def test_windows(make_result) -> None:
    result = make_result()
    (frame,) = window_batches(result)
    assert list(frame.columns) == WINDOW_COLUMNS
    assert frame["scale"].tolist() == [1, 1, 2, 1]
    assert frame.status.tolist() == ["read", "read", "read", "failed"]
    assert frame.cause.tolist() == ["", "", "", "corrupt tile <3, 1>"]
    assert frame[["row", "col", "height", "width"]].to_numpy().tolist() == [[0, k * 512, 512, 512] for k in range(4)]
    reads = frame[["read_row", "read_col", "read_height", "read_width"]].to_numpy().tolist()
    assert reads == [[0, 0, 512, 512], [0, 512, 512, 512], [0, 512, 256, 256], [0, 1536, 512, 512]]
    assert frame.geometry[1].bounds == (500_256.0, 4_999_744.0, 500_512.0, 5_000_000.0)
    assert shapely.is_ccw(shapely.get_exterior_ring(frame.geometry.array)).all()
    assert frame.found.sum() == len(result.detections)


def test_run_row(make_result) -> None:
    result = make_result(7)
    result.facts["estimated_recall"] = None
    result.facts["path"] = "sp\x00arse"
    row = run_frame(result).iloc[0]
    assert row.geometry.bounds == (500_000.0, 4_999_488.0, 501_024.0, 5_000_000.0)
    assert row.geometry.exterior.is_ccw
    assert row["stretch"] == '{"high": [200.0, 220.0], "low": [1.0, 2.0]}'
    assert row["classes"] == '["aircraft"]'
    assert row["n_detections"] == 7
    assert row["path"] == "sp\ufffdarse"
    assert np.isnan(row["estimated_recall"])
    assert row["pixels_read"] == 3 * 512 * 512


@pytest.mark.parametrize("name", ["fid", "GEOM", "Scene", "a b", "x" * 61, 'a"b; drop', ""])
def test_facts_that_cannot_be_columns_are_refused(make_result, name) -> None:
    result = make_result(1)
    result.facts[name] = 1
    with pytest.raises(ValueError, match="cannot be a column"):
        run_frame(result)


def test_text_and_times() -> None:
    assert text("a\x00b") == "a\ufffdb"
    assert text("caf\udce9.tif").encode("utf-8") == b"caf?.tif"
    noon = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
    assert utc("2026-05-01T14:00:00+02:00") == utc("2026-05-01T12:00:00") == utc("2026-05-01T12:00:00Z") == noon
    assert utc("") is None
    assert utc("2026:05:01 12:00:00") is None
