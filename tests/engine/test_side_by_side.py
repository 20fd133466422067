"""Windows side by side on threads of their own: the same answers in the same order, whatever the number of cores."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from exact import exact_config, exact_model
from test_run import PLACES, squares, write

from geopdn import cores
from geopdn.budget import Budget
from geopdn.engine import DetectOptions, detect
from geopdn.engine.side_by_side import MOST, side_by_side, workers
from geopdn.scene import Scene


@pytest.fixture
def threads():
    """Sets torch's threads, and puts them back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_answers_come_in_order_from_threads_with_their_share_of_the_cores(threads):
    threads(4)
    barrier = threading.Barrier(2, timeout=20)  # passed only if two are at work at once

    def work(item):
        barrier.wait()
        return item * item, cores.mine()

    assert list(side_by_side(work, range(6), n_workers=2)) == [(i * i, 2) for i in range(6)]
    assert torch.get_num_threads() == cores.mine() == 4


def test_what_goes_wrong_ends_the_run_and_leaves_the_threads_as_they_were(threads):
    threads(2)
    taken = []

    def items():
        for item in range(1000):
            taken.append(item)
            yield item

    def work(item):
        if item == 3:
            raise OSError("tile 3")
        return item

    with pytest.raises(OSError, match="tile 3"):
        list(side_by_side(work, items(), n_workers=2))
    assert len(taken) < 10
    assert torch.get_num_threads() == 2


def test_workers_are_as_many_as_there_are_threads_and_items_up_to_a_limit(threads):
    threads(2)
    assert [workers(n, "cpu") for n in (0, 1, 2, 50)] == [1, 1, 2, 2]
    threads(16)
    assert workers(50, "cpu") == MOST
    assert workers(50, "cuda") == 1


def test_the_result_does_not_depend_on_the_number_of_threads(tmp_path, threads):
    model = exact_model(exact_config(bands=("1",), high=255.0, pixel_size_m=0.5))
    path = write(tmp_path / "scene.tif", squares(1700, PLACES))
    results = []
    for n in (1, 2, 4):
        threads(n)
        with Scene.open(path) as scene:
            results.append(detect(scene, model, DetectOptions(budget=Budget(full=True))))
    for result in results[1:]:
        assert np.array_equal(result.detections.boxes, results[0].detections.boxes)
        assert np.array_equal(result.detections.score, results[0].detections.score)
        assert result.windows == results[0].windows
