"""Reviewed detections as labels: what is right or missed stands, what is wrong does not, the rest is not scored."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from geopdn.detections import SceneFrame
from geopdn.errors import LabelError, ReviewWarning
from geopdn.evaluate.labels import read_labels
from geopdn.evaluate.layers import LabelFile
from geopdn.evaluate.report import evaluate_result
from geopdn.geometry.window import Size

FRAME = SceneFrame("port.tif", Size(400, 600), Affine(1, 0, 500_000, 0, -1, 5_000_000), CRS.from_epsg(32631))


def write(path, marks, *, labels=None, scenes=None):
    n = len(marks)
    boxes = [shapely.box(500_010 + 50 * k, 4_999_900, 500_030 + 50 * k, 4_999_910) for k in range(n)]
    columns = {
        "label": labels or [None if mark == "missed" else "ship" for mark in marks],
        "score": [np.nan if mark == "missed" else 0.9 - 0.1 * k for k, mark in enumerate(marks)],
        "scene": scenes or [None if mark == "missed" else "port.tif" for mark in marks],
        "review": marks,
    }
    gpd.GeoDataFrame(columns, geometry=boxes, crs=FRAME.crs).to_file(path, layer="detections")
    return path


def columns_of(truth):
    return np.round(truth.boxes[:, 0]).astype(int).tolist()


def test_right_and_missed_are_labels_wrong_is_none(tmp_path) -> None:
    truth = read_labels(write(tmp_path / "r.gpkg", ["right", "wrong", "missed", "Right "]), FRAME)
    assert columns_of(truth) == [20, 120, 170]
    assert truth.names == ("ship",)
    assert not truth.ignore.any()


def test_an_object_added_by_hand_may_be_marked_right(tmp_path) -> None:
    path = write(tmp_path / "r.gpkg", ["right", "right"])
    table = gpd.read_file(path, layer="detections")
    table.loc[1, ["score", "label", "scene"]] = None
    table.to_file(path, layer="detections")
    assert len(read_labels(path, FRAME)) == 2
    assert evaluate_result(path, LabelFile(path), frame=FRAME, iou=0.5).n_detections == 1


def test_what_is_not_marked_is_not_scored_and_counted(tmp_path) -> None:
    path = write(tmp_path / "r.gpkg", ["right", None, "", "wrong"])
    with pytest.warns(ReviewWarning, match=r"2 of 4 detections of .*r.gpkg are not reviewed"):
        truth = read_labels(path, FRAME)
    assert columns_of(truth) == [20, 70, 120]
    assert truth.ignore.tolist() == [False, True, True]


def test_where_nothing_is_marked_all_stand_with_a_warning(tmp_path) -> None:
    with pytest.warns(ReviewWarning, match="none of the 3 detections"):
        truth = read_labels(write(tmp_path / "r.gpkg", [None, None, None]), FRAME)
    assert len(truth) == 3
    assert not truth.ignore.any()


def test_unknown_marks_and_classes_that_cannot_be_told_are_refused(tmp_path) -> None:
    with pytest.raises(LabelError, match=r"should hold right, wrong, missed or nothing, found \['rigth'\]"):
        read_labels(write(tmp_path / "a.gpkg", ["rigth", "wrong"]), FRAME)
    path = write(tmp_path / "b.gpkg", ["right", "right", "missed"], labels=["ship", "tug", None])
    with pytest.raises(LabelError, match=r"1 objects .* have no 'label', and there are several"):
        read_labels(path, FRAME)
    named = write(tmp_path / "c.gpkg", ["right", "right", "missed"], labels=["ship", "tug", "tug"])
    assert read_labels(named, FRAME).labels.tolist() == [0, 1, 1]


def test_a_column_of_that_name_in_other_labels_is_the_users_own(tmp_path) -> None:
    table = gpd.GeoDataFrame({"review": ["done"]}, geometry=[shapely.box(500_010, 4_999_900, 500_030, 4_999_910)])
    table.set_crs(FRAME.crs).to_file(tmp_path / "own.gpkg", layer="labels")
    assert len(read_labels(tmp_path / "own.gpkg", FRAME)) == 1


def test_a_review_scores_the_detections_it_was_made_of(tmp_path) -> None:
    """Three right, one wrong, one missed: precision 3/4, recall 3/4; with one not marked, 2/3 and 2/3."""
    path = write(tmp_path / "r.gpkg", ["right", "right", "right", "wrong", "missed"])
    report = evaluate_result(path, LabelFile(path), frame=FRAME, iou=0.5)
    assert (report.n_truth, report.n_detections, report.precision, report.recall) == (4, 4, 0.75, 0.75)
    path = write(tmp_path / "s.gpkg", ["right", None, "right", "wrong", "missed"])
    with pytest.warns(ReviewWarning):
        report = evaluate_result(path, LabelFile(path), frame=FRAME, iou=0.5)
    assert (report.n_truth, report.n_absorbed) == (3, 1)
    assert (report.precision, report.recall) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
