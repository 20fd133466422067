"""How many cores a thread may use, with and without torch."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from geopdn import cores


@pytest.mark.parametrize(("limit", "expected"), [("3", 3), ("", None), ("0", None), ("4,2", None), ("many", None)])
def test_without_torch_the_environment_says_it_or_the_machine(monkeypatch, limit, expected):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert cores.total() == (expected or cores._physical())
    assert cores._physical() >= 1


def test_torch_says_it_where_it_is_loaded(monkeypatch):
    told = []
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 7, set_num_threads=told.append))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cores.total() == cores.mine() == 7
    cores.restore(5)
    assert told == [5]


def test_a_share_is_one_of_a_thread():
    with ThreadPoolExecutor(1, initializer=cores.share, initargs=(0,)) as pool:
        assert pool.submit(cores.mine).result() == 1
    assert cores.mine() == cores.total()
