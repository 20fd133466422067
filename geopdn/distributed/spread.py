"""Tasks on workers that may die: each is tried again, until it has taken too many workers with it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from geopdn.errors import ResourceLimitError

if TYPE_CHECKING:
    from distributed import Client, Future

Item = TypeVar("Item")
Result = TypeVar("Result")

DEATHS = 3
"""Workers that a task may kill."""

ALONE_S = 120
"""Seconds without any worker after which nothing more is waited for."""

POLL_S, ASK_S = 0.05, 2.0


@dataclass(frozen=True, slots=True)
class Lost:
    """What stands for the result of a task that killed its workers."""

    deaths: int


def spread(
    client: Client,
    function: Callable[[Item, int], Result],
    items: Sequence[Item],
    *,
    done: Callable[[int], None] = lambda _: None,
) -> Iterator[Result | Lost]:
    """Call a function for every item on the workers.

    No worker holds more than one item, so that one that dies takes nothing else down; what was asked of it is asked
    again of another.

    Args:
        client: of the workers.
        function: importable on the workers; its second argument is the number of workers that died of the same item.
        items: picklable.
        done: told how many are finished.

    Returns:
        Results in the order of the items, as soon as all before them are known.

    Raises:
        ResourceLimitError: there have been no workers for a while.
        Exception: whatever the function raises.
    """
    from distributed import as_completed

    waiting = deque((index, 0) for index in range(len(items)))
    running: dict[Future[Any], tuple[int, int]] = {}
    finished = as_completed([], raise_errors=False)
    results: dict[int, Result | Lost] = {}
    given = n_done = 0
    try:
        while waiting or running:
            while waiting and len(running) < max(1, len(client.ncores())):
                index, deaths = waiting.popleft()
                future = client.submit(function, items[index], deaths, pure=False)
                running[future] = index, deaths
                finished.add(future)
            future = _next(finished, client)
            index, deaths = running.pop(future)
            if _killed(future):
                if deaths + 1 < DEATHS and _ours(client):
                    waiting.appendleft((index, deaths + 1))
                    continue
                results[index] = Lost(max(DEATHS, deaths + 1))
            else:
                results[index] = future.result()
            n_done += 1
            done(n_done)
            while given in results:
                yield results.pop(given)
                given += 1
    finally:
        client.cancel(list(running))


def _next(finished: Any, client: Client) -> Future[Any]:
    """The next future that is finished.

    Raises:
        ResourceLimitError: there have been no workers for a while.
    """
    seen = asked = time.monotonic()  # when there were workers last, and when this was asked
    while not finished.has_ready():
        time.sleep(POLL_S)
        now = time.monotonic()
        if now - asked < ASK_S:
            continue
        asked = now
        seen = now if client.ncores() else seen
        if now - seen > ALONE_S:
            raise ResourceLimitError(
                f"all workers have been gone for {ALONE_S} s: what is finished stays, --resume goes on with the rest"
            )
    future: Future[Any] = next(finished)
    return future


def _killed(future: Future[Any]) -> bool:
    from distributed.scheduler import KilledWorker

    return future.status == "error" and isinstance(future.exception(), KilledWorker)


def _ours(client: Client) -> bool:
    """Whether the workers are processes of `local`: other schedulers try again themselves before they say so."""
    return client.cluster is not None
