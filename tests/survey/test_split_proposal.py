"""What is held out: whole places, never ground that is trained on, every class on every side where that can be."""

from __future__ import annotations

import numpy as np
import pytest
from own_scenes import boxes_at, folder_with, scene_at, surveyed, write_labels

from geopdn.survey.footprints import neighbours
from geopdn.survey.sides import side_problems
from geopdn.survey.split import EACH_SCENE, propose_split


def survey_of(root, counts, **options):
    scenes = folder_with(root, counts, **options)
    return surveyed(sorted(scenes.glob("*.tif")), root / "labels.gpkg", label_field="kind")


def test_neighbours_share_ground_or_lie_near(tmp_path):
    scenes = [scene_at(tmp_path / f"{k}.tif", east_km=km) for k, km in enumerate((0, 1, 2.5, 40))]
    seen = surveyed(scenes, write_labels(tmp_path / "l.gpkg", boxes_at(1)))
    touching = neighbours(seen.scenes)
    assert list(zip(touching.first, touching.second, strict=True)) == [(0, 1), (1, 2)]
    np.testing.assert_allclose(touching.shared, [0.5, 0.25], atol=1e-3)  # scenes are 2 km wide
    near = neighbours(seen.scenes, within=0.5)
    assert list(zip(near.first, near.second, strict=True)) == [(0, 1), (0, 2), (1, 2)]
    np.testing.assert_allclose(near.distance, [0, 0.25, 0], atol=1e-3)


def test_overlap_is_seen_across_systems(tmp_path):
    from affine import Affine
    from pyproj import Transformer

    first = scene_at(tmp_path / "a.tif", east_km=235)  # near the edge of the zone
    x, y = Transformer.from_crs(32631, 32632, always_xy=True).transform(736_000, 4_999_000)
    transform = Affine(10, 0, x - 1000, 0, -10, y + 1000)
    second = scene_at(tmp_path / "b.tif", crs="EPSG:32632", transform=transform)
    seen = surveyed([first, second], write_labels(tmp_path / "l.gpkg", boxes_at(1, east_km=235)))
    assert neighbours(seen.scenes).shared[0] > 0.9  # turned by some degrees about the same centre


def test_scenes_whose_names_begin_alike_are_a_place(tmp_path):
    counts = {f"{port}_{n}": {"ship": 10} for port in ("brest", "genoa", "malaga", "nice", "split") for n in (1, 2)}
    split = propose_split(survey_of(tmp_path, counts).scenes)
    assert split.places == tuple(name.split("_")[0] for name in sorted(counts))
    assert (len(split.validation), len(split.calibration)) == (1, 1)
    assert not set(split.validation) & set(split.calibration)
    assert split.reason == "scenes whose names begin alike are a place"
    assert split.sides.count("train") == 6


def test_overlapping_scenes_stay_on_one_side(tmp_path):
    names = [f"tile{k}" for k in range(9)]
    scenes = [scene_at(tmp_path / f"{n}.tif", east_km=30 * (k // 3) + (k % 3), seed=k) for k, n in enumerate(names)]
    boxes = [box for group in range(3) for box in boxes_at(12, east_km=30 * group + 1)]
    seen = surveyed(scenes, write_labels(tmp_path / "l.gpkg", boxes))
    split = propose_split(seen.scenes)
    assert split.pattern == EACH_SCENE
    sides = [set(split.sides[k : k + 3]) for k in (0, 3, 6)]
    assert all(len(side) == 1 for side in sides)
    assert set.union(*sides) == {"train", "calibration", "validation"}
    assert not [p for p in side_problems(seen.scenes, split.sides, seen.classes) if "share" in p.text]


@pytest.mark.parametrize("seed", range(8))
def test_no_split_shares_ground_between_its_sides(tmp_path, seed):
    rng = np.random.default_rng(seed)
    scenes, boxes = [], []
    for k in range(12):
        east = float(rng.uniform(0, 25))
        scenes.append(scene_at(tmp_path / f"s{k}.tif", east_km=east, south_km=float(rng.uniform(0, 4)), seed=k))
        boxes += boxes_at(int(rng.integers(1, 8)), east_km=east)
    seen = surveyed(scenes, write_labels(tmp_path / "l.gpkg", boxes, to=4326))
    split = propose_split(seen.scenes)
    near = neighbours(seen.scenes)
    for a, b, shared in zip(near.first, near.second, near.shared, strict=True):
        assert shared <= 0.01 or split.sides[a] == split.sides[b]
    assert "train" in split.sides


def test_every_class_is_on_every_side(tmp_path):
    counts = {f"p{k}": {"common": 8, **({"rare": 3} if k in (1, 4, 5, 8) else {})} for k in range(10)}
    seen = survey_of(tmp_path, counts)
    split = propose_split(seen.scenes)
    for side in ("train", "calibration", "validation"):
        on_side = sum(s.counts for s, of in zip(seen.scenes, split.sides, strict=True) if of == side)
        assert on_side.min() > 0, side
    shares = [split.sides.count(side) / 10 for side in ("validation", "calibration")]
    assert 0.1 <= shares[1] <= shares[0] <= 0.3


def test_one_and_two_places(tmp_path):
    one = propose_split(survey_of(tmp_path, {"a": {"ship": 5}}).scenes)
    assert (one.sides, one.validation, one.calibration) == (["train"], (), ())
    assert "1 separate place: label more places" in one.reason
    (tmp_path / "two").mkdir()
    two = propose_split(survey_of(tmp_path / "two", {"a": {"ship": 5}, "b": {"ship": 9}}).scenes)
    assert sorted(two.sides) == ["train", "validation"]


def test_what_is_wrong_with_a_split_is_said(tmp_path):
    seen = survey_of(tmp_path, {"a": {"ship": 20, "buoy": 4}, "b": {"ship": 9}, "c": {"ship": 6}, "d": {}})

    def said(*sides):
        return [problem.text for problem in side_problems(seen.scenes, sides, seen.classes)]

    problems = said("train", "validation", "calibration", "train")
    assert any("1 of 4 scenes show no labelled object, learnt as empty ground: d.tif" in text for text in problems)
    assert any("class 'buoy' has 4 objects in the training scenes: expect little under 50" in text for text in problems)
    assert any("class 'buoy' has no object in the validation places and is not scored there" in t for t in problems)
    assert any("no place is held out for calibration" in text for text in said("train", "validation", "train", "train"))
    (error,) = side_problems(seen.scenes, ["validation", "calibration", "calibration", "train"], seen.classes)
    assert error.is_error
    assert "none of the 1 training scene shows a labelled object" in error.text


def test_shared_ground_is_said(tmp_path):
    scenes = [scene_at(tmp_path / f"{name}.tif", east_km=km) for name, km in (("a", 0), ("b", 0.5), ("c", 9))]
    seen = surveyed(scenes, write_labels(tmp_path / "l.gpkg", boxes_at(20)))
    problems = [p.text for p in side_problems(seen.scenes, ["train", "validation", "calibration"], seen.classes)]
    assert any(
        "a.tif (train) and b.tif (validation) share 75% of their ground: scores will be too good" in t for t in problems
    )
