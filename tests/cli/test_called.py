"""The run records what was called and with which versions, and nothing of where files lie."""

from __future__ import annotations

import json
import platform
import sqlite3
from contextlib import closing


def recorded(path):
    with closing(sqlite3.connect(path)) as connection:
        command, versions = connection.execute("SELECT command, versions FROM run").fetchone()
    return command, json.loads(versions)


def test_a_run_records_its_command_without_folders_outputs_and_looks(cli, exact, plant, tmp_path):
    (tmp_path / "a folder").mkdir()
    scene = plant(tmp_path / "a folder" / "my scene.tif")
    options = ["--budget", "full", "--bands", "3,2,1", "--strict", "--model", exact]
    looks = ["--json", "--pictures", "2", "--overwrite", "-o", "a.gpkg"]
    assert cli("detect", scene, *options, *looks).code == 0
    command, versions = recorded(tmp_path / "a.gpkg")
    assert command == f"geopdn detect 'my scene.tif' --model {exact.name} --budget full --bands 3,2,1 --strict"
    assert versions["python"] == platform.python_version()
    assert {"numpy", "torch", "rasterio"} <= set(versions)


def test_merging_again_keeps_the_command_of_the_search(cli, exact, scene, tmp_path):
    assert cli("detect", scene, "--model", exact, "-o", "a.gpkg").code == 0
    assert cli("merge", "a.gpkg", "--min-score", "0.95", "-o", "b.gpkg").code == 0
    assert recorded(tmp_path / "a.gpkg") == recorded(tmp_path / "b.gpkg")
