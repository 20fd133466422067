"""STAC items of results: the schema, footprints in every system, and the model by MLM."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pystac
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from geopdn.config import ModelConfig, RadiometryConfig
from geopdn.detections import SceneFrame
from geopdn.detectors.mlm import read_item
from geopdn.errors import ConfigError, GeoreferenceError
from geopdn.geometry.window import Size
from geopdn.output.stac import Catalogued, footprint_of, href, item_of, item_path, write_item
from geopdn.output.stac_model import CLASSIFICATION, MLM, Described, mlm_name

UTM = CRS.from_epsg(32631)
FACTS = {
    "geopdn": "0.1.0", "budget": "recall 0.98", "share": 0.25, "n_windows": 4, "estimated_recall": 0.98,
    "config_hash": "abc", "min_score": 0.5, "pixel_size_m": 0.5, "aoi": None, "model_digest": "0123456789abcdef",
    "merge": {"method": "nms", "iou": 0.3}, "n_failed": 0,
    "stretch": {"low": [0.0], "high": [0.35], "scale": [0.0001], "offset": [-0.1]},
}  # fmt: skip


def frame(*, transform=None, crs=UTM, size=(2000, 1000), stamp="2024-05-01T10:30:00Z"):
    place = transform or Affine(0.5, 0, 431_000, 0, -0.5, 4_870_000)
    return SceneFrame(name="scene.tif", size=Size(*size), transform=place, crs=crs, datetime=stamp)


def model(**changes):
    config = ModelConfig(
        classes=("small boat", "ship"),
        bands=("B04",),
        pixel_size_m=0.5,
        radiometry=RadiometryConfig(kind="fixed", low=(0.0,), high=(0.35,)),
    )
    return Described(**{"name": "vessels 10m", "config": config, "digest": "0123456789abcdef", **changes})


def found(folder: Path, **changes):
    values = {"output": folder / "out" / "scene.detections.gpkg", "frame": frame(), "facts": FACTS, "n_detections": 7}
    return Catalogued(**{**values, "scene": str(folder / "scenes" / "my scene.tif"), "model": model(), **changes})


def test_an_item_is_valid_and_says_what_where_and_when(tmp_path):
    record = item_of(found(tmp_path), folder=tmp_path / "out")
    item = pystac.Item.from_dict(record)
    validated = {**record, "stac_extensions": []}  # the core schema comes with pystac, those of extensions do not
    pystac.Item.from_dict(validated).validate()
    assert record["stac_version"] == "1.1.0"
    assert item.id == "scene.detections"
    assert item.properties["datetime"] == "2024-05-01T10:30:00Z"
    assert item.properties["proj:code"] == "EPSG:32631"
    assert item.properties["proj:shape"] == [2000, 1000]
    assert item.properties["proj:transform"] == [0.5, 0, 431_000, 0, -0.5, 4_870_000]
    assert item.properties["proj:bbox"] == [431_000, 4_869_000, 431_500, 4_870_000]
    assert item.properties["geopdn:detections"] == 7
    assert item.properties["gsd"] == 0.5
    asset = item.assets["detections"]
    assert (asset.href, asset.media_type) == ("./scene.detections.gpkg", "application/geopackage+sqlite3")
    assert asset.roles == ["data"]
    link = next(link for link in record["links"] if link["rel"] == "derived_from")
    assert link["href"] == "../scenes/my%20scene.tif"
    assert link["type"] == "image/tiff; application=geotiff"


def test_the_model_is_described_as_the_mlm_extension_asks(tmp_path):
    record = item_of(found(tmp_path), folder=tmp_path / "out")
    properties = record["properties"]
    assert {MLM, CLASSIFICATION} <= set(record["stac_extensions"])
    required = {"mlm:name", "mlm:architecture", "mlm:framework", "mlm:tasks", "mlm:input", "mlm:output"}
    assert required <= set(properties)
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]+[a-zA-Z0-9]", properties["mlm:name"])
    assert properties["mlm:tasks"] == ["object-detection"]
    (given,) = properties["mlm:input"]
    assert {"name", "bands", "input"} <= set(given)
    assert given["bands"] == [band["name"] for band in properties["bands"]] == ["B04"]
    assert len(given["input"]["shape"]) == len(given["input"]["dim_order"]) == 4
    (scaling,) = given["value_scaling"]
    assert scaling == {"type": "min-max", "minimum": pytest.approx(1000), "maximum": pytest.approx(4500)}
    (result,) = properties["mlm:output"]
    assert {"name", "tasks", "result"} <= set(result)
    assert {"shape", "dim_order", "data_type"} <= set(result["result"])
    assert all(re.fullmatch(r"[a-z-_]+", name) for name in result["result"]["dim_order"])
    classes = result["classification:classes"]
    assert [(one["value"], one["title"]) for one in classes] == [(0, "small boat"), (1, "ship")]
    assert all(re.fullmatch(r"[0-9A-Za-z-_]+", one["name"]) for one in classes)
    assert all(re.fullmatch(r"[0-9a-zA-Z_.-]+", key) for key in properties["mlm:hyperparameters"])
    asset = record["assets"]["model"]
    assert "mlm:model" in asset["roles"]
    assert asset["mlm:artifact_type"] == "safetensors"
    assert asset["href"] == "urn:geopdn:model:vessels-10m:0123456789abcdef"


def test_geopdns_own_reader_of_mlm_items_understands_it(tmp_path):
    (tmp_path / "out").mkdir()
    path = write_item(found(tmp_path), item_path(tmp_path / "out" / "scene.detections.gpkg"))
    assert path.name == "scene.detections.stac.json"
    card = read_item(path)
    assert card.bands == ("B04",)
    assert card.classes == ("small-boat", "ship")
    assert card.pixel_size_m == 0.5


def test_the_same_result_gives_the_same_bytes(tmp_path):
    (tmp_path / "out").mkdir()
    first = write_item(found(tmp_path), tmp_path / "out" / "a.json").read_bytes()
    assert write_item(found(tmp_path), tmp_path / "out" / "b.json").read_bytes() == first
    assert json.loads(first)["type"] == "Feature"


def test_without_a_model_nothing_is_said_of_it(tmp_path):
    record = item_of(found(tmp_path, model=None, scene=None), folder=tmp_path)
    assert MLM not in record["stac_extensions"]
    assert not [key for key in record["properties"] if key.startswith("mlm:")]
    assert set(record["assets"]) == {"detections"}
    assert record["links"] == []


def test_a_footprint_follows_the_scenes_sides():
    place = Affine(100, 0, 200_000, 0, -100, 7_000_000)  # 150 km: sides of UTM are bent in longitudes and latitudes
    geometry, bounds = footprint_of(frame(transform=place, size=(1500, 1500)))
    outline = shapely.geometry.shape(geometry)
    assert outline.is_valid
    assert outline.exterior.is_ccw
    assert len(geometry["coordinates"][0]) > 20
    assert bounds == list(outline.bounds)
    small, _ = footprint_of(frame())
    assert len(small["coordinates"][0]) == 5


def test_a_south_up_footprint_runs_counter_clockwise():
    geometry, _ = footprint_of(frame(transform=Affine(0.5, 0, 431_000, 0, 0.5, 4_870_000)))
    assert shapely.geometry.shape(geometry).exterior.is_ccw


def test_a_footprint_is_cut_at_the_antimeridian():
    geometry, bounds = footprint_of(frame(transform=Affine(0.001, 0, 179.5, 0, -0.001, 1), crs=CRS.from_epsg(4326)))
    assert geometry["type"] == "MultiPolygon"
    assert bounds == pytest.approx([179.5, -1, -179.5, 1])
    area = sum(shapely.geometry.Polygon(part[0]).area for part in geometry["coordinates"])
    assert area == pytest.approx(2.0)
    assert np.abs(shapely.get_coordinates(shapely.geometry.shape(geometry))[:, 0]).max() <= 180


def test_what_has_no_place_or_time_is_refused(tmp_path):
    with pytest.raises(GeoreferenceError, match="has no CRS"):
        footprint_of(frame(crs=None))
    polar = frame(transform=Affine(1000, 0, -500_000, 0, -1000, 1_000_000), crs=CRS.from_epsg(3413))
    with pytest.raises(GeoreferenceError, match=r"scene\.tif has a pole inside"):
        footprint_of(polar)
    for changes in ({"frame": frame(stamp="")}, {"stamp": "yesterday"}):
        with pytest.raises(ConfigError, match="--datetime"):
            item_of(found(tmp_path, **changes), folder=tmp_path)


def test_a_system_without_a_code_is_written_out(tmp_path):
    crs = CRS.from_proj4("+proj=tmerc +lon_0=3.3 +ellps=WGS84")
    properties = item_of(found(tmp_path, frame=frame(transform=Affine(1, 0, 0, 0, -1, 0), crs=crs)), folder=tmp_path)[
        "properties"
    ]
    assert properties["proj:code"] is None
    assert CRS.from_wkt(properties["proj:wkt2"]) == crs


def test_addresses_are_relative_where_they_can_be(tmp_path):
    assert href(tmp_path / "a.gpkg", tmp_path) == "./a.gpkg"
    assert href("https://example.org/scene.tif", tmp_path) == "https://example.org/scene.tif"


@pytest.mark.parametrize(("name", "plain"), [("a+b c", "a-b-c"), ("7", "model-7"), ("ab", "model-ab"), ("x_y.", "x_y")])
def test_names_of_models_have_the_letters_that_mlm_allows(name, plain):
    assert mlm_name(name) == plain
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]+[a-zA-Z0-9]", plain)
