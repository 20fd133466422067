"""GeoPackage: what is read back equals what was written, the bytes repeat, QGIS finds its styles."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from geopdn.output.fields import FIELDS
from geopdn.output.frames import detection_batches, failure_frame, raw_batches, run_frame, window_batches
from geopdn.output.geopackage import FIXED_TIME, write_geopackage
from geopdn.output.styles import Shown, layer_styles
from geopdn.output.write import write_result

LAYERS = ("detections", "windows", "run", "raw", "failures")


def query(path, sql):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def read(path, layer):
    return gpd.read_file(path, layer=layer)


def test_written_reads_back_equal(make_result, tmp_path) -> None:
    result = make_result(50, classes=("aircraft", '<ves&sel "é✈">'))
    path = write_result(result, tmp_path / "run.gpkg")
    expected = {
        "detections": next(detection_batches(result)),
        "windows": next(window_batches(result)),
        "run": run_frame(result),
        "raw": next(raw_batches(result)),
        "failures": failure_frame(result),
    }
    for layer, frame in expected.items():
        back = read(path, layer)
        if layer == "detections":  # for people, empty
            assert back.pop("review").isna().all()
        assert list(back.columns) == list(frame.columns)
        assert back.crs == CRS.from_epsg(32631)
        assert shapely.equals_exact(back.geometry.array, frame.geometry.array, tolerance=0).all()
        columns = [name for name in frame.columns if name != "geometry"]
        for name in columns:
            assert back[name].tolist() == frame[name].tolist(), name


def test_it_is_version_1_3_with_layers_extents_and_index(make_result, tmp_path) -> None:
    path = write_result(make_result(30), tmp_path / "run.gpkg")
    assert query(path, "PRAGMA user_version") == [(10300,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert [name for name, _ in pyogrio.list_layers(path)] == [*LAYERS, "layer_styles"]
    for layer in LAYERS:
        info = pyogrio.read_info(path, layer=layer, force_total_bounds=True)
        assert info["geometry_type"] == "Polygon"
        assert info["capabilities"]["fast_spatial_filter"]
        assert np.allclose(info["total_bounds"], read(path, layer).total_bounds, rtol=0)
    inside = pyogrio.read_dataframe(path, layer="windows", bbox=(500_300, 4_999_800, 500_310, 4_999_810))
    assert inside.id.tolist() == [1]


def test_a_run_without_raw_detections_has_no_such_layer(make_result, tmp_path) -> None:
    path = write_result(make_result(3, with_raw=False), tmp_path / "run.gpkg")
    assert [name for name, _ in pyogrio.list_layers(path)] == [*LAYERS[:3], "failures", "layer_styles"]
    assert query(path, "SELECT f_table_name FROM layer_styles WHERE useAsDefault = 1 ORDER BY id") == [
        ("detections",),
        ("windows",),
        ("run",),
        ("failures",),
    ]


def test_windows_that_could_not_be_read_have_a_layer_of_their_own(make_result, tmp_path) -> None:
    result = make_result(3)
    table = read(write_result(result, tmp_path / "run.gpkg"), "failures")
    assert table.drop(columns="geometry").to_dict("records") == [
        {"window": 3, "kind": "512", "level": 0, "cause": "corrupt tile <3, 1>"}
    ]
    windows = read(tmp_path / "run.gpkg", "windows")
    assert table.geometry[0].equals(windows.geometry[3])
    clean = replace(result, windows=tuple(replace(w, status="read", cause="") for w in result.windows))
    path = write_result(clean, tmp_path / "clean.gpkg")
    assert [name for name, _ in pyogrio.list_layers(path)] == [*LAYERS[:4], "layer_styles"]


def test_raw_boxes_that_are_not_finite_are_left_out(make_result, tmp_path) -> None:
    result = make_result(3)
    result.raw.boxes[1, 0], result.raw.score[4] = np.nan, np.inf
    path = write_result(result, tmp_path / "run.gpkg")
    assert query(path, "SELECT count(*) FROM raw") == [(4,)]


@pytest.mark.parametrize("n", [0, 40])
def test_equal_runs_give_equal_bytes(make_result, tmp_path, n) -> None:
    (tmp_path / "other folder").mkdir()
    first = write_result(make_result(n), tmp_path / "a.gpkg")
    second = write_result(make_result(n), tmp_path / "other folder" / "a much longer name.gpkg")
    assert first.read_bytes() == second.read_bytes()
    assert write_result(make_result(n), first, overwrite=True).read_bytes() == second.read_bytes()
    assert FIXED_TIME[:10].encode() in first.read_bytes()
    assert {stamp for (stamp,) in query(first, "SELECT last_change FROM gpkg_contents")} == {FIXED_TIME}


def test_batches_append_the_same_rows_and_repeat_their_bytes(make_result, tmp_path) -> None:
    paths = [tmp_path / name for name in ("one.gpkg", "some.gpkg", "again.gpkg")]
    for path, batch in zip(paths, (1000, 7, 7), strict=True):
        write_geopackage(make_result(40), path, batch=batch)
    one, some = (read(path, "detections") for path in paths[:2])
    pd.testing.assert_frame_equal(one, some)
    assert paths[1].read_bytes() == paths[2].read_bytes()
    assert query(paths[1], "SELECT count(*) FROM rtree_detections_geom_rowid") == [(40,)]


def test_the_clock_setting_is_put_back(make_result, tmp_path) -> None:
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    write_result(make_result(1), tmp_path / "a.gpkg")
    assert pyogrio.get_gdal_config_option("OGR_CURRENT_DATE") == before


def test_no_detections_leave_a_typed_styled_layer(make_result, tmp_path) -> None:
    empty = write_result(make_result(0), tmp_path / "empty.gpkg")
    full = write_result(make_result(3), tmp_path / "full.gpkg")
    info, oracle = (pyogrio.read_info(path, layer="detections") for path in (empty, full))
    assert info["features"] == 0
    assert info["geometry_type"] == "Polygon"
    assert info["crs"] == "EPSG:32631"
    assert info["fields"].tolist() == oracle["fields"].tolist()
    assert info["ogr_types"] == oracle["ogr_types"]
    assert query(empty, "SELECT f_table_name FROM layer_styles WHERE useAsDefault = 1 ORDER BY id")[0] == (
        "detections",
    )


def test_an_unknown_time_is_null_in_the_same_type(make_result, tmp_path) -> None:
    path = write_result(make_result(2, datetime=""), tmp_path / "a.gpkg")
    (kind,) = [row[2] for row in query(path, "PRAGMA table_info(detections)") if row[1] == "datetime"]
    assert kind == "DATETIME"
    assert query(path, "SELECT datetime FROM detections") == [(None,), (None,)]


def test_styles_are_registered_once_a_layer(make_result, tmp_path) -> None:
    result = make_result(3)
    path = write_result(result, tmp_path / "run.gpkg")
    rows = query(path, "SELECT f_table_name, styleName, styleQML, useAsDefault FROM layer_styles ORDER BY id")
    assert rows == [
        (layer, style.name, style.qml(), int(style is styles[0]))
        for layer, styles in layer_styles(Shown.of(result)).items()
        for style in styles
    ]
    assert query(path, "SELECT DISTINCT f_geometry_column FROM layer_styles") == [("geom",)]
    contents = dict(query(path, "SELECT table_name, data_type FROM gpkg_contents"))
    assert contents == {
        "detections": "features",
        "windows": "features",
        "run": "features",
        "raw": "features",
        "failures": "features",
        "layer_styles": "attributes",
    }


def test_pixel_space_has_the_undefined_cartesian_system(make_result, tmp_path, recwarn) -> None:
    path = write_result(make_result(boxes=[[120, 205, 40, 10, 0]], crs=None), tmp_path / "pixels.gpkg")
    assert query(path, "SELECT DISTINCT srs_id FROM gpkg_geometry_columns") == [(-1,)]
    assert read(path, "detections").geometry[0].bounds == (100.0, -210.0, 140.0, -200.0)
    assert read(path, "run").geometry[0].bounds == (0.0, -1024.0, 2048.0, 0.0)
    assert not [warning for warning in recwarn if "crs" in str(warning.message)]


def test_local_and_custom_systems_are_kept(make_result, tmp_path) -> None:
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1],AXIS["X",EAST],AXIS["Y",NORTH]]')
    custom = CRS.from_proj4("+proj=laea +lat_0=12 +lon_0=34 +datum=WGS84 +units=m")
    for name, crs in (("local", local), ("custom", custom)):
        place = Affine(0.5, 0, 0, 0, -0.5, 0)
        path = write_result(make_result(2, crs=crs, transform=place), tmp_path / f"{name}.gpkg")
        again = write_result(make_result(2, crs=crs, transform=place), tmp_path / f"{name}2.gpkg")
        back = read(path, "detections").crs
        assert back.is_engineering == (name == "local")
        if name == "custom":
            assert back.coordinate_operation.method_name == "Lambert Azimuthal Equal Area"
            assert [parameter.value for parameter in back.coordinate_operation.params[:2]] == [12, 34]
        assert path.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("n", [0, 40])
def test_the_validator_of_gdal_finds_nothing(make_result, tmp_path, n) -> None:
    validator = pytest.importorskip("osgeo_utils.samples.validate_gpkg", reason="needs the package gdal-utils")
    for name, crs in (("map", CRS.from_epsg(32631)), ("pixels", None)):
        path = write_result(make_result(n, crs=crs), tmp_path / f"{name}.gpkg")
        assert validator.check(str(path), abort_at_first_error=False, extra_checks=True, warning_as_error=True) == []


def test_columns_are_named_with_units_and_described(make_result, tmp_path) -> None:
    result = make_result(3)
    path = write_result(result, tmp_path / "run.gpkg")
    named = query(path, "SELECT table_name, column_name, title, description FROM gpkg_data_columns")
    assert ("detections", "length_m", "Length (m)", "Longer side, true ground metres.") in named
    for layer, column, title, _ in named:
        assert FIELDS[layer][column].alias == title
    for layer in FIELDS:
        columns = {name for _, name, *_ in query(path, f"PRAGMA table_info({layer})")}
        assert {column for table, column, *_ in named if table == layer} == columns & set(FIELDS[layer])
        assert columns - set(FIELDS[layer]) <= {"fid", "geom"} | (set(result.facts) if layer == "run" else set())


def test_pictures_go_to_the_first_detections_and_leave_everything_else(make_result, tmp_path) -> None:
    result = make_result(5)
    plain = write_result(result, tmp_path / "plain.gpkg")
    pictures = (b"first", b"second")
    path = write_result(replace(result, pictures=pictures), tmp_path / "pictures.gpkg")
    assert query(path, "SELECT id, picture FROM detections ORDER BY id") == [
        (1, b"first"), (2, b"second"), (3, None), (4, None), (5, None),
    ]  # fmt: skip
    assert query(path, "SELECT mime_type FROM gpkg_data_columns WHERE column_name = 'picture'") == [("image/jpeg",)]
    pd.testing.assert_frame_equal(read(path, "detections").drop(columns="picture"), read(plain, "detections"))
    assert query(path, "SELECT count(*) FROM rtree_detections_geom") == [(5,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    again = write_result(replace(result, pictures=pictures), tmp_path / "again.gpkg")
    assert again.read_bytes() == path.read_bytes()
