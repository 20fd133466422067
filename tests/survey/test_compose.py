"""The configuration as text: it loads, says what was chosen, and leads training to the same scenes."""

from __future__ import annotations

import pytest
from own_scenes import boxes_at, folder_with, scene_at, write_labels

from geopdn.config_file import load_train_config
from geopdn.errors import ConfigError
from geopdn.evaluate.layers import LabelFile
from geopdn.survey.compose import compose, name_from
from geopdn.survey.draft import make_draft
from geopdn.survey.find import find_rasters, pair
from geopdn.survey.survey import survey
from geopdn.train.places import find_scenes


def draft_of(scenes, labels, *, name="mine"):
    pairs, file = pair(find_rasters(scenes), labels)
    return make_draft(survey(pairs), name=name, labels=file)


def written(draft, path):
    path.parent.mkdir(exist_ok=True)
    path.write_text(compose(draft, folder=path.parent), encoding="utf-8")
    return load_train_config(path)


def test_it_loads_and_says_what_was_chosen(tmp_path):
    counts = {f"port{k}": {"tug": 6, "ferry": 3} for k in range(6)}
    scenes = folder_with(tmp_path, counts)
    draft = draft_of([scenes], LabelFile(tmp_path / "labels.gpkg", label_field="kind"))
    path = tmp_path / "configs" / "mine.yaml"
    config = written(draft, path)
    assert config.name == "mine"
    assert config.model.classes == ("ferry", "tug")
    assert config.model.kinds == draft.recipe.kinds
    assert config.model.has_heading
    assert config.model.radiometry.high == (255,)
    assert config.training.steps == draft.recipe.steps
    assert config.data.validation == draft.split.validation
    assert (config.data.sources[0].label_field, config.data.sources[0].layer) == ("kind", None)
    found = find_scenes(config.data, base=path.parent)
    assert [scene.path.resolve() for scene in found] == sorted(scenes.glob("*.tif"))
    assert [scene.split for scene in found] == draft.split.sides
    assert {scene.labels.path.resolve() for scene in found} == {tmp_path / "labels.gpkg"}
    assert max(map(len, path.read_text().splitlines())) <= 120


@pytest.mark.parametrize("kind", ["no", "1e3", "2", "null", "a.b-c+d e", "010"])
def test_class_names_stay_what_they_are(tmp_path, kind):
    scenes = folder_with(tmp_path, {f"s{k}": {kind: 3} for k in range(3)})
    config = written(
        draft_of([scenes], LabelFile(tmp_path / "labels.gpkg", label_field="kind")), tmp_path / "mine.yaml"
    )
    assert config.model.classes == (kind,)


def test_a_class_that_no_model_can_have_is_refused(tmp_path):
    scenes = folder_with(tmp_path, {f"s{k}": {"<tug>": 3} for k in range(3)})
    draft = draft_of([scenes], LabelFile(tmp_path / "labels.gpkg", label_field="kind"))
    with pytest.raises(ConfigError, match=r"model.classes.0: .*\(got '<tug>'\)"):
        compose(draft, folder=tmp_path)


def test_some_scenes_of_a_folder_with_odd_names(tmp_path):
    folder = tmp_path / "my scenes #1"
    folder.mkdir()
    names = ["a [1]", "b: é", "c'd", "left out"]
    scenes = [scene_at(folder / f"{name}.tif", east_km=20 * k) for k, name in enumerate(names)]
    boxes = [box for k in range(4) for box in boxes_at(3, east_km=20 * k)]
    labels = write_labels(folder / "labels: all.gpkg", boxes, to=4326)
    draft = draft_of(scenes[:3], LabelFile(labels, layer="labels"))
    config = written(draft, tmp_path / "elsewhere" / "mine.yaml")
    found = find_scenes(config.data, base=tmp_path / "elsewhere")
    assert sorted(scene.path.stem for scene in found) == names[:3]
    assert sorted(scene.place for scene in found if scene.split == "validation") == sorted(draft.split.validation)
    assert {scene.labels.layer for scene in found} == {"labels"}


def test_points_and_a_file_for_each_scene(tmp_path):
    scenes = [scene_at(tmp_path / f"s{k}.tif", east_km=20 * k) for k in range(3)]
    for k in range(3):
        centres = [box.centroid for box in boxes_at(4, east_km=20 * k)]
        write_labels(tmp_path / f"s{k}.gpkg", centres)
    draft = draft_of(scenes, LabelFile(tmp_path, point_size_m=60))
    assert not draft.has_heading
    config = written(draft, tmp_path / "mine.yaml")
    assert config.data.sources[0].labels == "{stem}.gpkg"
    assert config.data.sources[0].point_size_m == 60
    assert config.training.rotation_deg == 0


@pytest.mark.parametrize(
    ("stem", "name"), [("My Ships", "my-ships"), ("été_2", "t--2"), ("...", "my-objects"), ("x" * 90, "x" * 60)]
)
def test_names_of_models(stem, name):
    assert name_from(stem) == name
