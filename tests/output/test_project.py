"""Projects: zipped XML that repeats its bytes, relative paths, escaped names; QGIS reads them in tests/qgis."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from affine import Affine
from pyproj import CRS

from geopdn.errors import OutputError, ResultError
from geopdn.output.mapped import read_mapped
from geopdn.output.project import project_xml, source_of, write_project
from geopdn.output.project_rasters import Raster
from geopdn.output.write import write_result


def tree_of(path: Path) -> ET.Element:
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        return ET.fromstring(archive.read(name))


@pytest.fixture(name="mapped")
def _mapped(make_result, tmp_path):
    return read_mapped(write_result(make_result(5), tmp_path / "found.gpkg"))[0]


def rasters(crs) -> list[Raster]:
    return [
        Raster("s/counts.tif", "expected", crs, limits=((0.0, 1.5),), bands=(1,), is_ramp=True),
        Raster("s/scene.tif", "scene", crs, limits=((0.0, 255.0),) * 3, bands=(3, 2, 1)),
    ]


def test_a_result_is_read_back_as_what_a_project_shows(make_result, tmp_path) -> None:
    result = replace(make_result(3, classes=("a", '<b "&">')), pictures=(b"x",))
    mapped, scene = read_mapped(write_result(result, tmp_path / "found.gpkg"))
    assert scene == "scenes/airport.tif"
    assert mapped.crs == CRS.from_epsg(32631)
    assert mapped.bounds == (500_000, 4_999_488, 501_024, 5_000_000)
    assert mapped.shown.classes == ("a", '<b "&">')
    assert (mapped.shown.n_windows, mapped.shown.pixel_size_m) == (4, 0.5)
    assert (mapped.shown.pictures, mapped.shown.raw) == (True, True)
    again, _ = read_mapped(write_result(make_result(0, crs=None, with_raw=False), tmp_path / "pixels.gpkg"))
    assert again.crs is None
    assert (again.shown.pictures, again.shown.raw) == (False, False)


def test_files_that_geopdn_did_not_write_are_refused(make_result, tmp_path) -> None:
    (tmp_path / "text.gpkg").write_text("hello")
    for path in (tmp_path / "none.gpkg", tmp_path / "text.gpkg", write_result(make_result(1), tmp_path / "a.geojson")):
        with pytest.raises(ResultError, match="geopdn detect"):
            read_mapped(path)


def test_layers_lie_over_rasters_zoomed_to_the_scene(mapped, tmp_path) -> None:
    root = tree_of(write_project(mapped, tmp_path / "p.qgz", rasters=rasters(mapped.crs)))
    listed = list(root.iter("layer-tree-layer"))
    assert [row.attrib["name"] for row in listed] == [
        "detections", "windows", "footprint", "raw boxes", "not searched", "expected", "scene",
    ]  # fmt: skip
    shown = {row.attrib["name"] for row in listed if row.attrib["checked"] == "Qt::Checked"}
    assert shown == {"detections", "windows", "footprint", "not searched", "scene"}
    layers = {layer.findtext("id"): layer for layer in root.iter("maplayer")}
    assert list(layers) == [row.attrib["id"] for row in listed]
    sources = [layer.findtext("datasource") for layer in layers.values()]
    assert sources[0] == "./found.gpkg|layername=detections"
    assert {layer.findtext("srs/spatialrefsys/authid") for layer in layers.values()} == {"EPSG:32631"}
    extent = {edge.tag: float(edge.text) for edge in root.find("mapcanvas/extent")}
    assert extent["xmin"] == pytest.approx(500_000 - 0.02 * 1024)
    assert extent["ymax"] == pytest.approx(5_000_000 + 0.02 * 1024)
    colours = root.find(".//rasterrenderer[@type='multibandcolor']").attrib
    assert (colours["redBand"], colours["greenBand"], colours["blueBand"]) == ("3", "2", "1")
    items = [(float(item.attrib["value"]), int(item.attrib["alpha"])) for item in root.iter("item")]
    assert items[0] == (0, 0)  # nothing expected: transparent
    assert items[-1][0] == 1.5
    assert items == sorted(items)


def test_the_same_input_gives_the_same_bytes_and_no_clock(mapped, tmp_path) -> None:
    first = write_project(mapped, tmp_path / "p.qgz", rasters=rasters(mapped.crs)).read_bytes()
    assert write_project(mapped, tmp_path / "p.qgz", rasters=rasters(mapped.crs)).read_bytes() == first
    with zipfile.ZipFile(tmp_path / "p.qgz") as archive:
        assert [(item.filename, item.date_time) for item in archive.infolist()] == [("p.qgs", (1980, 1, 1, 0, 0, 0))]


@pytest.mark.parametrize("name", ["a & b", "<x> 'y' \"z\"", "ünï ✈", "]]>"])
def test_odd_names_are_escaped(make_result, tmp_path, name) -> None:
    odd = name.replace('"', "").replace("<", "").replace(">", "") if name.startswith("<") else name
    mapped, _ = read_mapped(write_result(make_result(2, classes=("a", name)), tmp_path / f"{odd}.gpkg"))
    root = tree_of(write_project(mapped, tmp_path / "p.qgz"))
    assert root.findtext("title") == odd
    assert next(root.iter("maplayer")).findtext("datasource") == f"./{odd}.gpkg|layername=detections"
    assert name in [row.attrib["value"] for row in root.iter("category")]


def test_paths_are_relative_to_the_project_and_addresses_are_not(mapped, tmp_path) -> None:
    assert source_of(tmp_path / "x" / "a.tif", tmp_path) == "./x/a.tif"
    assert source_of(tmp_path / "a.tif", tmp_path / "x") == "../a.tif"
    assert source_of(tmp_path / "..a.tif", tmp_path) == "./..a.tif"
    assert source_of("https://example.com/a.tif?x=1", tmp_path) == "/vsicurl/https://example.com/a.tif?x=1"
    assert str(tmp_path) not in project_xml(mapped, folder=tmp_path)


def test_pixels_and_systems_without_a_code(make_result, tmp_path) -> None:
    custom = CRS.from_proj4("+proj=laea +lat_0=12 +lon_0=34 +datum=WGS84 +units=m")
    for name, crs in (("pixels", None), ("custom", custom)):
        result = make_result(1, crs=crs, transform=Affine(0.5, 0, 0, 0, -0.5, 0))
        mapped, _ = read_mapped(write_result(result, tmp_path / f"{name}.gpkg"))
        root = tree_of(write_project(mapped, tmp_path / f"{name}.qgz"))
        assert root.find("projectCrs/spatialrefsys/authid") is None
        text = root.findtext("projectCrs/spatialrefsys/wkt")
        assert ("Lambert" in text) == (crs is not None)


def test_an_error_keeps_the_older_project(mapped, tmp_path, monkeypatch) -> None:
    path = tmp_path / "p.qgz"
    path.write_bytes(b"old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OutputError, match="No space left"):
        write_project(mapped, path)
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["found.gpkg", "p.qgz"]


def test_a_raster_has_one_band_or_three() -> None:
    with pytest.raises(ValueError, match="expected none, one or three"):
        Raster("a.tif", "a", None, limits=((0.0, 1.0),) * 2, bands=(1, 2))
