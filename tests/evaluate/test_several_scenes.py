"""Several scenes scored together: pooled numbers, places, leftovers, both kinds of overlap."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from test_evaluation_report import FOUND, FRAME, SCORE, labels, result

from geopdn.detections import SceneFrame
from geopdn.errors import ConfigError, LabelError
from geopdn.evaluate.report import evaluate_result
from geopdn.geometry import boxes as box
from geopdn.output.write import write_result


def frame_of(scene: str, *, east: float) -> SceneFrame:
    return replace(FRAME, name=f"{scene}.tif", transform=FRAME.transform.translation(east, 0) @ FRAME.transform)


# site00 on two dates: all but one of four found each time; site08: one of four; one false find in every scene.
SCENES = {"site00_0": 0, "site00_1": 10_000, "site08_0": 20_000}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    results, truths = tmp_path / "results", tmp_path / "truths"
    results.mkdir()
    truths.mkdir()
    for scene, east in SCENES.items():
        frame = frame_of(scene, east=east)
        keep = [0, 3] if scene == "site08_0" else [0, 1, 2, 3]
        write_result(result(FOUND[keep], SCORE[keep], frame=frame), results / f"{scene}.detections.gpkg")
        labels(truths / f"{scene}.truth.gpkg", frame=frame)
    return results, truths


def one_file(truths: Path, path: Path, *, with_scene: bool) -> Path:
    tables = []
    for part in sorted(truths.glob("*.gpkg")):
        table = gpd.read_file(part)
        tables.append(table.assign(scene=part.name.partition(".")[0]) if with_scene else table)
    pd.concat(tables).to_file(path, layer="labels")
    return path


def check_pooled(got) -> None:
    assert (got.n_scenes, got.n_truth, got.n_detections, got.grid) == (3, 12, 10, "run")
    assert (got.recall, got.precision) == (pytest.approx(7 / 12), pytest.approx(7 / 10))
    # scores from the top: 3 x 0.9 right, 2 x 0.8 right, 3 x 0.7 wrong, 2 x 0.6 right
    # precision 1, 1, 5/8, 7/10 at recall 3/12, 5/12, 5/12, 7/12
    assert got.ap == pytest.approx((42 * 1 + 17 * 0.7) / 101)
    assert got.offset_m == pytest.approx(2 * 10 / 7, rel=2e-3)


def test_folders_are_pooled(folders: tuple[Path, Path]) -> None:
    got = evaluate_result(*folders)
    check_pooled(got)
    assert (got.without_labels, got.without_result, got.n_outside) == ((), (), 0)
    assert [(part.place, part.scenes) for part in got.by_place] == [(name, (name,)) for name in SCENES]


@pytest.mark.parametrize("with_scene", [True, False])
def test_one_file_of_labels_serves_all(folders: tuple[Path, Path], tmp_path: Path, *, with_scene: bool) -> None:
    got = evaluate_result(folders[0], one_file(folders[1], tmp_path / "all.gpkg", with_scene=with_scene))
    check_pooled(got)
    assert (got.without_labels, got.without_result, got.n_outside) == ((), (), 0)


def test_places_are_resampled_whole(folders: tuple[Path, Path]) -> None:
    got = evaluate_result(*folders, place=r"^(site\d+)_")
    check_pooled(got)
    assert got.n_places == 2
    assert [(part.place, part.n_truth, part.n_detections, part.recall) for part in got.by_place] == [
        ("site00", 8, 8, 0.75),
        ("site08", 4, 2, 0.25),
    ]
    assert got.by_place[1].ap == pytest.approx(26 / 101)
    assert got.by_place[1].f1 == pytest.approx(2 / 6)
    # two places: both drawn twice, or each once; a quarter of the resamples at either end
    assert (got.intervals["recall"].low, got.intervals["recall"].high) == (0.25, 0.75)
    assert got.intervals["ap"].low == pytest.approx(26 / 101)
    assert got.intervals["ap"].high == pytest.approx((51 + 25 * 0.75) / 101)
    assert "resamples of 2 places; of fewer than 5 places they mean little" in got.intervals_note
    assert evaluate_result(*folders, place=r"^(site\d+)_").to_dict() == got.to_dict()


def test_one_place_has_no_intervals(folders: tuple[Path, Path]) -> None:
    got = evaluate_result(*folders, place="^(site)")
    assert (got.n_places, got.intervals) == (1, None)
    assert "there is one place" in got.intervals_note
    assert "no intervals" in got.to_markdown()


def test_what_has_no_counterpart_is_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    results, truths = folders
    shared = one_file(truths, tmp_path / "all.gpkg", with_scene=True)
    (results / "site00_1.detections.gpkg").unlink()
    for given in (truths, shared):
        got = evaluate_result(results, given)
        assert (got.n_scenes, got.without_labels, got.without_result) == (2, (), ("site00_1",))
        assert "- **Not scored**, labels but no detections: site00_1" in got.to_markdown()
    got = evaluate_result(results, one_file(truths, tmp_path / "bare.gpkg", with_scene=False))
    assert (got.n_scenes, got.n_truth, got.n_outside) == (2, 8, 4)

    (truths / "site08_0.truth.gpkg").unlink()
    table = gpd.read_file(shared)
    table[table["scene"] != "site08_0"].to_file(tmp_path / "fewer.gpkg", layer="labels")
    for given in (truths, tmp_path / "fewer.gpkg"):
        got = evaluate_result(results, given)
        assert (got.n_truth, got.without_labels, got.without_result) == (4, ("site08_0",), ("site00_1",))


def test_labels_of_elsewhere_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    far = labels(tmp_path / "far.gpkg", frame=frame_of("far", east=90_000))
    with pytest.raises(LabelError, match=r"no label of .*far\.gpkg touches any of the 3 scenes"):
        evaluate_result(folders[0], far)
    named = labels(tmp_path / "named.gpkg", frame=FRAME, scene=["other"] * 4)
    with pytest.raises(LabelError, match=r"no feature whose `scene` is one of \['site00_0', 'site00_1', 'site08_0'\]"):
        evaluate_result(folders[0], named)
    with pytest.raises(ConfigError, match="is a folder and one scene is given"):
        evaluate_result(*folders, frame=FRAME)


def test_results_without_record_need_labels_of_their_own(folders: tuple[Path, Path], tmp_path: Path) -> None:
    results, truths = tmp_path / "plain", folders[1]
    results.mkdir()
    for scene, east in SCENES.items():
        keep = [0, 3] if scene == "site08_0" else [0, 1, 2, 3]
        frame = frame_of(scene, east=east)
        write_result(result(FOUND[keep], SCORE[keep], frame=frame), results / f"{scene}.detections.fgb")
    got = evaluate_result(results, truths)
    assert (got.grid, got.recall, got.n_scenes) == ("extent", pytest.approx(7 / 12), 3)
    named = evaluate_result(results, one_file(truths, tmp_path / "all.gpkg", with_scene=True))
    assert (named.ap, named.n_truth) == (pytest.approx(got.ap), 12)
    with pytest.raises(LabelError, match=r"does not record its scene and .* has no column 'scene'"):
        evaluate_result(results, one_file(truths, tmp_path / "bare.gpkg", with_scene=False))


def test_both_kinds_of_overlap_where_both_sides_have_headings(tmp_path: Path) -> None:
    # two crossed boats: the upright boxes around them are the same, the boats are not
    there, found = np.array([[100.0, 100, 40, 8, 0.6]]), np.array([[100.0, 100, 40, 8, -0.6]])
    path = write_result(result(found, np.array([0.9])), tmp_path / "d.gpkg")
    got = evaluate_result(path, labels(tmp_path / "l.gpkg", there))
    assert {mode: (one.ap, one.ap_50_95) for mode, one in got.overlaps.items()} == {
        "axis_aligned": (pytest.approx(1), pytest.approx(1)),
        "oriented": (0, 0),
    }
    assert (got.mode, got.ap) == ("oriented", 0)
    assert got.by_class["ship"].overlaps == got.overlaps
    upright = labels(tmp_path / "u.gpkg", box.axis_aligned(there))
    assert list(evaluate_result(path, upright).overlaps) == ["axis_aligned"]


def test_average_precisions_at_other_overlaps(tmp_path: Path) -> None:
    there = np.array([[100.0, 100, 40, 10, 0], [300, 100, 40, 10, 0.5]])
    found = there.copy()
    found[0, 2] = 26.1  # IoU 0.6525: found at four of COCO's ten overlaps
    path = write_result(result(found, np.array([0.9, 0.8])), tmp_path / "d.gpkg")
    got = evaluate_result(path, labels(tmp_path / "l.gpkg", there), iou=0.7)
    assert got.ap == pytest.approx(0.5 * 51 / 101)  # the first is wrong, the second right
    assert got.ap_50 == pytest.approx(1)
    assert got.ap_50_95 == pytest.approx((4 + 6 * 0.5 * 51 / 101) / 10)
    assert got.reliability.brier == pytest.approx((0.81 + 0.04) / 2)


def test_json_is_finite_and_markdown_names_every_place(folders: tuple[Path, Path]) -> None:
    got = evaluate_result(*folders)
    plain = json.loads(json.dumps(got.to_dict(), allow_nan=False))
    assert plain["intervals"]["recall"].keys() == {"low", "high"}
    assert plain["reliability"]["n"] == 10
    assert plain["by_place"][2] | {"ap": None} == {
        "place": "site08_0", "scenes": ["site08_0"], "n_truth": 4, "n_detections": 2, "ap": None, "precision": 0.5,
        "recall": 0.25, "f1": pytest.approx(1 / 3),
    }  # fmt: skip
    assert not any("curve" in key for key in plain)
    text = got.to_markdown()
    assert "| site08_0 | 1 | 4 | 2 | 0.257 | 0.500 | 0.250 | 0.333 |" in text
    assert "| recall, all detections | 0.583 | 0.250 to 0.750 |" in text
    # mean scores 0.9, 0.8 and 0.6 are all right, 0.7 all wrong
    assert f"{(3 * 0.1 + 2 * 0.2 + 3 * 0.7 + 2 * 0.4) / 10:.3f} (at most 0.700)" in text


def test_an_empty_scene_counts_its_false_finds(folders: tuple[Path, Path]) -> None:
    results, truths = folders
    frame = frame_of("site09_0", east=50_000)
    write_result(result(FOUND[:1], SCORE[:1], frame=frame), results / "site09_0.detections.gpkg")
    empty = gpd.GeoDataFrame({"label": []}, geometry=[], crs=FRAME.crs)
    empty.to_file(truths / "site09_0.gpkg", layer="labels", geometry_type="Polygon")
    got = evaluate_result(results, truths)
    assert (got.n_truth, got.n_detections, got.precision) == (12, 11, pytest.approx(7 / 11))
    assert (got.by_place[-1].ap, got.by_place[-1].recall, got.by_place[-1].precision) == (None, None, 0)
