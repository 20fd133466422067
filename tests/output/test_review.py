"""Marks of people: read with care, written to a copy that keeps all else."""

from __future__ import annotations

import json
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pyogrio
import pytest

from geopdn.errors import ResultError
from geopdn.output.found import read_found
from geopdn.output.marks import FORMAT, Marks, Missed, read_marks
from geopdn.output.review import write_reviewed
from geopdn.output.write import write_result


@pytest.fixture
def path(make_result, tmp_path):
    return write_result(make_result(8), tmp_path / "a.gpkg")


def marks_of(path, reviews, *missed):
    return Marks(read_found(path).digest, reviews, missed)


def test_what_is_found_stands_in_pixels_the_best_first(make_result, tmp_path) -> None:
    result = replace(make_result(8, classes=("aircraft", "b<c>")), pictures=(b"one", b"", b"three"))
    found = read_found(write_result(result, tmp_path / "a.gpkg"))
    assert found.table["id"].tolist() == list(range(1, 9))
    assert (np.diff(found.table["score"]) <= 0).all()
    for ring, box in zip(found.rings, result.detections.boxes, strict=True):
        assert ring.shape == (4, 2)
        assert np.allclose(ring.mean(0), box[:2], atol=1e-5)
        sides = np.hypot(*np.diff(ring, axis=0).T)
        assert np.allclose([sides.max(), sides.min()], box[2:4], atol=1e-5)
    assert [picture or b"" for picture in found.table["picture"]][:3] == [b"one", b"", b"three"]
    assert found.facts["versions"]["python"] == "3.11.2"
    assert len(found.windows) == 4


def test_marks_are_written_to_a_copy_that_is_else_the_same(path, tmp_path) -> None:
    before = path.read_bytes()
    marks = marks_of(path, {1: "right", 3: "wrong"}, Missed(100.5, 50.25, 20.0, "aircraft"))
    copies = [write_reviewed(path, marks, tmp_path / name) for name in ("b.gpkg", "c.gpkg")]
    assert copies[0].read_bytes() == copies[1].read_bytes()
    assert path.read_bytes() == before
    old, new = (gpd.read_file(p, layer="detections") for p in (path, copies[0]))
    assert new.review.fillna("").tolist() == ["right", "", "wrong", "", "", "", "", "", "missed"]
    columns = [name for name in old.columns if name != "review"]
    for name in columns:
        assert new[name].tolist()[:8] == old[name].tolist(), name
    added = new.iloc[8]
    assert (added.label, added.scene) == ("aircraft", "scenes/airport.tif")
    assert np.isnan(added.score)
    assert added.length_m == pytest.approx(20, rel=1e-3)
    assert added.geometry.area == pytest.approx(400, rel=2e-3)
    assert np.allclose([added.geometry.centroid.x, added.geometry.centroid.y], [500_050.25, 4_999_974.875], atol=1e-3)
    near = pyogrio.read_dataframe(copies[0], layer="detections", bbox=added.geometry.bounds)
    assert len(near) >= 1  # in the spatial index, too
    found = read_found(copies[0])
    assert (len(found), len(found.added), found.digest) == (8, 1, read_found(path).digest)


def test_a_reviewed_copy_can_be_reviewed_further(path, tmp_path) -> None:
    first = write_reviewed(path, marks_of(path, {1: "right", 2: "right"}), tmp_path / "b.gpkg")
    second = write_reviewed(first, marks_of(path, {1: "", 2: "wrong", 4: "right"}), tmp_path / "c.gpkg")
    assert read_found(second).table["review"].tolist()[:4] == ["", "wrong", "", "right"]


def test_pixel_coordinates_take_a_pixel_for_a_metre(make_result, tmp_path) -> None:
    path = write_result(make_result(3, crs=None), tmp_path / "a.gpkg")
    copy = write_reviewed(path, marks_of(path, {}, Missed(100, 50, 10, "aircraft")), tmp_path / "b.gpkg")
    added = gpd.read_file(copy, layer="detections").iloc[-1]
    assert added.geometry.bounds == (95, -55, 105, -45)
    assert len(read_found(copy).added[0][1]) == 4


def test_marks_of_another_result_are_refused(path, make_result, tmp_path) -> None:
    other = write_result(make_result(7), tmp_path / "other.gpkg")
    for marks, why in (
        (marks_of(other, {1: "right"}), "the marks are not of"),
        (marks_of(path, {99: "right"}), "has no detection 99"),
        (marks_of(path, {}, Missed(1, 1, 1, "tug")), "no class 'tug'"),
    ):
        with pytest.raises(ResultError, match=why):
            write_reviewed(path, marks, tmp_path / "b.gpkg")
        assert not (tmp_path / "b.gpkg").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "x"}, "not of the format"),
        ({"reviews": []}, "no report wrote"),
        ({"reviews": {"a": "right"}}, "no report wrote"),
        ({"reviews": {"1": "missed"}}, "right, wrong or empty"),
        ({"missed": [{"column": 1}]}, "no report wrote"),
        ({"missed": [{"column": 1, "row": 2, "size_m": 0, "label": "a"}]}, "no place or no size"),
        ({"missed": [{"column": "nan", "row": 2, "size_m": 1, "label": "a"}]}, "no place or no size"),
    ],
)
def test_files_of_marks_that_are_none_are_refused(tmp_path, change, why) -> None:
    good = {"format": FORMAT, "digest": "d", "reviews": {"1": "right"}, "missed": []}
    path = tmp_path / "m.json"
    path.write_text(json.dumps(good), encoding="utf-8")
    assert read_marks(path) == Marks("d", {1: "right"}, ())
    path.write_text(json.dumps({**good, **change}), encoding="utf-8")
    with pytest.raises(ResultError, match=why):
        read_marks(path)
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(ResultError, match="not JSON"):
        read_marks(path)
    with pytest.raises(ResultError, match="cannot be read"):
        read_marks(tmp_path / "none.json")


def test_other_files_are_refused(tmp_path) -> None:
    (tmp_path / "a.gpkg").write_bytes(b"")
    for name in ("a.gpkg", "none.gpkg", "a.json"):
        with pytest.raises(ResultError, match="geopdn detect"):
            read_found(tmp_path / name)


def test_a_detection_without_a_polygon_is_listed_without_an_outline(make_result, tmp_path) -> None:
    path = write_result(make_result(3), tmp_path / "a.gpkg")
    pyogrio.write_dataframe(
        gpd.GeoDataFrame(
            {"id": [99], "label": ["aircraft"], "score": [0.001], "scale": [1], "window": [0]},
            geometry=[None],
            crs=32631,
        ),
        path,
        layer="detections",
        append=True,
    )
    found = read_found(path)
    assert [len(ring) for ring in found.rings] == [4, 4, 4, 0]
