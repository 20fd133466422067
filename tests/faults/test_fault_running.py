"""Faults 72 to 74, 79, 80 and 83 to 85: threads, processes, devices, objects between windows, ties."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import geopdn
from geopdn.detections import Detections
from geopdn.errors import DeviceError, ResourceLimitError
from geopdn.geometry.window import Window
from geopdn.merge import MergeRule, decide
from geopdn.model.decoded import Decoded
from geopdn.model.network import Features
from geopdn.model.torch_network import in_halves
from geopdn.output.write import write_result
from geopdn.scene import Scene
from tests.output.conftest import build_result

STRESS = """
import sys, threading
import numpy as np, rasterio
from geopdn.geometry.window import Window
from geopdn.scene import Scene
with rasterio.open(sys.argv[1]) as dataset:
    image = dataset.read()
wrong, counted = [], []
with Scene.open(sys.argv[1]) as scene:
    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(125):
            row, col = (int(v) for v in rng.integers(-50, 450, 2))
            pixels = scene.read(Window(row, col, 100, 90))
            rows, cols = np.arange(row, row + 100), np.arange(col, col + 90)
            inside = np.ix_((rows >= 0) & (rows < 512), (cols >= 0) & (cols < 512))
            part = image[:, max(row, 0):row + 100, max(col, 0):col + 90]
            if not np.array_equal(pixels.values[(slice(None), *inside)], part):
                wrong.append((row, col))
            counted.append(1)
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
assert not wrong, wrong
assert len(counted) == 1000
"""

CLOSED = """
import sys, threading, time
from geopdn.errors import SceneError
from geopdn.geometry.window import Window
from geopdn.scene import Scene
for _ in range(30):
    scene = Scene.open(sys.argv[1])
    begun = threading.Barrier(5)
    def work():
        begun.wait()
        try:
            while True:
                scene.read(Window(0, 0, 1500, 1500))
        except SceneError as error:
            assert "closed" in str(error)
    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    begun.wait()
    time.sleep(0.01)
    scene.close()
    [thread.join() for thread in threads]
"""

SPAWNED = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from geopdn.geometry.window import Window
from geopdn.scene import Scene

def total(scene):
    with scene:
        return int(scene.read(Window(100, 100, 300, 300)).values.astype(int).sum())

if __name__ == "__main__":
    with Scene.open(sys.argv[1], bands=[3, 1]) as scene:
        scene.read(Window(0, 0, 512, 512))
        expected = int(scene.read(Window(100, 100, 300, 300)).values.astype(int).sum())
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            assert set(pool.map(total, [scene] * 4)) == {expected}
"""


def process(code, *arguments, folder, timeout=60):
    """A script in a process of its own: a segfault or a deadlock is a failed test."""
    script = folder / "script.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr


def test_72_eight_threads_read_a_thousand_windows(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif", size=(512, 512), overviews=(2, 4))
    process(STRESS, tmp_path / "a.tif", folder=tmp_path)


def test_72_a_scene_is_closed_when_nobody_reads_it_any_more(tmp_path, make_scene):
    """A run that fails leaves readers behind for a moment; closing under one is a segfault."""
    make_scene(tmp_path / "a.tif", size=(1500, 1500))
    process(CLOSED, tmp_path / "a.tif", folder=tmp_path)


def test_73_scenes_go_to_processes_that_are_spawned(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif", size=(512, 512))
    process(SPAWNED, tmp_path / "a.tif", folder=tmp_path)


def test_73_nothing_is_forked():
    for path in Path(geopdn.__file__).parent.rglob("*.py"):
        text = path.read_text()
        assert "os.fork" not in text
        assert "multiprocessing" not in text, path
        assert "num_workers=" not in text, path


def test_74_a_scene_travels_as_its_path(tmp_path, make_scene):
    make_scene(tmp_path / "a.tif")
    with Scene.open(tmp_path / "a.tif", bands=[2], allow_hosts=["box"]) as scene:
        content = pickle.dumps(scene)
        assert len(content) < 1000
        with pickle.loads(content) as again:
            assert again.settings == scene.settings
            window = Window(3, 4, 50, 60)
            np.testing.assert_array_equal(again.read(window).values, scene.read(window).values)


class Small:
    """Finds one object a window; has memory for so many."""

    def __init__(self, most):
        self.most, self.asked = most, []

    def __call__(self, windows, context):
        n = len(windows)
        self.asked.append(n)
        if n > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        value = windows.mean((1, 2, 3)).numpy()
        boxes = np.stack([value, value, value, value, value * 0], 1)
        if context is not None:
            boxes[:, 4] = context[:, 0].numpy()
        found = Decoded(np.arange(n), boxes, value, np.zeros(n, np.int64), n_invalid=n)
        return Features(tokens=value[:, None, None], pooled=value[:, None]), found


@pytest.mark.parametrize("most", [1, 2, 3, 5, 9])
def test_79_a_batch_that_does_not_fit_is_halved_and_says_the_same(most):
    windows, context = torch.rand(9, 3, 8, 8), torch.rand(9, 4)
    features, found = in_halves(Small(most), windows, context)
    whole_features, whole = Small(99)(windows, context)
    for name in ("window", "boxes", "score", "label", "n_invalid"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name))
    for name in ("tokens", "pooled"):
        np.testing.assert_allclose(getattr(features, name), getattr(whole_features, name))


def test_79_a_single_window_that_does_not_fit_is_a_resource_limit(fails, scene, exact, monkeypatch):
    import exact as module

    look = Small(0)
    with pytest.raises(ResourceLimitError, match="--device cpu"):
        in_halves(look, torch.rand(5, 3, 8, 8), None)
    assert look.asked == [5, 2, 1]
    monkeypatch.setattr(module.ExactNet, "find", lambda _, windows, context, **__: look(windows, context))
    line = fails(ResourceLimitError, "detect", scene, "--model", exact, "-q", "--budget", "full")
    assert "does not fit the memory of cpu" in line


def test_80_no_gpu(fails, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for command in (("detect",), ("saliency", "-o", "s.tif")):
        line = fails(DeviceError, command[0], "nowhere.tif", *command[1:], "--device", "cuda")
        assert "finds no CUDA GPU" in line


@pytest.mark.parametrize("shift", [0, 3, 32, 61, 93, 96, 128])
def test_83_objects_on_seams_are_one_and_neighbours_two(cli, exact, tmp_path, shift):
    import rasterio
    from affine import Affine

    image = np.full((3, 900, 900), 8, np.uint8)
    wanted = set()
    one, two = 160 + shift, 346 + shift
    for row, col in ((one, one), (two, two), (600, 200 + shift), (600, 214 + shift)):
        image[:, row : row + 12, col : col + 12] = 255
        wanted.add((row + 6, col + 6))
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=900, height=900, count=3, dtype="uint8", photometric="rgb",
        crs="EPSG:32631", transform=Affine(0.5, 0, 5e5, 0, -0.5, 5e6),
    ) as target:  # fmt: skip
        target.write(image)
    done = cli("detect", tmp_path / "a.tif", "--model", exact, "-q", "--budget", "full", "-o", "o.gpkg")
    assert done.code == 0, done.err
    import geopandas

    centres = geopandas.read_file(tmp_path / "o.gpkg", layer="detections").centroid
    found = [(round((5e6 - point.y) / 0.5), round((point.x - 5e5) / 0.5)) for point in centres]
    assert sorted(found) == sorted(wanted)


def test_84_ties_give_the_same_bytes_in_any_order(tmp_path):
    result = build_result(60)
    found = replace(result.detections, score=np.round(result.detections.score, 1))
    written = set()
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(found))
        decision = decide(found.take(order), result.windows, size=result.frame.size, rule=MergeRule((0.0,)))
        one = replace(result, detections=decision.detections, windows=decision.windows, raw=None)
        written.add(write_result(one, tmp_path / "a.gpkg", overwrite=True).read_bytes())
    assert len(written) == 1
    assert isinstance(decision.detections, Detections)


def test_85_coordinates_are_double_to_the_last_write(tmp_path):
    import geopandas
    import shapely

    result = build_result(200)
    for ending in (".gpkg", ".fgb"):
        path = write_result(result, tmp_path / f"a{ending}")
        table = geopandas.read_file(path, **({"layer": "detections"} if ending == ".gpkg" else {}))
        centres = {tuple(point) for point in shapely.get_coordinates(table.centroid.values)}
        back = np.array([~result.frame.transform @ point for point in centres])
        distance = np.abs(back[:, None] - result.detections.boxes[None, :, :2]).max(2).min(1)
        assert distance.max() < 1e-3
