"""Deciding again: what is not asked for stays, every class has its own score, what cannot be is refused."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from geopdn.detections import Detections, SceneFrame, WindowRecord
from geopdn.errors import ConfigError, ResultError
from geopdn.geometry.window import Size, Window
from geopdn.output.saved import SavedRun
from geopdn.remerge import remerge

CLASSES = ("vessel", "air craft")


def run_of(rows, score, label, **facts):
    n = len(rows)
    raw = Detections(
        np.array(rows, float).reshape(n, 5),
        np.array(score, float),
        np.array(label, np.int64),
        *[np.zeros(n, np.int64)] * 2,
        np.zeros(n, bool),
    )
    whole = Window(0, 0, 512, 512)
    records = (
        WindowRecord(0, whole, whole, "512", "plan", 0, 1.0),
        WindowRecord(1, whole, whole, "overview", "scan", 0, 0.0, status="failed", cause="damage"),
    )
    rule = {"method": "nms", "iou": 0.3, "min_score": {"vessel": 0.5, "air craft": 0.4}}
    frame = SceneFrame("a.tif", Size(512, 512), Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), CRS.from_epsg(32631))
    known = {"merge": rule, "min_score": 0.4, "raw_score": 0.05, "aoi": None, "estimated_recall": 0.9, **facts}
    return SavedRun(frame, CLASSES, True, records, known, raw)


@pytest.fixture
def run():
    rows = [(100, 50, 40, 20, 0), (110, 50, 40, 20, 0), (300, 50, 40, 20, 0), (400, 50, 40, 20, 0)]
    return run_of(rows, [0.9, 0.45, 0.35, 0.45], [0, 0, 0, 1])


def test_without_options_it_is_as_it_was(run) -> None:
    result = remerge(run)
    assert result.detections.score.tolist() == [0.9, 0.45]
    assert result.facts == {**run.facts, "duplicates": 1}
    assert [record.found for record in result.windows] == [2, 0]
    assert result.raw is run.raw


def test_scores_by_class(run) -> None:
    result = remerge(run, min_score={"vessel": 0.3})
    assert result.detections.score.tolist() == [0.9, 0.45, 0.35]
    assert result.facts["merge"]["min_score"] == {"vessel": 0.3, "air craft": 0.4}
    assert result.facts["min_score"] == 0.3
    assert remerge(run, min_score={"air craft": 0.46}).detections.label.tolist() == [0]
    assert remerge(run, min_score=0.05).facts["merge"]["min_score"] == {"vessel": 0.05, "air craft": 0.05}


def test_methods_and_overlap(run) -> None:
    soft = remerge(run, method="soft", min_score=0.1)
    assert sorted(soft.detections.score.tolist()) == pytest.approx([0.45 * 0.4, 0.35, 0.45, 0.9])
    wbf = remerge(run, method="wbf", min_score=0.1)
    assert wbf.detections.boxes[0].tolist() == pytest.approx([100 + 10 * 0.45 / 1.35, 50, 40, 20, 0])
    assert wbf.detections.score[0] == pytest.approx(0.675)
    assert len(remerge(run, method="wbf").detections) == 2  # the weak one takes no part
    assert remerge(run, method="wbf").detections.score[0] == 0.9
    assert len(remerge(run, iou=0.7, min_score=0.1).detections) == 4
    assert wbf.facts["merge"]["method"] == "wbf"


def test_the_area_of_interest_still_holds() -> None:
    rows = [(100, 50, 40, 20, 0), (300, 50, 40, 20, 0)]
    west = "POLYGON ((500000 4999000, 500100 4999000, 500100 5000000, 500000 5000000, 500000 4999000))"  # to column 200
    assert remerge(run_of(rows, [0.9, 0.9], [0, 0], aoi=west)).detections.boxes[:, 0].tolist() == [100]
    for area in ("unknown", 5.0):
        with pytest.raises(ResultError, match="limited to an area that it does not record"):
            remerge(run_of(rows, [0.9, 0.9], [0, 0], aoi=area))


def test_boxes_that_are_not_finite_are_dropped() -> None:
    result = remerge(run_of([(100, 50, 40, 20, 0), (np.nan, 50, 40, 20, 0)], [0.9, 0.9], [0, 0]))
    assert result.detections.boxes[:, 0].tolist() == [100]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_score": {"boat": 0.3}}, "no class 'boat': the run has 'vessel', 'air craft'"),
        ({"min_score": 0.01}, "the run kept boxes from 0.05 up"),
        ({"min_score": float("nan")}, "expected a number from 0 to 1"),
        ({"min_score": {"vessel": 1.5}}, "expected a number from 0 to 1"),
        ({"method": "best"}, "expected one of nms, soft, wbf"),
        ({"iou": 1.0}, "from 0 to below 1"),
        ({"iou": float("nan")}, "from 0 to below 1"),
    ],
)
def test_what_cannot_be_is_refused(run, options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        remerge(run, **options)


@pytest.mark.parametrize("rule", [None, "nms", {"method": "nms", "iou": 0.3, "min_score": {"vessel": 0.5}}])
def test_a_run_that_does_not_say_how_it_was_merged(rule) -> None:
    with pytest.raises(ResultError, match="does not say how it was merged"):
        remerge(run_of([(100, 50, 40, 20, 0)], [0.9], [0], merge=rule))
