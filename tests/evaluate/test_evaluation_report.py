"""A file of detections against a file of labels: with the scene, with the run's own record, with neither."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from geopdn.detections import Detections, RunResult, SceneFrame
from geopdn.errors import LabelError
from geopdn.evaluate.evaluation import Evaluation
from geopdn.evaluate.report import evaluate_result
from geopdn.geometry import boxes as box
from geopdn.geometry.ground import pixel_size, pixel_to_map
from geopdn.geometry.window import Size
from geopdn.output.write import write_result

UTM = CRS.from_epsg(32631)
FRAME = SceneFrame("port.tif", Size(400, 600), Affine(10, 0, 500_000, 0, -10, 5_000_000), UTM)
THERE = np.array([[100, 50, 40, 10, 0.3], [300, 200, 30, 12, -1.2], [500, 300, 25, 8, 1.0], [200, 350, 6, 5, 0]])
# Three are found (one turned by 0.1, one 1 px off), one is missed, one is false.
FOUND = np.array([[100, 50, 40, 10, 0.4], [301, 200, 30, 12, -1.2], [500, 300, 25, 8, 1.0], [50, 300, 30, 10, 0]])
SCORE = np.array([0.9, 0.6, 0.8, 0.7])


def result(
    boxes: np.ndarray = FOUND,
    score: np.ndarray = SCORE,
    *,
    frame: SceneFrame = FRAME,
    classes: tuple[str, ...] = ("ship",),
    label: list[int] | None = None,
) -> RunResult:
    n = len(boxes)
    zeros = np.zeros(n, np.int64)
    columns = np.array(label, np.int64) if label else zeros
    found = Detections(boxes, score, columns, zeros, zeros, np.zeros(n, bool)).in_canonical_order()
    return RunResult(frame, classes, has_heading=True, detections=found, windows=())


def labels(path: Path, boxes: np.ndarray = THERE, *, frame: SceneFrame = FRAME, **columns: list) -> Path:
    rings = pixel_to_map(box.corners(boxes), frame.transform)
    values = {"label": ["ship"] * len(boxes), **columns}
    gpd.GeoDataFrame(values, geometry=list(shapely.polygons(rings)), crs=frame.crs).to_file(path, layer="labels")
    return path


def check_numbers(got: Evaluation, *, pixel_m: float = 10.0) -> None:
    assert (got.n_truth, got.n_detections, got.n_absorbed) == (4, 4, 0)
    # hits at ranks 1, 2 and 4: precision 1, 1, 2/3, 3/4; recall 1/4, 1/2, 1/2, 3/4
    assert got.ap == pytest.approx((51 * 1 + 25 * 0.75) / 101)
    assert (got.precision, got.recall, got.f1) == (0.75, 0.75, 0.75)
    assert (got.best_f1, got.best_threshold) == (0.75, pytest.approx(0.6))
    assert got.offset_m == pytest.approx(pixel_m / 3, rel=2e-3)  # one of three is one pixel off
    assert got.heading_error_deg == pytest.approx(0, abs=0.01)
    assert got.mode == "oriented"
    assert [(part.low_m, part.n_truth, part.recall) for part in got.by_length if part.n_truth] == [
        (40.0, 1, 0.0),
        (160.0, 2, 1.0),
        (320.0, 1, 1.0),
    ]
    assert got.ap_50_95 is not None
    assert 0.4 < got.ap_50_95 < got.ap


@pytest.mark.parametrize("name", ["d.gpkg", "d.geojson", "d.fgb"])
def test_with_the_scene(tmp_path: Path, name: str) -> None:
    path = write_result(result(), tmp_path / name)
    got = evaluate_result(path, labels(tmp_path / "l.gpkg"), frame=FRAME)
    assert got.grid == "scene"
    check_numbers(got)


def test_with_the_runs_own_record(tmp_path: Path) -> None:
    outside = np.array([[900.0, 50, 20, 10, 0], [5, -20, 20, 10, 0]])
    path = write_result(result(), tmp_path / "d.gpkg")
    got = evaluate_result(path, labels(tmp_path / "l.gpkg", np.concatenate([THERE, outside])))
    assert (got.grid, got.n_outside) == ("run", 2)
    check_numbers(got)


@pytest.mark.parametrize("name", ["d.geojson", "d.fgb"])
def test_with_neither(tmp_path: Path, name: str) -> None:
    got = evaluate_result(write_result(result(), tmp_path / name), labels(tmp_path / "l.gpkg"))
    assert got.grid == "extent"
    check_numbers(got)


def test_near_the_pole_without_the_scene(tmp_path: Path) -> None:
    north = SceneFrame("ice.tif", FRAME.size, Affine(10, 0, 200_000, 0, -10, 100_000), CRS.from_epsg(3413))
    path = write_result(result(frame=north), tmp_path / "d.geojson")
    pixel_m = pixel_size(north.transform, CRS.from_epsg(3413), col=300, row=200).mean_m
    check_numbers(evaluate_result(path, labels(tmp_path / "l.gpkg", frame=north)), pixel_m=pixel_m)


def test_without_crs_on_both_sides(tmp_path: Path) -> None:
    bare = SceneFrame("bare.tif", FRAME.size, Affine.identity(), None)
    upright = SceneFrame("bare.tif", FRAME.size, Affine(1, 0, 0, 0, -1, 0), None)
    path = write_result(result(frame=bare), tmp_path / "d.gpkg")
    for frame in (bare, None):
        label_path = labels(tmp_path / f"l{frame is None}.gpkg", frame=upright)
        got = evaluate_result(path, label_path, frame=frame)
        assert (got.ap, got.recall) == (pytest.approx((51 + 25 * 0.75) / 101), 0.75)
        assert got.offset_m == pytest.approx(1 / 3)


def test_truncated_labels_and_what_lies_on_them_do_not_count(tmp_path: Path) -> None:
    path = write_result(result(), tmp_path / "d.gpkg")
    got = evaluate_result(path, labels(tmp_path / "l.gpkg", truncated=[True, False, False, True]), frame=FRAME)
    assert (got.n_truth, got.n_ignored, got.n_absorbed) == (2, 2, 1)
    assert (got.precision, got.recall) == (pytest.approx(2 / 3), 1)


def test_upright_labels_are_compared_upright_and_give_no_heading(tmp_path: Path) -> None:
    there = box.axis_aligned(THERE)
    got = evaluate_result(write_result(result(), tmp_path / "d.gpkg"), labels(tmp_path / "l.gpkg", there))
    assert (got.mode, got.heading_error_deg, got.recall) == ("axis_aligned", None, 0.75)


def test_classes_are_matched_by_name(tmp_path: Path) -> None:
    path = write_result(result(classes=("tug", "ferry"), label=[0, 1, 1, 0]), tmp_path / "d.gpkg")
    truth = labels(tmp_path / "l.gpkg", label=["ferry", "ferry", "tug", "tug"])
    got = evaluate_result(path, truth)
    assert got.recall == 0.25  # the second alone has the right name
    assert got.by_class["ferry"].recall == 0.5
    assert got.by_class["tug"].ap == 0
    assert got.ap == pytest.approx(np.mean([got.by_class[name].ap for name in ("ferry", "tug")]))
    assert "| ferry | 2 | 2 |" in got.to_markdown()
    assert evaluate_result(path, truth, one_class=True).recall == 0.75


def test_no_class_in_common_is_refused(tmp_path: Path) -> None:
    path = write_result(result(), tmp_path / "d.gpkg")
    with pytest.raises(LabelError, match=r"holds \['ship'\].*holds \['vessel'\]: no class in common"):
        evaluate_result(path, labels(tmp_path / "l.gpkg", label=["vessel"] * 4))


def test_no_detections_is_zero(tmp_path: Path) -> None:
    path = write_result(result(np.zeros((0, 5)), np.zeros(0)), tmp_path / "d.gpkg")
    got = evaluate_result(path, labels(tmp_path / "l.gpkg"))
    assert (got.ap, got.recall, got.precision, got.f1, got.best_f1) == (0, 0, None, 0, 0)
    assert got.offset_m is None


def test_no_truth_is_none_with_the_reason(tmp_path: Path) -> None:
    path = write_result(result(), tmp_path / "d.gpkg")
    got = evaluate_result(path, labels(tmp_path / "l.gpkg", np.zeros((0, 5))))
    assert (got.ap, got.ap_50_95, got.recall, got.f1, got.precision) == (None, None, None, None, 0)
    assert got.ap_reason == "no ground truth to find"
    assert "| no ground truth to find |" in got.to_markdown()


def test_plain_values_and_tables(tmp_path: Path) -> None:
    got = evaluate_result(write_result(result(), tmp_path / "d.gpkg"), labels(tmp_path / "l.gpkg"))
    plain = json.loads(json.dumps(got.to_dict(), allow_nan=False))
    assert plain["recall"] == 0.75
    assert plain["by_length"][-1] == {"low_m": 320.0, "high_m": None, "n_truth": 1, "recall": 1.0}
    assert plain["by_class"]["ship"]["n_truth"] == 4
    text = got.to_markdown()
    assert "| AP at IoU 0.50 (oriented) | 0.691 |" in text
    assert "| from 320 | 1 | 1.000 |" in text


def test_swapped_files_are_noticed(tmp_path: Path) -> None:
    path = write_result(result(), tmp_path / "d.gpkg")
    with pytest.raises(LabelError, match="no column 'score': give detections first"):
        evaluate_result(labels(tmp_path / "l.gpkg"), path, frame=FRAME)


def test_detections_of_several_scenes_need_the_scene(tmp_path: Path) -> None:
    rings = pixel_to_map(box.corners(FOUND), FRAME.transform)
    table = gpd.GeoDataFrame(
        {"label": ["ship"] * 4, "score": SCORE, "scene": ["a", "a", "b", "b"]},
        geometry=list(shapely.polygons(rings)),
        crs=UTM,
    )
    table.to_file(tmp_path / "d.geojson")
    with pytest.raises(LabelError, match="detections of 2 scenes"):
        evaluate_result(tmp_path / "d.geojson", labels(tmp_path / "l.gpkg"))
