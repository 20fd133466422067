"""Destinations are checked before the work; formats are chosen by ending; failures leave nothing."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely
from pyproj import CRS

from geopdn.errors import ConfigError, GeoreferenceError, OutputError
from geopdn.output import geopackage, write
from geopdn.output.frames import detection_batches
from geopdn.output.write import check_crs, check_destination, write_result

ENDINGS = [".gpkg", ".geojson", ".fgb"]


@pytest.mark.parametrize("ending", ["", ".shp", ".json", ".gpkg.zip"])
def test_unknown_endings_are_refused_with_the_known_ones(tmp_path, ending) -> None:
    with pytest.raises(ConfigError, match=r"\.gpkg, \.geojson, \.fgb, \.parquet"):
        check_destination(tmp_path / f"a{ending}")


@pytest.mark.parametrize("link", ["same", "relative", "symlink", "hard link"])
def test_the_input_is_never_the_output(tmp_path, monkeypatch, link) -> None:
    scene = tmp_path / "scene.gpkg"  # a raster GeoPackage is a scene, too
    scene.write_bytes(b"pixels")
    monkeypatch.chdir(tmp_path)
    output = {"same": scene, "relative": "sub/../scene.gpkg"}.get(link, tmp_path / "link.gpkg")
    (tmp_path / "sub").mkdir()
    if link == "symlink":
        output.symlink_to(scene)
    elif link == "hard link":
        output.hardlink_to(scene)
    with pytest.raises(ConfigError, match="never written to") as caught:
        check_destination(output, inputs=["https://example.com/x.tif", str(scene)], overwrite=True)
    assert caught.value.exit_code == 2
    assert scene.read_bytes() == b"pixels"


def test_a_missing_folder_and_a_folder_as_output_are_refused(tmp_path) -> None:
    with pytest.raises(OutputError, match=r"no_such.*does not exist") as caught:
        check_destination(tmp_path / "no_such" / "a.gpkg")
    assert caught.value.exit_code == 6
    (tmp_path / "folder.gpkg").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_destination(tmp_path / "folder.gpkg", overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="does not exist"):
        check_destination(tmp_path / "file" / "a.gpkg")


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch) -> None:
    if os.geteuid() == 0:  # permission bits do not bind root: a disk mounted read-only does

        def read_only(*_, **__):
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(write.tempfile, "TemporaryFile", read_only)
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            check_destination(tmp_path / "a.gpkg")
    finally:
        tmp_path.chmod(0o755)


def test_an_existing_file_needs_overwrite(make_result, tmp_path) -> None:
    path = tmp_path / "a.gpkg"
    path.write_text("old")
    for attempt in (lambda: check_destination(path), lambda: write_result(make_result(1), path)):
        with pytest.raises(OutputError, match="--overwrite"):
            attempt()
    assert path.read_text() == "old"
    check_destination(path, overwrite=True)
    write_result(make_result(3), path, overwrite=True)
    assert len(gpd.read_file(path, layer="detections")) == 3


def test_a_folder_that_pyogrio_takes_for_an_archive_is_refused(tmp_path) -> None:
    (tmp_path / "a!b").mkdir()
    with pytest.raises(OutputError, match="has '!' in its path"):
        check_destination(tmp_path / "a!b" / "a.gpkg")


@pytest.mark.parametrize("folder", ["a;b", "zip:c", "a b#c?d", "x.zip"])
def test_odd_folders(make_result, tmp_path, monkeypatch, folder) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / folder).mkdir()
    path = Path(folder) / "a.gpkg"
    check_destination(path)
    write_result(make_result(4), path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted([folder, "a.gpkg"])


def test_checks_leave_nothing_behind(tmp_path) -> None:
    check_destination(tmp_path / "a.gpkg", inputs=[tmp_path / "scene.tif"])
    assert list(tmp_path.iterdir()) == []


def test_overwriting_replaces_every_layer(make_result, tmp_path) -> None:
    path = tmp_path / "a.gpkg"
    gpd.GeoDataFrame({"x": [1]}, geometry=[shapely.Point(0, 0)], crs=4326).to_file(path, layer="of_somebody")
    write_result(make_result(3), path, overwrite=True)
    assert "of_somebody" not in gpd.list_layers(path).name.tolist()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ["ünï ✈", "a#b?c!d", "zip:a;b%41'"])
def test_odd_file_names(make_result, tmp_path, ending, name) -> None:
    result = make_result(4)
    path = write_result(result, tmp_path / f"{name}{ending}")
    plain = shutil.copy(path, tmp_path.parent / f"plain{ending}")  # geopandas takes `!` and `;` for parts of an address
    back = gpd.read_file(plain, layer=0)
    assert sorted(back.id) == [1, 2, 3, 4]
    assert [p.suffix for p in tmp_path.iterdir() if p != path] == ([] if ending == ".gpkg" else [".qml"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_error_in_the_middle_keeps_the_old_output(make_result, tmp_path, monkeypatch, ending) -> None:
    path = tmp_path / f"a{ending}"
    write_result(make_result(2), path)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    writer = write.WRITERS[ending]

    def breaks(result, temporary):
        writer(result, temporary)
        raise RuntimeError("broken")

    monkeypatch.setitem(write.WRITERS, ending, breaks)
    with pytest.raises(RuntimeError, match="broken"):
        write_result(make_result(5), path, overwrite=True)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_an_error_between_layers_leaves_no_file(make_result, tmp_path, monkeypatch) -> None:
    def breaks(_):
        raise ValueError("broken")

    monkeypatch.setattr(geopackage, "run_frame", breaks)
    with pytest.raises(ValueError, match="broken"):
        write_result(make_result(5), tmp_path / "a.gpkg")
    assert list(tmp_path.iterdir()) == []


def test_rows_lost_by_the_driver_are_an_error(make_result, tmp_path, monkeypatch) -> None:
    real = pyogrio.write_dataframe
    monkeypatch.setattr(pyogrio, "write_dataframe", lambda frame, *args, **options: real(frame[1:], *args, **options))
    with pytest.raises(OutputError, match="'detections' has 4 rows where 5"):
        write_result(make_result(5), tmp_path / "a.gpkg")
    assert list(tmp_path.iterdir()) == []


def test_a_sidecar_style_is_kept_unless_overwriting(make_result, tmp_path) -> None:
    style = tmp_path / "a.qml"
    style.write_text("mine")
    write_result(make_result(1), tmp_path / "a.geojson")
    assert style.read_text() == "mine"
    write_result(make_result(1), tmp_path / "a.geojson", overwrite=True)
    assert style.read_text(encoding="utf-8").startswith("<!DOCTYPE qgis")


@pytest.mark.parametrize("n", [0, 30])
def test_flatgeobuf_holds_the_same_rows_and_repeats_its_bytes(make_result, tmp_path, n) -> None:
    result = make_result(n)
    path = write_result(result, tmp_path / "a.fgb")
    back = gpd.read_file(path).sort_values("id", ignore_index=True)
    frame = next(detection_batches(result))
    assert back.crs == CRS.from_epsg(32631)
    assert list(back.columns) == list(frame.columns)
    assert shapely.equals_exact(back.geometry.array, frame.geometry.array, tolerance=0).all()
    assert back.length_m.tolist() == frame.length_m.tolist()
    assert write_result(result, tmp_path / "b.fgb").read_bytes() == path.read_bytes()


def test_parquet_without_pyarrow_names_the_package(make_result, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(OutputError, match="'pyarrow'"):
        check_destination(tmp_path / "a.parquet")
    with pytest.raises(OutputError, match="'pyarrow'"):
        write_result(make_result(1), tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n", [0, 30])
def test_parquet_reads_back_equal(make_result, tmp_path, n) -> None:
    pytest.importorskip("pyarrow", reason="GeoParquet needs pyarrow")
    result = make_result(n)
    path = write_result(result, tmp_path / "a.parquet")
    back, frame = gpd.read_parquet(path), next(detection_batches(result))
    assert back.crs == frame.crs
    assert list(back.columns) == list(frame.columns)
    assert shapely.equals_exact(back.geometry.array, frame.geometry.array, tolerance=0).all()
    assert back.score.tolist() == frame.score.tolist()
    assert write_result(result, tmp_path / "b.parquet").read_bytes() == path.read_bytes()


def test_the_crs_is_checked_by_format() -> None:
    check_crs("a.gpkg", None)
    check_crs("a.geojson", CRS.from_epsg(32631))
    with pytest.raises(GeoreferenceError, match="has no CRS"):
        check_crs("a.GeoJSON", None)
