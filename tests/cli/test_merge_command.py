"""`geopdn merge` end to end: the same detections without options, new ones with, and what is refused."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from planted import PLACES, SIDE, UTM

from geopdn.cli.merge import parse_scores
from geopdn.errors import ConfigError


@pytest.fixture
def found(cli, exact, scene, tmp_path):
    assert cli("detect", scene, "--model", exact, "-o", "found.gpkg", "--budget", "full", "-q").code == 0
    return tmp_path / "found.gpkg"


@pytest.mark.parametrize("options", [(), ("--recall", "0.8")])
def test_without_options_the_file_is_the_same(cli, weights, scene, tmp_path, options) -> None:
    """Random weights: hundreds of boxes of every score, cut and doubled."""
    assert cli("detect", scene, "--model", weights, "-o", "a.gpkg", "--min-score", "0.009", *options).code == 0
    done = cli("merge", "a.gpkg", "-o", "b.gpkg")
    assert done.code == 0, done.err
    raw = geopandas.read_file("a.gpkg", layer="raw")
    assert len(raw) > len(geopandas.read_file("a.gpkg", layer="detections")) > 0
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()
    assert cli("merge", "b.gpkg", "--merge", "wbf").code == 0
    assert cli("merge", "b.merged.gpkg", "-o", "c.gpkg").code == 0
    assert (tmp_path / "b.merged.gpkg").read_bytes() == (tmp_path / "c.gpkg").read_bytes()


def test_inside_an_area_it_is_the_same(cli, exact, scene, tmp_path) -> None:
    west = shapely.Point(*(UTM @ (60, 100))).buffer(120)
    geopandas.GeoDataFrame(geometry=[west], crs=32631).to_crs(4326).to_file(tmp_path / "west.geojson")
    assert cli("detect", scene, "--model", exact, "-o", "a.gpkg", "--aoi", "west.geojson", "--budget", "full").code == 0
    assert cli("merge", "a.gpkg", "-o", "b.gpkg").code == 0
    assert 0 < len(geopandas.read_file("a.gpkg", layer="detections")) < len(PLACES)
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()


def test_new_scores_make_new_detections(cli, found) -> None:
    record = cli("merge", found, "--min-score", "target=0.95", "-o", "o.gpkg", "--json").record
    assert (record["detections"], record["merge"]["min_score"]) == (0, {"target": 0.95})
    assert record["raw"] >= len(PLACES)
    done = cli("merge", found, "--merge", "soft", "--min-score", "0.5", "-o", "o.geojson")
    assert done.code == 0, done.err
    assert f"to {len(PLACES)} targets by soft (overlap 0.3, lowest score 0.5)" in done.out
    assert len(geopandas.read_file("o.geojson")) == len(PLACES)
    assert cli("merge", found, "-q").out == ""
    centres = geopandas.read_file("found.merged.gpkg", layer="detections").geometry.centroid
    assert centres.x.between(UTM.c, UTM.c + SIDE / 2).all()


def test_what_cannot_be_merged_is_refused(refused, found, tmp_path) -> None:
    before = found.read_bytes()
    assert "is the input" in refused(2, "merge", found, "-o", found, "--overwrite")
    (tmp_path / "link.gpkg").symlink_to(found)
    assert "is the input" in refused(2, "merge", found, "-o", "link.gpkg", "--overwrite")
    assert "no class 'boat': the run has 'target'" in refused(2, "merge", found, "--min-score", "boat=0.3")
    assert "--min-score 'target'" in refused(2, "merge", found, "--min-score", "target")
    assert "--merge 'best'" in refused(2, "merge", found, "--merge", "best")
    assert "--iou 1.5" in refused(2, "merge", found, "--iou", "1.5")
    assert "kept boxes from" in refused(2, "merge", found, "--min-score", "0.0001")
    assert "'nowhere'" in refused(6, "merge", found, "-o", "nowhere/o.gpkg")
    assert "is not a file" in refused(3, "merge", "missing.gpkg")
    roads = geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=32631)
    roads.to_file(tmp_path / "roads.gpkg", layer="roads")
    assert "expected a .gpkg that `geopdn detect` wrote" in refused(3, "merge", "roads.gpkg")
    assert found.read_bytes() == before


def test_scores_are_parsed() -> None:
    assert parse_scores("0.4") == 0.4
    assert parse_scores("vessel=0.3,air craft=0.6") == {"vessel": 0.3, "air craft": 0.6}
    assert parse_scores('a, "b"=0.3,it\'s=1,x=y=0') == {'a, "b"': 0.3, "it's": 1.0, "x=y": 0.0}
    for text in ("", "vessel", "vessel=", "vessel=2", "=0.3", "a=0.3,", "a=0.3,b", "nan", "a=nan"):
        with pytest.raises(ConfigError, match="expected a number from 0 to 1"):
            parse_scores(text)
    assert np.isclose(parse_scores("1e-1"), 0.1)


def test_pictures_stay_with_the_boxes_that_they_show(cli, found, tmp_path) -> None:
    before = geopandas.read_file(found, layer="detections")
    assert before.picture.notna().all()
    score = float(np.sort(before.score)[2])
    assert cli("merge", found, "--min-score", str(score), "-o", "some.gpkg").code == 0
    after = geopandas.read_file("some.gpkg", layer="detections")
    assert 0 < len(after) <= len(before)
    pictures = {shape.wkb: picture for shape, picture in zip(before.geometry, before.picture, strict=True)}
    assert after.picture.tolist() == [pictures[shape.wkb] for shape in after.geometry]
