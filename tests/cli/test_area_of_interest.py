"""`--aoi`: areas in every vector format, every system, of several layers and polygons."""

from __future__ import annotations

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from planted import PLACES, SIDE, TARGET, UTM

from geopdn.api.area import area_of, read_area
from geopdn.scene import Scene

ENDINGS = (".geojson", ".gpkg", ".shp", ".fgb")


def ground(col, row, col_stop, row_stop):
    """A rectangle of the scene's pixels on the map."""
    return shapely.box(*(UTM @ (col, row_stop)), *(UTM @ (col_stop, row)))


def table(*shapes, crs=32631):
    return geopandas.GeoDataFrame({"name": [f"part {n}" for n in range(len(shapes))]}, geometry=list(shapes), crs=crs)


def searched(cli, exact, scene, area):
    """Indices of the planted targets that a full search in the area finds."""
    done = cli(
        "detect", scene, "--model", exact, "--aoi", area, "--budget", "full", "-o", "o.gpkg", "-q", "--overwrite"
    )
    assert done.code == 0, done.err
    found = geopandas.read_file("o.gpkg", layer="detections").geometry.centroid
    truth = np.array([UTM @ (col + TARGET / 2, row + TARGET / 2) for row, col in PLACES])
    near = np.hypot(*(shapely.get_coordinates(found.values)[:, None] - truth[None]).transpose(2, 0, 1))
    return sorted(near.argmin(1).tolist())


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("epsg", [32631, 4326, 3857, 3035, 32632])
def test_formats_and_systems_give_the_same_area(ending, epsg, scene, tmp_path):
    wanted = ground(100, 50, 400, 600)
    path = tmp_path / f"area{ending}"
    if ending == ".geojson" and epsg != 4326:
        table(wanted).to_crs(epsg).to_file(path, RFC7946="NO")  # with the `crs` member of older files
    else:
        table(wanted).to_crs(epsg).to_file(path)
    with Scene.open(scene) as source:
        area = area_of(read_area(path), source)
    assert shapely.symmetric_difference(area, wanted).area < 1e-3 * wanted.area


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_search_in_a_file_of_another_system(ending, cli, exact, scene, tmp_path):
    path = tmp_path / f"area{ending}"
    table(ground(0, 0, 200, SIDE)).to_crs(4326 if ending == ".geojson" else 3035).to_file(path)
    assert searched(cli, exact, scene, path.name) == [0]


def test_several_polygons_are_one_area_also_where_they_overlap(cli, exact, scene, tmp_path):
    parts = ground(0, 0, 200, 300), ground(100, 0, 220, 300), ground(450, 90, SIDE, 200)
    hole = ground(600, 600, SIDE, SIDE).difference(ground(630, 630, SIDE, SIDE))  # its hole holds a target
    table(shapely.MultiPolygon(parts[1:]), parts[0], hole).to_file(tmp_path / "parts.gpkg")
    assert searched(cli, exact, scene, "parts.gpkg") == [0, 1]


def test_points_and_missing_shapes_beside_polygons_are_left_out(cli, exact, scene, tmp_path):
    mixed = table(ground(0, 0, 200, SIDE), shapely.Point(UTM @ (500, 130)), None)
    mixed.to_crs(4326).to_file(tmp_path / "mixed.geojson")
    assert searched(cli, exact, scene, "mixed.geojson") == [0]


def test_of_several_layers_aoi_is_taken(cli, exact, refused, scene, tmp_path):
    path = tmp_path / "many.gpkg"
    table(ground(450, 90, SIDE, 200)).to_file(path, layer="roads")
    table(ground(0, 0, SIDE, 50)).to_file(path, layer="water")
    text = refused(3, "detect", scene, "--model", exact, "--aoi", "many.gpkg", "-q")
    assert "['roads', 'water']" in text
    table(ground(0, 0, 200, SIDE)).to_crs(4326).to_file(path, layer="aoi")
    assert searched(cli, exact, scene, "many.gpkg") == [0]


def test_detections_are_the_area_of_the_next_search(cli, exact, scene):
    assert cli("detect", scene, "--model", exact, "--budget", "full", "-o", "first.gpkg", "-q").code == 0
    assert searched(cli, exact, scene, "first.gpkg") == [0, 1, 2, 3, 4]  # boxes are smaller than a cell


def test_a_strip_that_is_narrower_than_a_cell_is_searched(cli, exact, scene, tmp_path):
    middle = PLACES[1][0] + TARGET / 2
    table(ground(0, middle - 3, SIDE, middle + 3)).to_crs(4326).to_file(tmp_path / "strip.fgb")
    assert searched(cli, exact, scene, "strip.fgb") == [1]


def test_an_area_without_a_system_is_refused(exact, refused, scene, tmp_path):
    table(ground(0, 0, 200, SIDE)).to_file(tmp_path / "bare.shp")
    (tmp_path / "bare.prj").unlink()
    assert "has no CRS: assign one" in refused(3, "detect", scene, "--model", exact, "--aoi", "bare.shp", "-q")


def test_a_self_crossing_polygon_is_repaired(cli, exact, scene, tmp_path):
    bow = shapely.Polygon([UTM @ corner for corner in ((0, 0), (200, 300), (200, 0), (0, 300))])
    pd.testing.assert_series_equal(table(bow).is_valid, pd.Series([False]))
    table(bow).to_file(tmp_path / "bow.gpkg")
    assert searched(cli, exact, scene, "bow.gpkg") == [0]
