"""What the survey sees in scenes and labels, and every problem of labels that it reports."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from own_scenes import X, Y, boxes_at, lengths_m, scene_at, surveyed, texts, write_labels

from geopdn.errors import LabelError
from geopdn.evaluate.labelled import Labelled
from geopdn.evaluate.layers import LabelFile
from geopdn.survey.problems import MOST_LINES, Problem, few, stop_at_errors
from geopdn.survey.survey import survey


@pytest.fixture
def scene(tmp_path):
    return scene_at(tmp_path / "a.tif")


@pytest.mark.parametrize("to", [32631, 4326, 3857, 32632, 3035])
def test_boxes_of_any_system_and_several_classes(tmp_path, scene, to):
    other = scene_at(tmp_path / "b.tif", east_km=5)
    boxes = boxes_at(6) + boxes_at(4, east_km=5)
    labels = write_labels(tmp_path / "l.gpkg", boxes, to=to, kind=["tug"] * 5 + ["ferry"] * 5)
    seen = surveyed([scene, other], labels, label_field="kind")
    assert seen.problems == ()
    assert seen.classes == ("ferry", "tug")
    assert [one.counts.tolist() for one in seen.scenes] == [[1, 5], [4, 0]]
    np.testing.assert_allclose(np.concatenate([one.sides_m for one in seen.scenes]), [[120, 40]] * 10, rtol=2e-3)
    assert [one.upright for one in seen.scenes] == [False, False]
    assert [one.pixel_m for one in seen.scenes] == pytest.approx([10 / 0.9996] * 2, rel=1e-3)


def test_points_with_a_size_and_outlines(tmp_path, scene):
    centres = [shape.centroid for shape in boxes_at(7)]
    points = write_labels(tmp_path / "p.gpkg", centres, to=4326)
    seen = surveyed([scene], points, point_size_m=50)
    assert seen.problems == ()
    np.testing.assert_allclose(seen.scenes[0].sides_m, [[50, 50]] * 7, rtol=1e-6)
    assert seen.scenes[0].upright
    outlines = [shape.buffer(5).segmentize(3) for shape in boxes_at(7)]
    seen = surveyed([scene], write_labels(tmp_path / "o.gpkg", outlines, to=4326))
    assert seen.problems == ()
    np.testing.assert_allclose(seen.scenes[0].sides_m, [[130, 50]] * 7, rtol=3e-3)


def test_boxes_that_are_upright_in_their_own_system_say_nothing_of_a_heading(tmp_path, scene):
    degrees = geopandas.GeoSeries(boxes_at(5), crs=32631).to_crs(4326)
    upright = [shapely.box(*shape.bounds) for shape in degrees]
    assert surveyed([scene], write_labels(tmp_path / "l.gpkg", upright, crs=4326)).scenes[0].upright


def test_labels_outside_of_every_scene_are_counted_or_an_error(tmp_path, scene):
    labels = write_labels(tmp_path / "l.gpkg", boxes_at(5) + boxes_at(3, east_km=50), to=4326)
    (text,) = texts(surveyed([scene], labels))
    assert "3 of 8 labels outside of their scenes, left out" in text
    away = write_labels(tmp_path / "away.gpkg", boxes_at(3, east_km=50))
    seen = surveyed([scene], away)
    (text,) = texts(seen, is_error=True)
    assert "none of its 3 labels touches any of the 1 scene" in text
    assert "EPSG:32631" in text
    assert "check that labels and scenes belong together" in text
    assert len(seen.scenes[0].truth) == 0


def test_wrong_systems_are_recognised(tmp_path, scene):
    boxes = boxes_at(4)
    wrong = write_labels(tmp_path / "w.gpkg", boxes, crs=32633)
    (text,) = texts(surveyed([scene], wrong), is_error=True)
    assert "EPSG:32633" in text
    assert "read as EPSG:32631 (WGS 84 / UTM zone 31N), 100% of them would lie there: correct the labels' CRS" in text
    degrees = geopandas.GeoSeries(boxes, crs=32631).to_crs(4326)
    swapped = write_labels(tmp_path / "s.gpkg", shapely.transform(degrees.values, lambda xy: xy[:, ::-1]), crs=4326)
    (text,) = texts(surveyed([scene], swapped), is_error=True)
    assert "read as EPSG:4326 (WGS 84) as declared with x and y swapped" in text


def test_labels_and_scenes_without_a_system(tmp_path, scene):
    bare = tmp_path / "bare.gpkg"
    with pytest.warns(UserWarning, match="crs"):
        write_labels(bare, geopandas.GeoSeries(boxes_at(4), crs=32631).to_crs(4326).values, crs=None)
    (text,) = texts(surveyed([scene], bare), is_error=True)
    assert "bare.gpkg has no CRS" in text
    assert "read as OGC:CRS84" in text or "read as EPSG:4326" in text
    nowhere = scene_at(tmp_path / "nowhere.tif", crs=None)
    labels = write_labels(tmp_path / "l.gpkg", boxes_at(4))
    seen = surveyed([scene, nowhere], labels)
    (text,) = texts(seen, is_error=True)
    assert "nowhere.tif has no CRS" in text
    assert [one.path for one in seen.scenes] == [scene]


def test_empty_files_layers_and_geometries(tmp_path, scene):
    other = scene_at(tmp_path / "b.tif", east_km=5)
    empty = write_labels(tmp_path / "empty.gpkg", [], label=np.array([], dtype=str))
    full = write_labels(tmp_path / "full.gpkg", [*boxes_at(2), None, shapely.Polygon()], label=["x"] * 4)
    seen = survey([Labelled(other, LabelFile(empty)), Labelled(scene, LabelFile(full))])
    assert texts(seen, is_error=True) == []
    nothing, without = texts(seen)
    assert "empty.gpkg has no features, its scene is taken as empty ground" in nothing
    assert "2 features (first number 3) without a geometry, left out" in without
    assert [len(one.truth) for one in seen.scenes] == [0, 2]
    (text,) = texts(survey([Labelled(other, LabelFile(empty))]), is_error=True)
    assert "none of the 1 scene shows a labelled object" in text
    missing = write_labels(tmp_path / "missing.gpkg", [None, None], label=["x"] * 2)
    (text,) = texts(surveyed([scene], missing), is_error=True)
    assert "none of its 2 features has a geometry" in text


def test_invalid_geometries_lines_and_points_without_a_size(tmp_path, scene):
    x, y = X + 500, Y - 500
    bow = shapely.Polygon([(x, y), (x + 80, y + 80), (x + 80, y), (x, y + 80)])
    seen = surveyed([scene], write_labels(tmp_path / "bow.gpkg", [bow, *boxes_at(1)]))
    (text,) = texts(seen)
    assert "1 feature (number 1) with an invalid geometry (Self-intersection" in text
    assert seen.scenes[0].counts.tolist() == [2]
    lines = [shapely.LineString([(x, y), (x + 50, y)]), *boxes_at(2)]
    (text,) = texts(surveyed([scene], write_labels(tmp_path / "lines.gpkg", lines)), is_error=True)
    assert "1 feature (number 1) that are lines: expected boxes, polygons or points" in text
    points = write_labels(tmp_path / "points.gpkg", [shapely.Point(x, y), shapely.Point(x + 90, y)])
    (text,) = texts(surveyed([scene], points), is_error=True)
    assert "2 features (first number 1) that are points, which have no size" in text
    assert "--point-size" in text


def test_repeated_contradicting_and_tiny_objects(tmp_path, scene):
    boxes = boxes_at(4)
    shifted = [shapely.transform(shape, lambda xy: xy + 3) for shape in boxes[:2]]
    labels = write_labels(tmp_path / "l.gpkg", boxes + shifted, label=["tug"] * 5 + ["ferry"])
    seen = surveyed([scene], labels)
    repeated, double = texts(seen)
    assert "another of the class marks too (IoU over 0.5), left out: 1, in a.tif" in repeated
    assert "marked as two classes, learnt as both: 1, in a.tif" in double
    assert seen.scenes[0].counts.tolist() == [1, 4]  # the ferry, and each tug once
    tiny = write_labels(tmp_path / "tiny.gpkg", boxes_at(3, length_m=30, width_m=20) + boxes_at(9)[3:])
    (text,) = texts(surveyed([scene], tiny))
    assert "3 of 9 objects are shorter than 4 px" in text


def test_classes_unknown_missing_and_nameless(tmp_path, scene):
    labels = write_labels(tmp_path / "l.gpkg", boxes_at(3), kind=["tug", "ferry", None])
    with pytest.raises(LabelError, match=r"classes \['ferry', 'object'\] are not among \['tug'\]"):
        surveyed([scene], labels, classes=["tug"], label_field="kind")
    with pytest.raises(LabelError, match=r"no column 'type', only \['kind'\]"):
        surveyed([scene], labels, label_field="type")
    seen = surveyed([scene], labels, label_field="kind")
    (text,) = texts(seen)
    assert "1 feature (number 3) without a value in 'kind', taken as class 'object'" in text
    assert seen.classes == ("ferry", "object", "tug")


def test_a_column_scene_that_names_other_scenes(tmp_path, scene):
    other = scene_at(tmp_path / "b.tif", east_km=1)  # half of it is ground of `a` too
    labels = write_labels(tmp_path / "l.gpkg", boxes_at(6), scene=["a.tif"] * 6)
    seen = surveyed([scene, other], labels)
    assert [len(one.truth) for one in seen.scenes] == [6, 0]
    wrong = write_labels(tmp_path / "w.gpkg", boxes_at(6), scene=["c"] * 6)
    (text,) = texts(surveyed([scene, other], wrong), is_error=True)
    assert "its column `scene` names none of the scenes, such as 'a', but c" in text


def test_an_object_in_two_overlapping_scenes_is_in_both(tmp_path, scene):
    other = scene_at(tmp_path / "b.tif", east_km=1)
    seen = surveyed([scene, other], write_labels(tmp_path / "l.gpkg", boxes_at(6)))
    assert len(seen.scenes[0].truth) == 6
    assert 0 < len(seen.scenes[1].truth) < 6
    assert len(lengths_m(seen)) == len(seen.scenes[0].truth) + len(seen.scenes[1].truth)


def test_warnings_are_said_and_the_last_error_raised():
    said: list[str] = []
    stop_at_errors([Problem("one")], say=said.append)
    assert said == ["warning: one"]
    problems = [Problem("first", is_error=True), Problem("odd"), Problem("second", is_error=True)]
    said.clear()
    with pytest.raises(LabelError, match=r"^second$"):
        stop_at_errors(problems, say=said.append)
    assert said == ["warning: odd", "error: first"]
    said.clear()
    stop_at_errors([Problem(str(n)) for n in range(MOST_LINES + 5)], say=said.append)
    assert len(said) == MOST_LINES + 1
    assert said[-1].startswith("warning: 5 more")
    assert few("abcde") == "a, b, c and 2 more"
