"""Fusion beside planning."""

from __future__ import annotations

import threading

import pytest

from geopdn.engine.beside import Beside


def test_work_is_done_in_another_thread_and_waited_for():
    go, done = threading.Event(), []
    beside = Beside()
    beside.wait()  # nothing has begun

    def work(n):
        go.wait(5)
        done.append((n, threading.current_thread() is threading.main_thread()))

    beside.begin(lambda: work(1))
    assert done == []
    go.set()
    beside.begin(lambda: work(2))  # one after the other
    assert done[0] == (1, False)
    beside.wait()
    assert done == [(1, False), (2, False)]


def test_what_it_raises_is_raised_once_where_it_is_waited_for():
    beside = Beside()

    def fail():
        raise MemoryError("no room for the grid")

    beside.begin(fail)
    with pytest.raises(MemoryError, match="the grid"):
        beside.wait()
    beside.wait()
