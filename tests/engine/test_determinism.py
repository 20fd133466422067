"""The same bytes whatever the threads that read; the same detections whatever the batches and their order."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from rasterio.windows import Window

from geopdn.budget import Budget
from geopdn.engine import DetectOptions, detect, reading, rounds
from geopdn.model.weights import find_weights, load_weights
from geopdn.output.write import write_result
from geopdn.scene import Scene

AIRPORT = Path(__file__).parents[2] / "sample_scenes" / "airport.tif"
SIDE = 1150


@pytest.fixture(scope="module")
def model():
    return load_weights(find_weights("aircraft-50cm"))


@pytest.fixture(scope="module")
def scene_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    part = Window(1100, 1100, SIDE, SIDE)
    with rasterio.open(AIRPORT) as source:
        profile = {**source.profile, "width": SIDE, "height": SIDE, "transform": source.window_transform(part)}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read(window=part))
            target.descriptions = source.descriptions
    return path


@pytest.fixture
def search(scene_path, model):
    def run(**options):
        with Scene.open(scene_path, bands=model.header.model.bands) as scene:
            return detect(scene, model, DetectOptions(**{"budget": Budget(full=True), **options}))

    return run


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def assert_alike(one, other):
    """The same detections within 1e-3 px and 1e-3 of the score."""
    a, b = one.detections, other.detections
    assert len(a) == len(b) > 3
    for box, score, label in zip(a.boxes, a.score, a.label, strict=True):
        near = int(np.argmin(np.hypot(*(b.boxes[:, :2] - box[:2]).T)))
        np.testing.assert_allclose(b.boxes[near, :4], box[:4], atol=1e-3, rtol=0)
        assert abs(b.score[near] - score) <= 1e-3
        assert b.label[near] == label


@pytest.mark.parametrize("options", [{}, {"budget": Budget(recall=0.98)}], ids=["full", "recall"])
def test_reading_threads_change_no_byte(search, monkeypatch, tmp_path, options):
    written = []
    for n in (1, 2, 4):
        monkeypatch.setattr(reading, "READERS", n)
        written.append(write_result(search(**options), tmp_path / f"{n}.gpkg").read_bytes())
    assert written[1:] == written[:1] * 2


def test_batches_of_1_to_16_windows_find_the_same(search, monkeypatch):
    whole = search()
    tensor = whole.windows[0].window.area
    for n in (1, 2, 3, 5, 8, 16):
        monkeypatch.setitem(reading.BATCH_PX, "cpu", n * tensor)
        assert_alike(whole, search())


def test_the_order_of_batches_changes_no_byte(search, monkeypatch, tmp_path):
    whole, ordered = write_result(search(), tmp_path / "a.gpkg").read_bytes(), reading.in_file_order
    for seed in range(3):

        def shuffled(planned, *, batch_px, seed=seed):
            batches = ordered(planned, batch_px=batch_px)
            random.Random(seed).shuffle(batches)
            return batches

        monkeypatch.setattr(rounds, "in_file_order", shuffled)
        assert write_result(search(), tmp_path / f"{seed}.gpkg").read_bytes() == whole


def test_the_order_of_windows_finds_the_same(search, monkeypatch):
    whole, ordered = search(), reading.in_file_order
    for seed in range(3):

        def shuffled(planned, *, batch_px, seed=seed):
            windows = [pair for batch in ordered(planned, batch_px=batch_px) for pair in batch]
            random.Random(seed).shuffle(windows)
            return [windows[i : i + 3] for i in range(0, len(windows), 3)]

        monkeypatch.setattr(rounds, "in_file_order", shuffled)
        assert_alike(whole, search())
