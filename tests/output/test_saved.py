"""A run comes back from its GeoPackage as it was written; what geopdn did not write is refused."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from dataclasses import fields

import geopandas
import numpy as np
import pytest
import shapely

from geopdn.detections import Detections
from geopdn.errors import ResultError
from geopdn.output.saved import read_run
from geopdn.output.write import write_result


@pytest.fixture
def saved(make_result, tmp_path):
    """A file of two classes with odd names."""
    result = make_result(40, classes=("air'craft", '<ves&sel "é✈">, a=b'))
    result.facts.update(
        {"audit": {"missed": 1.5, "low": 0.0}, "estimated_recall": None, "note": "[not json", "yes": True}
    )
    return result, write_result(result, tmp_path / "run.gpkg")


def test_everything_comes_back(saved) -> None:
    result, path = saved
    run = read_run(path)
    assert run.frame == result.frame
    assert run.classes == result.classes
    assert run.has_heading is True
    assert run.windows == result.windows
    assert run.facts == result.facts
    for column in fields(Detections):
        back, wanted = getattr(run.raw, column.name), getattr(result.raw, column.name)
        assert back.dtype == wanted.dtype
        np.testing.assert_array_equal(back, wanted)


@pytest.mark.parametrize("change", [{"crs": None}, {"has_heading": False, "datetime": "", "n": 0}])
def test_other_runs_come_back(make_result, tmp_path, change) -> None:
    result = make_result(**change)
    run = read_run(write_result(result, tmp_path / "run.gpkg"))
    assert (run.frame.crs, run.frame.datetime, run.has_heading) == (
        result.frame.crs,
        result.frame.datetime,
        result.has_heading,
    )
    assert len(run.raw) == len(result.raw)


def test_batches_are_read_one_after_the_other(saved, monkeypatch) -> None:
    result, path = saved
    monkeypatch.setattr("geopdn.output.saved.BATCH", 7)
    np.testing.assert_array_equal(read_run(path).raw.boxes, result.raw.boxes)


def test_the_file_is_not_touched(saved) -> None:
    _, path = saved
    path.chmod(0o444)
    before = hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns
    read_run(path)
    assert (hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns) == before
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_what_is_no_result_is_refused(make_result, tmp_path) -> None:
    foreign = tmp_path / "foreign.gpkg"
    geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=32631).to_file(foreign, layer="roads")
    with pytest.raises(ResultError, match=r"layers \['roads'\].*expected a .gpkg that `geopdn detect` wrote"):
        read_run(foreign)
    without = write_result(make_result(3, with_raw=False), tmp_path / "old.gpkg")
    with pytest.raises(ResultError, match=r"no layer `raw`.*search the scene again"):
        read_run(without)
    (tmp_path / "text.gpkg").write_text("no database")
    with pytest.raises(ResultError, match="cannot be read"):
        read_run(tmp_path / "text.gpkg")
    with pytest.raises(ResultError, match="is not a file"):
        read_run(tmp_path / "none.gpkg")
    lines = write_result(make_result(3), tmp_path / "a.geojson")
    with pytest.raises(ResultError, match="keeps no raw detections"):
        read_run(lines)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE raw SET window = 99 WHERE id = 3",
        "UPDATE raw SET class = -1 WHERE id = 3",
        "UPDATE raw SET class = NULL WHERE id = 3",
        "UPDATE raw SET scale = 3 WHERE id = 3",
        "DELETE FROM windows WHERE id = 1",
        "UPDATE windows SET height = 0 WHERE id = 1",
        "UPDATE run SET transform = 'somewhere'",
        "UPDATE run SET classes = '5'",
        "DELETE FROM run",
        "ALTER TABLE raw DROP COLUMN angle",
    ],
)
def test_what_was_changed_is_refused_in_one_line(saved, tmp_path, change) -> None:
    _, path = saved
    broken = tmp_path / "broken.gpkg"
    shutil.copy(path, broken)
    with closing(sqlite3.connect(broken)) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:  # they need functions of GDAL's
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute(change)
    with pytest.raises(ResultError, match=r"broken.gpkg holds values that geopdn did not write .*search"):
        read_run(broken)


def test_empty_numbers_are_not_finite(saved, tmp_path) -> None:
    _, path = saved
    with closing(sqlite3.connect(path)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE raw SET x = NULL WHERE id = 3")
    assert np.flatnonzero(~read_run(path).raw.is_finite()).tolist() == [2]
