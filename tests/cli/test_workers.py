"""`geopdn detect --workers`: the files and answers of a run without, whatever becomes of the workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

OPTIONS = ("--min-score", "0.001", "--budget", "12w", "--audit", "2")


def run(folder, *arguments, timeout=240):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "geopdn.cli.main", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


def begun(folder, command, ledger):
    """A run that has begun with its first scene: the ledger is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "geopdn.cli.main", *map(str, command)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 120
    while not ledger.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    return process


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, weights):
    """Three scenes, one of them no raster, and what a run without workers makes of them."""
    import numpy as np
    import rasterio
    from planted import UTM

    folder = tmp_path_factory.mktemp("scenes")
    for name, seed in (("a", 1), ("b", 2)):
        image = np.random.default_rng(seed).integers(0, 255, (3, 1536, 1536)).astype(np.uint8)
        profile = {"driver": "GTiff", "width": 1536, "height": 1536, "count": 3, "dtype": "uint8", "tiled": True}
        with rasterio.open(folder / f"{name}.tif", "w", crs="EPSG:32631", transform=UTM, **profile) as out:
            out.write(image)
    (folder / "c.tif").write_text("no raster")
    done = run(folder, "detect", "a.tif", "c.tif", "b.tif", "--model", weights, "-o", "alone", "--json", *OPTIONS)
    assert done.returncode == 3, done.stderr
    return folder, done


def test_the_same_files_and_answers_as_without_workers(scenes, weights) -> None:
    folder, alone = scenes
    done = run(
        folder, "detect", "a.tif", "c.tif", "b.tif", "--model", weights, "-o", "two", "--json", *OPTIONS, "--workers", 2
    )
    assert done.returncode == 3, done.stderr
    one, two = ([json.loads(line) for line in text.stdout.splitlines()] for text in (alone, done))
    assert [record["scene"] for record in two] == [record["scene"] for record in one]
    assert [record["detections"] for record in two] == [record["detections"] for record in one]
    assert "c.tif" in done.stderr
    assert "all: 100 % (3 of 3 scenes" in done.stderr
    for name in ("a", "b"):
        file = f"{name}.detections.gpkg"
        assert (folder / "two" / file).read_bytes() == (folder / "alone" / file).read_bytes()


def test_81_a_worker_killed_in_the_middle_changes_nothing(scenes, weights) -> None:
    folder, _ = scenes
    command = ["detect", "a.tif", "--model", weights, "-o", "killed.gpkg", *OPTIONS, "--workers", 1]
    ledger = folder / "killed.gpkg.ledger"
    process = begun(folder, command, ledger)
    workers = [
        one for one in psutil.Process(process.pid).children(recursive=True) if "spawn_main" in " ".join(one.cmdline())
    ]
    assert workers, "the worker is a process of its own"
    os.kill(workers[0].pid, signal.SIGKILL)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert (folder / "killed.gpkg").read_bytes() == (folder / "alone" / "a.detections.gpkg").read_bytes()
    assert not ledger.exists()


def test_what_is_stopped_is_gone_on_with(scenes, weights) -> None:
    folder, _ = scenes
    command = ["detect", "a.tif", "b.tif", "--model", weights, "-o", "stopped", *OPTIONS, "--workers", 2]
    ledger = folder / "stopped" / "a.detections.gpkg.ledger"
    process = begun(folder, command, ledger)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "are kept: the same command with --resume goes on from there" in err
    done = run(folder, *command, "--resume")
    assert done.returncode == 0, done.stderr
    for name in ("a", "b"):
        file = f"{name}.detections.gpkg"
        assert (folder / "stopped" / file).read_bytes() == (folder / "alone" / file).read_bytes()


def test_a_scheduler_of_somebody(scenes, weights) -> None:
    folder, _ = scenes
    address = folder / "scheduler.json"
    start = [sys.executable, "-m", "dask"]
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    here = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    scheduler = subprocess.Popen([*start, "scheduler", *here, "--scheduler-file", str(address)], **quiet)
    worker = None
    try:
        until = time.monotonic() + 60
        while not address.exists() and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(0.2)
        at = json.loads(address.read_text())["address"]
        worker = subprocess.Popen([*start, "worker", at, "--nthreads", "1", "--no-dashboard"], **quiet)
        done = run(folder, "detect", "b.tif", "--model", weights, "-o", "there.gpkg", *OPTIONS, "--scheduler", at, "-q")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert (folder / "there.gpkg").read_bytes() == (folder / "alone" / "b.detections.gpkg").read_bytes()
    finally:
        for one in (worker, scheduler):
            if one is not None:
                one.terminate()
                one.wait(30)


def test_what_contradicts_itself_is_refused(refused, scene) -> None:
    line = refused(2, "detect", scene, "--workers", "2", "--scheduler", "tcp://127.0.0.1:1")
    assert "give one of them" in line
    assert "Invalid value for '--workers'" in refused(2, "detect", scene, "--workers", "0")
