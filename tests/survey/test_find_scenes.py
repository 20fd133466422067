"""Folders and files become scenes with labels; what cannot be told apart is refused."""

from __future__ import annotations

import pytest
from own_scenes import boxes_at, scene_at, write_labels

from geopdn.errors import ConfigError, LabelError
from geopdn.evaluate.layers import LabelFile
from geopdn.survey.find import find_rasters, pair, root_of


def test_folders_and_files_each_once_without_sidecars(tmp_path):
    for name in ("b.tif", "a.TIFF", "c.png", "b.geopdn-overview.tif", "notes.txt", "b.tif.aux.xml"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.tif").touch()
    found = find_rasters([tmp_path, tmp_path / "b.tif", tmp_path / "sub"])
    assert [path.name for path in found] == ["a.TIFF", "b.tif", "c.png", "d.tif"]
    assert all(path.is_absolute() for path in found)
    assert root_of(found) == tmp_path
    assert root_of(found[-1:]) == tmp_path / "sub"


def test_what_is_no_scene_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no scene"):
        find_rasters([tmp_path])
    with pytest.raises(ConfigError, match="neither a scene nor a folder"):
        find_rasters([tmp_path / "gone.tif"])
    (tmp_path / "sub").mkdir()
    for name in ("a.tif", "sub/a.tif"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match="told apart by their names, and a is there twice"):
        find_rasters([tmp_path, tmp_path / "sub"])


def test_one_file_for_all_and_one_for_each(tmp_path):
    scenes = [scene_at(tmp_path / f"{name}.tif") for name in "ab"]
    shared = write_labels(tmp_path / "labels.gpkg", boxes_at(1))
    pairs, all_of_them = pair(scenes, LabelFile(shared, label_field="kind"))
    assert all_of_them == LabelFile(shared, label_field="kind")
    assert [one.labels for one in pairs] == [all_of_them] * 2
    for name in "ab":
        write_labels(tmp_path / f"{name}.truth.gpkg", boxes_at(1))
    pairs, all_of_them = pair(scenes, LabelFile(tmp_path, point_size_m=3))
    assert all_of_them == LabelFile(tmp_path / "{stem}.truth.gpkg", point_size_m=3)
    assert [one.labels.path.name for one in pairs] == ["a.truth.gpkg", "b.truth.gpkg"]
    assert {one.labels.point_size_m for one in pairs} == {3}


def test_missing_and_mixed_labels(tmp_path):
    scenes = [scene_at(tmp_path / f"{name}.tif") for name in "ab"]
    with pytest.raises(LabelError, match="does not exist"):
        pair(scenes, LabelFile(tmp_path / "gone.gpkg"))
    write_labels(tmp_path / "a.gpkg", boxes_at(1))
    with pytest.raises(LabelError, match=r"no labels for b.tif: expected b.gpkg or b.truth.gpkg"):
        pair(scenes, LabelFile(tmp_path))
    write_labels(tmp_path / "b.truth.gpkg", boxes_at(1))
    with pytest.raises(
        LabelError, match=r"named in several ways, \{stem\}.gpkg, \{stem\}.truth.gpkg: rename them alike"
    ):
        pair(scenes, LabelFile(tmp_path))
