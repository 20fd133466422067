"""Tasks on worker processes: results in order, deaths survived, workers asked before they get work."""

from __future__ import annotations

import sys

import dying
import pytest

from geopdn.distributed import Lost, check_workers, connected, local, spread
from geopdn.errors import ConfigError, ResourceLimitError, SceneOpenError


@pytest.fixture(scope="module")
def client():
    with local(2) as workers:
        yield workers


def test_results_come_in_the_order_of_the_items(client) -> None:
    seen = []
    assert list(spread(client, dying.double, range(7), done=seen.append)) == [0, 2, 4, 6, 8, 10, 12]
    assert seen == [1, 2, 3, 4, 5, 6, 7]


def test_81_what_killed_a_worker_is_tried_again(client) -> None:
    assert list(spread(client, dying.double_at_second_try, range(6))) == [0, 2, 4, 6, 8, 10]


def test_81_what_kills_three_workers_is_given_up_and_nothing_else_is(client) -> None:
    assert list(spread(client, dying.kill_at_three, range(6))) == [0, 2, 4, Lost(3), 8, 10]


def test_nothing_is_waited_for_when_all_workers_are_gone(monkeypatch) -> None:
    module = sys.modules["geopdn.distributed.spread"]
    monkeypatch.setattr(module, "ALONE_S", 1)
    monkeypatch.setattr(module, "ASK_S", 0.1)
    with local(1) as workers:
        for name in list(workers.cluster.workers):
            workers.cluster.sync(workers.cluster.workers[name].close)
        with pytest.raises(ResourceLimitError, match="all workers have been gone for 1 s"):
            list(spread(workers, dying.double, range(2)))


def test_82_workers_that_lack_a_path_are_named_in_one_message(client, tmp_path) -> None:
    there = tmp_path / "scene.tif"
    there.touch()
    check_workers(client, files=[str(there)], folders=[str(tmp_path)])
    with pytest.raises(
        SceneOpenError, match=r"^2 of 2 workers cannot use .* cannot read .*a\.tif and 1 more; .*shared"
    ):
        check_workers(client, files=[str(there), str(tmp_path / "a.tif"), str(tmp_path / "b.tif")], folders=[])
    with pytest.raises(SceneOpenError, match=r"cannot write to .*nowhere\. Every worker must see"):
        check_workers(client, files=[], folders=[str(tmp_path / "nowhere")])


def test_workers_with_another_version_are_refused(client, monkeypatch) -> None:
    monkeypatch.setattr("geopdn.distributed.preflight.__version__", "99.0")
    with pytest.raises(ConfigError, match=r"workers need geopdn 99\.0, which these have not: .*\(geopdn 0"):
        check_workers(client, files=[], folders=[])


def test_the_workers_talk_tls_on_the_loopback_device(client, monkeypatch) -> None:
    monkeypatch.setattr("geopdn.distributed.cluster.ANSWER_S", 2)
    assert client.scheduler.address.startswith("tls://127.0.0.1:")
    with pytest.raises(ConfigError, match="no scheduler answers"), connected(client.scheduler.address):
        pass  # without the keys of the run


def test_no_scheduler_is_said_with_the_command_that_starts_one(monkeypatch) -> None:
    monkeypatch.setattr("geopdn.distributed.cluster.ANSWER_S", 2)
    refusal = pytest.raises(ConfigError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9 .*dask scheduler")
    with refusal, connected("tcp://127.0.0.1:9"):
        pass
