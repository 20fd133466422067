"""A file is there complete or not at all: exceptions, kills, full disks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from geopdn.errors import OutputError
from geopdn.output.atomic import remove_stale, replacing


def test_the_new_content_takes_the_place_of_the_old(tmp_path) -> None:
    path = tmp_path / "a.gpkg"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".gpkg"
        assert temporary.name.startswith(".a.gpkg.")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_an_exception_leaves_the_old_file_and_no_companions(tmp_path, error) -> None:
    path = tmp_path / "a.gpkg"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path) as temporary:  # noqa: PT012 (the block is what is tested)
        for ending in ("", "-journal", ".tmp_rtree_detections.db"):
            Path(f"{temporary}{ending}").write_text("part")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_disk_errors_become_output_errors_that_name_the_target(tmp_path) -> None:
    path = tmp_path / "a.gpkg"
    with pytest.raises(OutputError, match=r"a\.gpkg.*No space left"), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("part")
        raise OSError(28, "No space left on device")
    path = tmp_path / "missing" / "a.gpkg"
    with pytest.raises(OutputError, match=r"missing.*a\.gpkg"), replacing(path) as temporary:
        temporary.write_text("part")
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_writes_nothing_is_an_error(tmp_path) -> None:
    with pytest.raises(OutputError), replacing(tmp_path / "a.gpkg"):
        pass


def test_names_of_the_greatest_length(tmp_path) -> None:
    path = tmp_path / ("é" * 125 + ".gpkg")  # 255 bytes
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


KILLED = """
import os, signal, sys
from pathlib import Path
from geopdn.output.atomic import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("part")
    Path(f"{temporary}-journal").write_text("part")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_leaves_is_cleared_by_the_next(tmp_path) -> None:
    path, other = tmp_path / "a.gpkg", tmp_path / "b.gpkg"
    path.write_text("old")
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3
    assert path.read_text() == "old"
    assert remove_stale(other) == []
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_living_processes_stay(tmp_path) -> None:
    path = tmp_path / "a.gpkg"
    with replacing(path) as temporary:
        temporary.write_text("mine")
        parents = temporary.with_name(temporary.name.replace(f"-{os.getpid()}-", f"-{os.getppid()}-"))
        parents.write_text("theirs")
        assert remove_stale(path) == []
        recycled = temporary.with_name(temporary.name.replace(".tmp", "0.tmp"))  # a dead process of the same number
        recycled.write_text("old")
        assert remove_stale(path) == [recycled]
    assert sorted(tmp_path.iterdir()) == sorted([parents, path])


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import build_result
from geopdn.errors import OutputError
from geopdn.output.write import write_result
result = build_result(3000)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
for path in sys.argv[2:]:
    try:
        write_result(result, path, overwrite=True)
    except OutputError as error:
        print(error.exit_code, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of the file size")
def test_a_full_disk_keeps_the_old_file_and_leaves_nothing_else(tmp_path) -> None:
    """A limit of 200 kB on files fails writes in the drivers as a full disk does."""
    paths = [tmp_path / name for name in ("a.fgb", "a.geojson", "a.gpkg")]
    for path in paths:
        path.write_text("old")
    command = [sys.executable, "-c", FULL_DISK, Path(__file__).parent, *paths]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for line, path in zip(done.stdout.splitlines(), paths, strict=True):
        assert line.startswith(f"6 cannot write '{path}'")
        assert path.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == paths
