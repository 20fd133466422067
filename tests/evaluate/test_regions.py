"""Ignore regions: areas whose objects nobody labelled, read in any CRS; found there counts neither way."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from geopdn.detections import SceneFrame
from geopdn.errors import LabelError
from geopdn.evaluate.labels import read_labels
from geopdn.evaluate.layers import LabelFile
from geopdn.evaluate.matching import match
from geopdn.evaluate.regions import boxes_in, pixels_in
from geopdn.geometry.ground import pixel_to_map
from geopdn.geometry.window import Size

FRAME = SceneFrame("port.tif", Size(200, 300), Affine(10, 0, 500_000, 0, -10, 5_000_000), CRS.from_epsg(32631))
LABELLED = np.array([[50.0, 50, 20, 10, 0], [150, 50, 20, 10, 0]])


def on_map(shapes, crs="EPSG:4326", **columns):
    moved = [shapely.transform(one, lambda points: pixel_to_map(points, FRAME.transform)) for one in shapes]
    return gpd.GeoDataFrame(columns, geometry=moved, crs=FRAME.crs).to_crs(crs)


@pytest.fixture
def file(tmp_path):
    """Two labelled ships; a region around the second one, one in the open, one of another scene, one far away."""
    ships = [shapely.box(x - 10, y - 5, x + 10, y + 5) for x, y in LABELLED[:, :2]]
    on_map(ships, label=["ship"] * 2).to_file(tmp_path / "labels.gpkg", layer="labels")
    areas = [shapely.box(130, 30, 190, 70), shapely.box(100, 100, 140, 140), shapely.box(0, 150, 40, 190)]
    areas.append(shapely.box(900, 900, 950, 950))
    table = on_map(areas, scene=["port", "port", "other", "port"])
    table.to_file(tmp_path / "ignore.geojson")
    return LabelFile(tmp_path / "labels.gpkg", ignore_regions=tmp_path / "ignore.geojson")


def test_regions_of_the_scene_are_read_in_its_pixels(file) -> None:
    truth = read_labels(file, FRAME)
    assert np.allclose(shapely.bounds(truth.regions), [[130, 30, 190, 70], [100, 100, 140, 140]], atol=0.01)
    assert not truth.ignore.any(), "labelled objects stand inside regions too"


def test_what_is_found_in_a_region_counts_neither_way_but_labelled_objects_there_do(file) -> None:
    found = np.array([*LABELLED, [120, 120, 10, 6, 0], [20, 170, 10, 6, 0], [140, 120, 12, 6, 0]])
    matches = match(found, np.linspace(0.9, 0.5, 5), truth=read_labels(file, FRAME), iou=0.5)
    assert matches.truth.tolist() == [0, 1, -1, -1, -1]
    assert matches.absorbed.tolist() == [False, False, True, False, True], "half of the last one lies inside"
    without = match(found, np.linspace(0.9, 0.5, 5), truth=read_labels(file.path, FRAME), iou=0.5)
    assert not without.absorbed.any()


def test_pixels_and_boxes_in_regions() -> None:
    regions = np.array([shapely.box(2, 1, 5, 3), shapely.Polygon([(8, 0), (12, 0), (8, 4)])], dtype=object)
    mask = pixels_in(regions, height=6, width=10)
    assert mask.sum() == 3 * 2 + 2 + 2 + 1, "a rectangle, and of a triangle what lies inside the scene"
    assert mask[1:3, 2:5].all()
    boxes = np.array([[3.5, 2, 2, 1, 0.3], [5, 2, 2, 1, 0], [7, 5, 2, 1, 0]])
    assert boxes_in(boxes, regions, share=0.5).tolist() == [True, True, False]
    assert boxes_in(boxes, regions, share=0.6).tolist() == [True, False, False]
    assert not boxes_in(boxes, regions[:0]).any()
    assert not pixels_in(regions[:0], height=3, width=3).any()


def test_a_file_of_regions_that_cannot_be_read_is_named(file, tmp_path) -> None:
    with pytest.raises(LabelError, match=r"nothing\.gpkg is not a file"):
        read_labels(LabelFile(file.path, ignore_regions=tmp_path / "nothing.gpkg"), FRAME)
