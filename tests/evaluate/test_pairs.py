"""Files and folders of detections and labels, paired by the scenes' names; places by a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from geopdn.errors import ConfigError, LabelError
from geopdn.evaluate.pairs import find_pairs
from geopdn.evaluate.places import places_of


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_folders_are_paired_by_name_and_leftovers_are_told(tmp_path: Path) -> None:
    results = touch(tmp_path / "r", "b.detections.gpkg", "a.detections.geojson", "c.detections.fgb", "a.gpkg", "x.txt")
    labels = touch(tmp_path / "l", "a.gpkg", "b.truth.gpkg", "d.labels.geojson", "e.detections.gpkg", "a.tif")
    got = find_pairs(results, labels)
    assert [(pair.scene, pair.result.name, pair.labels.name) for pair in got.pairs] == [
        ("a", "a.detections.geojson", "a.gpkg"),
        ("b", "b.detections.gpkg", "b.truth.gpkg"),
    ]
    assert (got.without_labels, got.without_result) == (("c",), ("d",))


def test_one_folder_may_hold_both(tmp_path: Path) -> None:
    both = touch(tmp_path / "both", "a.detections.gpkg", "a.truth.gpkg")
    assert [(p.result.name, p.labels.name) for p in find_pairs(both, both).pairs] == [
        ("a.detections.gpkg", "a.truth.gpkg")
    ]


def test_one_result_takes_its_own_labels_from_a_folder(tmp_path: Path) -> None:
    labels = touch(tmp_path / "l", "a.gpkg", "b.gpkg")
    result = touch(tmp_path / "r", "b.detections.gpkg") / "b.detections.gpkg"
    got = find_pairs(result, labels)
    assert [pair.labels.name for pair in got.pairs] == ["b.gpkg"]
    assert got.without_result == ()


def test_a_file_of_labels_is_for_every_result(tmp_path: Path) -> None:
    results = touch(tmp_path / "r", "a.detections.gpkg", "b.detections.gpkg")
    one = touch(tmp_path / "l", "labels.gpkg") / "labels.gpkg"
    assert [(pair.scene, pair.labels) for pair in find_pairs(results, one).pairs] == [("a", one), ("b", one)]


def test_what_cannot_be_paired_is_refused(tmp_path: Path) -> None:
    results = touch(tmp_path / "r", "a.detections.gpkg", "a.detections.geojson")
    labels = touch(tmp_path / "l", "b.gpkg")
    with pytest.raises(LabelError, match=r"a\.detections\.geojson and a\.detections\.gpkg are both of the scene 'a'"):
        find_pairs(results, labels)
    (results / "a.detections.geojson").unlink()
    with pytest.raises(LabelError, match=r"holds no labels of a: they are looked for as SCENE\.gpkg"):
        find_pairs(results, labels)
    with pytest.raises(LabelError, match=r"l holds no SCENE\.detections\.gpkg"):
        find_pairs(labels, results)
    with pytest.raises(LabelError, match="nowhere is not a file or a folder: give the labels"):
        find_pairs(results, tmp_path / "nowhere")


def test_places_are_the_first_group_of_the_pattern() -> None:
    stems = ["site00_0", "site00_1", "site08_0", "port"]
    assert places_of(stems, r"^(site\d+)_") == ["site00", "site00", "site08", "port"]
    assert places_of(stems, None) == stems


@pytest.mark.parametrize(("pattern", "message"), [
    ("(", "is not a regular expression"), ("site", "has 0 groups"), ("(a)(b)", "has 2 groups"),
    ("^(ship)", "fits none of the scenes, such as 'site00_0'"),
])  # fmt: skip
def test_patterns_that_cannot_be_meant_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        places_of(["site00_0"], pattern)
