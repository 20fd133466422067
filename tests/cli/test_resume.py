"""Runs that were stopped: what stays, and that going on gives the bytes of a run that was not.

`GEOPDN_KILLS=100 pytest tests/cli/test_resume.py -k random` kills at that many random moments.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from geopdn.ledger import Ledger
from geopdn.scene.reader import Scene

SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell has started in the background
import geopdn.engine.reading as reading
look = reading._read
def slow(*arguments):
    time.sleep(0.03)
    return look(*arguments)
reading._read = slow
from geopdn.cli.main import run
run(sys.argv[1:])
"""
KILLS = int(os.environ.get("GEOPDN_KILLS", "0"))
OPTIONS = ("--min-score", "0.001", "--recall", "0.9", "--audit", "3", "-q")
"""Rounds with fusion, random windows and an audit; the tiny weights are sure of nothing."""


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": os.environ.get("GEOPDN_THREADS", "1")},
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def n_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory, weights):
    """A run that is not stopped: its command, its seconds, the bytes of its output and how many windows it had."""
    import numpy as np
    import rasterio
    from planted import UTM

    folder = tmp_path_factory.mktemp("whole")
    image = np.random.default_rng(5).integers(0, 255, (3, 1500, 1500)).astype(np.uint8)
    profile = {"driver": "GTiff", "width": 1500, "height": 1500, "count": 3, "dtype": "uint8", "photometric": "rgb"}
    with rasterio.open(folder / "noise.tif", "w", **profile, crs="EPSG:32631", transform=UTM, tiled=True) as target:
        target.write(image)
    command = ("detect", folder / "noise.tif", "--model", weights, *OPTIONS)
    began, ledger, n = time.monotonic(), folder / "whole.gpkg.ledger", 0
    process = start(folder, *command, "-o", "whole.gpkg")
    while process.poll() is None:
        n = max(n, n_lines(ledger) - 1)
        time.sleep(0.01)
    assert finish(process)[0] == 0
    assert not ledger.exists()
    assert n > 20
    return command, time.monotonic() - began, (folder / "whole.gpkg").read_bytes(), n


def kill_at(process, ledger, n):
    while process.poll() is None and n_lines(ledger) < n + 1:
        time.sleep(0.005)
    process.kill()
    finish(process)


def test_killed_runs_go_on_to_the_same_bytes(whole, tmp_path):
    command, _, expected, n = whole
    output, ledger = tmp_path / "o.gpkg", tmp_path / "o.gpkg.ledger"
    for number, share in enumerate((0.1, 0.5, 0.8)):  # one run, killed again and again
        kill_at(start(tmp_path, *command, "-o", output, *(["--resume"] if number else [])), ledger, int(share * n))
        assert ledger.exists()
        assert not output.exists()
    assert n_lines(ledger) - 1 >= int(0.8 * n)
    code, _, err = finish(start(tmp_path, *command, "-o", output, "--resume"))
    assert code == 0, err
    assert output.read_bytes() == expected
    assert sorted(tmp_path.iterdir()) == [output]


@pytest.mark.skipif(not KILLS, reason="GEOPDN_KILLS says how many")
@pytest.mark.parametrize("seed", range(KILLS))
def test_runs_killed_at_random_moments_go_on_to_the_same_bytes(whole, tmp_path, seed):
    command, seconds, expected, _ = whole
    rng = random.Random(seed)
    output = tmp_path / "o.gpkg"
    for number in range(rng.choice((1, 1, 2))):
        process = start(tmp_path, *command, "-o", output, *(["--resume"] if number else []))
        time.sleep(rng.uniform(0.2, 1.05) * seconds)
        process.kill()
        finish(process)
    code, _, err = finish(start(tmp_path, *command, "-o", output, "--resume"))
    assert code == 0, err
    assert output.read_bytes() == expected
    assert sorted(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_keep_the_ledger_and_say_how_to_go_on(whole, tmp_path, number):
    command, _, expected, n = whole
    output, ledger = tmp_path / "o.gpkg", tmp_path / "o.gpkg.ledger"
    process = start(tmp_path, *command, "-o", output)
    while n_lines(ledger) < n // 3:
        time.sleep(0.005)
    process.send_signal(number)
    code, out, err = finish(process)
    assert (code, out) == (130, "")
    how, error = err.splitlines()
    assert how.endswith("windows are kept in o.gpkg.ledger: the same command with --resume goes on from there")
    assert error == "error: interrupted: no unfinished output was kept"
    assert sorted(tmp_path.iterdir()) == [ledger]
    if number == signal.SIGTERM:
        assert finish(start(tmp_path, *command, "-o", output, "--resume"))[0] == 0
        assert output.read_bytes() == expected


@pytest.fixture
def stop(cli, monkeypatch):
    """Runs a command that is interrupted after some batches of windows."""

    def call(*arguments, after=2, code=130):
        add, n = Ledger.add, 0

        def counted(self, finished):
            nonlocal n
            add(self, finished)
            n += 1
            if n == after:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "add", counted)
            done = cli(*arguments)
        assert done.code == code, done.err
        return done

    return call


@pytest.fixture
def detect(exact, scene):
    return ("detect", scene, "--model", exact, "--budget", "full", "-o", "o.gpkg")


def test_windows_that_are_known_are_not_read_again(cli, stop, detect, tmp_path, monkeypatch):
    total = cli(*detect[:-1], "whole.gpkg", "--json").record["windows"]
    stop(*detect)
    known = n_lines(tmp_path / "o.gpkg.ledger") - 1
    assert known > 0
    import geopdn.engine.reading as module

    read, look = [], module._read

    def counted(source, scaling, index, item):
        read.append(item.window)
        return look(source, scaling, index, item)

    monkeypatch.setattr(module, "_read", counted)
    done = cli(*detect, "--resume")
    assert done.code == 0
    assert f"going on after {known} windows" in done.err
    assert len(read) == len(set(read)) == total - known
    assert (tmp_path / "o.gpkg").read_bytes() == (tmp_path / "whole.gpkg").read_bytes()
    assert list(tmp_path.glob("*.ledger")) == []


def test_other_settings_weights_or_scenes_are_refused(cli, stop, detect, tmp_path, plant, scene):
    stop(*detect)
    before = (tmp_path / "o.gpkg.ledger").read_bytes()
    done = cli(*detect, "--resume", "--min-score", "0.4")
    assert done.code == 3
    assert "o.gpkg.ledger is of a run with min_score" in done.err
    assert "this one has 0.4" in done.err
    assert "leave --resume out" in done.err
    done = cli(*detect, "--resume", "--no-overviews")
    assert (done.code, "of a run with reading use_overviews true, this one has false" in done.err) == (3, True)
    os.utime(scene, (1, 1))
    done = cli(*detect, "--resume")
    assert (done.code, "of a run with scene mtime_ns" in done.err) == (3, True)
    assert (tmp_path / "o.gpkg.ledger").read_bytes() == before
    assert not (tmp_path / "o.gpkg").exists()


def test_other_weights_are_refused(cli, stop, detect, monkeypatch):
    from geopdn.api import search
    from geopdn.model import weights as module

    stop(*detect)
    load = module.load_weights

    def other(path, **_):
        model = load(path)
        return module.LoadedModel(model.net, model.header, "another")

    monkeypatch.setattr(module, "load_weights", other)
    search.forget_model()
    done = cli(*detect, "--resume")
    assert (done.code, 'model_digest "exact", this one has "another"' in done.err) == (3, True)


def test_damage_is_dropped_at_the_end_and_refused_before(cli, stop, detect, tmp_path):
    assert cli(*detect[:-1], "whole.gpkg").code == 0
    stop(*detect, after=4)
    ledger = tmp_path / "o.gpkg.ledger"
    before = ledger.read_bytes()
    middle = before.index(b"\n") + 40
    ledger.write_bytes(before[:middle] + b"?" + before[middle + 1 :])
    done = cli(*detect, "--resume")
    assert done.code == 3
    assert "is damaged at byte" in done.err
    assert not (tmp_path / "o.gpkg").exists()
    ledger.write_bytes(before[:-3])
    assert cli(*detect, "--resume").code == 0
    assert (tmp_path / "o.gpkg").read_bytes() == (tmp_path / "whole.gpkg").read_bytes()


def test_without_resume_it_starts_over_and_says_so(cli, stop, detect, tmp_path):
    stop(*detect)
    done = cli(*detect, "-q")
    assert done.code == 0
    assert "starting over: an earlier run had finished" in done.err
    assert "--resume would have gone on" in done.err
    assert list(tmp_path.glob("*.ledger")) == []


def test_a_second_run_of_one_output_is_refused_at_once(cli, detect, tmp_path):
    with Ledger.open(tmp_path / "o.gpkg", resume=False):
        done = cli(*detect)
        assert (done.code, done.out) == (6, "")
        assert done.err.startswith("error: another run is writing 'o.gpkg'")
    assert cli(*detect).code == 0


def test_a_full_disk_keeps_the_ledger(cli, detect, tmp_path, monkeypatch):
    import geopdn.output.write as module

    def full(result, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setitem(module.WRITERS, ".gpkg", full)
        done = cli(*detect)
    assert done.code == 6
    assert "--resume goes on from there" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.gpkg.ledger", "scene.tif"]
    assert cli(*detect, "--resume").code == 0


def test_a_scene_that_changes_meanwhile_takes_the_ledger_with_it(cli, detect, tmp_path, monkeypatch):
    monkeypatch.setattr(Scene, "changed", lambda _: True)
    assert cli(*detect).code == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.tif"]


def test_several_scenes_go_on_with_what_is_left(cli, stop, exact, plant, tmp_path):
    scenes = [plant(tmp_path / f"{name}.tif") for name in "abc"]
    command = ("detect", *scenes, "--model", exact, "--budget", "full")
    stop(*command, after=6)
    assert sorted(path.name for path in tmp_path.glob("*.detections*")) == [
        "a.detections.gpkg",
        "b.detections.gpkg.ledger",
    ]
    before = (tmp_path / "a.detections.gpkg").stat()
    done = cli(*command, "--resume")
    assert done.code == 0
    assert "a.detections.gpkg is complete: skipped" in done.err
    assert (tmp_path / "a.detections.gpkg").stat() == before
    assert sorted(path.name for path in tmp_path.glob("*.detections*")) == [f"{n}.detections.gpkg" for n in "abc"]
    done = cli(*command, "--resume")
    assert (done.code, done.out, done.err.count("is complete: skipped")) == (0, "", 3)


def test_files_that_the_stopped_run_had_made_may_be_replaced_others_not(cli, detect, tmp_path, monkeypatch):
    import geopdn.output.write as module

    def interrupted(result, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(module.WRITERS, ".gpkg", interrupted)
        assert cli(*detect, "--picture", "p.png").code == 130
    assert (tmp_path / "p.png").exists()
    (tmp_path / "q.png").write_bytes(b"mine")
    assert cli(*detect, "--picture", "q.png", "--resume").code == 6
    assert cli(*detect, "--picture", "p.png", "--resume").code == 0
    assert (tmp_path / "q.png").read_bytes() == b"mine"


def test_an_output_that_was_being_replaced_is_not_taken_for_complete(cli, stop, detect, tmp_path):
    assert cli(*detect).code == 0
    before = (tmp_path / "o.gpkg").read_bytes()
    stop(*detect, "--overwrite")
    assert (tmp_path / "o.gpkg").read_bytes() == before
    done = cli(*detect, "--overwrite", "--resume")
    assert (done.code, "going on after" in done.err) == (0, True)


def test_windows_that_could_not_be_read_stay_failed_and_are_tried_again_when_strict(cli, detect, tmp_path, monkeypatch):
    import geopdn.engine.reading as module

    look = module._read

    def broken(source, scaling, index, item):
        read = look(source, scaling, index, item)
        return read if index != 1 else module.ReadWindow(index, item, None, cause="the disk is away")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_read", broken)
        assert cli(*detect[:-1], "broken.gpkg").code == 5
        done = cli(*detect, "--strict")
        assert done.code == 3
        assert done.err.splitlines()[-1] == "error: the disk is away"
    ledger = (tmp_path / "o.gpkg.ledger").read_bytes()
    assert cli(*detect, "--resume").code == 5
    assert (tmp_path / "o.gpkg").read_bytes() == (tmp_path / "broken.gpkg").read_bytes()
    (tmp_path / "o.gpkg").unlink()
    (tmp_path / "o.gpkg.ledger").write_bytes(ledger)
    assert cli(*detect, "--resume", "--strict").code == 0


def test_an_overview_that_cannot_be_read_is_an_error_when_strict(cli, detect, tmp_path, monkeypatch):
    from geopdn.errors import SceneReadError

    def broken(self, window):
        raise SceneReadError("the disk is away")

    monkeypatch.setattr(Scene, "read", broken)
    done = cli(*detect, "--strict", "-q")
    assert (done.code, done.err) == (3, "error: the disk is away\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.tif"]


def test_secrets_of_an_address_stay_out_of_the_ledger():
    from types import SimpleNamespace

    from geopdn.api.scenes import Reading
    from geopdn.cli.ledgers import context_of
    from geopdn.geometry.window import Size

    scene = SimpleNamespace(path="https://me:secret@host.example:8443/a/b.tif?signature=1", size=Size(3, 4))
    assert context_of(scene, None, Reading())["scene"] == {
        "name": "https://host.example/a/b.tif",
        "width": 4,
        "height": 3,
    }
