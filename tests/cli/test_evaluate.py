"""`geopdn evaluate` with folders: the report with its plots, leftovers, destinations that cannot work."""

from __future__ import annotations

import json
import shutil

import pytest


@pytest.fixture
def several(cli, exact, plant, truth, tmp_path):
    """Results of two scenes in `results`, their labels in `truths`."""
    (tmp_path / "truths").mkdir()
    for name in ("ground_a", "ground_b"):
        plant(tmp_path / f"{name}.tif")
        shutil.copy(truth, tmp_path / "truths" / f"{name}.truth.gpkg")
    done = cli("detect", "ground_a.tif", "ground_b.tif", "--model", exact, "--budget", "full", "-q", "-o", "results")
    assert done.code == 0, done.err


def test_a_folder_takes_the_report_and_its_plots(cli, several, tmp_path):
    done = cli("evaluate", "results", "truths", "--place", "ground_(.)", "-o", "report")
    assert done.code == 0, done.err
    names = ["precision_recall.png", "reliability.png", "report.json", "report.md"]
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == names
    record = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (record["ap"], record["n_scenes"], [part["place"] for part in record["by_place"]]) == (1.0, 2, ["a", "b"])
    assert record["intervals"]["recall"] == {"low": 1.0, "high": 1.0}
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.startswith(done.out)
    assert "![Precision against recall](precision_recall.png)" in text
    before = {path: path.read_bytes() for path in (tmp_path / "report").iterdir()}
    assert cli("evaluate", "results", "truths", "--place", "ground_(.)", "-o", "report", "--overwrite").code == 0
    assert {path: path.read_bytes() for path in (tmp_path / "report").iterdir()} == before


def test_left_out_scenes_are_told_and_change_the_exit_code(cli, several, tmp_path):
    (tmp_path / "results" / "ground_b.detections.gpkg").unlink()
    done = cli("evaluate", "results", "truths", "--json")
    assert done.code == 5
    assert done.err == "warning: not scored: ground_b has labels but no detections\n"
    assert (done.record["n_scenes"], done.record["without_result"]) == (1, ["ground_b"])


def test_what_cannot_work_is_refused_before_anything_is_written(refused, several, tmp_path):
    assert "is a folder: leave it out" in refused(2, "evaluate", "results", "truths", "--scene", "ground_a.tif")
    assert "has 0 groups" in refused(2, "evaluate", "results", "truths", "--place", "ground", "-o", "report")
    assert "folder 'no/report' cannot be made" in refused(6, "evaluate", "results", "truths", "-o", "no/report")
    assert "one of .md, .json" in refused(2, "evaluate", "results", "truths", "-o", "report.txt")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.md").write_text("mine")
    assert "exists: choose another name or pass --overwrite" in refused(
        6, "evaluate", "results", "truths", "-o", "report"
    )
    assert (tmp_path / "report" / "report.md").read_text() == "mine"
