"""`geopdn bench`: a table and three files, or one line and nothing."""

from __future__ import annotations

import json

import geopandas
import pytest
import shapely
from planted import PLACES, TARGET, UTM


@pytest.fixture
def truth(tmp_path):
    boxes = [shapely.box(*(UTM @ (col, row + TARGET)), *(UTM @ (col + TARGET, row))) for row, col in PLACES]
    path = tmp_path / "scene.truth.gpkg"
    geopandas.GeoDataFrame({"label": ["target"] * len(boxes)}, geometry=boxes, crs=32631).to_file(path, layer="labels")
    return path


def test_a_folder_of_three_files_is_written(cli, exact, scene, truth, tmp_path):
    given = ("--model", exact, "--strategy", "coverage", "--shares", "0.8", "--recalls", "", "-o", tmp_path / "out")
    done = cli("bench", scene, truth, *given)
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert [(row["strategy"], row["ap"]) for row in record] == [("full scan", 1.0), ("coverage", 1.0)]
    assert record[1]["share"] <= 0.8
    assert (tmp_path / "out" / "bench.md").read_text() == done.out
    assert (tmp_path / "out" / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert "exists" in cli("bench", scene, truth, *given).err


def test_what_cannot_be_measured_leaves_nothing(refused, exact, scene, truth, tmp_path):
    out = ("-o", tmp_path / "out", "--model", exact)
    assert "labels" in refused(2, "bench", scene, *out)
    assert "--shares" in refused(2, "bench", scene, truth, "--shares", "2", *out)
    assert "--strategy 'best'" in refused(2, "bench", scene, truth, "--strategy", "best", *out)
    assert "scene.gpkg" in refused(3, "bench", scene, exact.parent, *out)
