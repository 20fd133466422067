"""Windows through the network side by side: each on one core instead of each on all of them.

An operation that is split over cores ends when its slowest part does. With something else running on the machine, most
of the time was spent waiting: a full scan took more than twice as long. A core of its own never waits for another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from geopdn import cores
from geopdn.memory import MOST_WORKERS

MOST = MOST_WORKERS  # at once: each needs memory for its maps; more cores are shared out among them

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def workers(n_items: int, device: str, *, most: int | None = None) -> int:
    """How many items are worked on at once: on a CPU as many as there are cores, up to `most`, else one."""
    return max(1, min(most or MOST, cores.mine(), n_items)) if device == "cpu" else 1


def side_by_side(work: Callable[[Item], Answer], items: Iterable[Item], *, n_workers: int) -> Iterator[Answer]:
    """`map(work, items)`, a few items at once.

    Args:
        work: called from several threads.
        items: taken as they are needed, in this thread.
        n_workers: threads that work; cores are shared out among them. One: in this thread, on all of them.

    Yields:
        Answers in the order of the items.
    """
    if n_workers == 1:
        yield from map(work, items)
        return
    n_cores = cores.mine()
    pool = ThreadPoolExecutor(n_workers, initializer=cores.share, initargs=(n_cores // n_workers,))
    ahead: deque[Future[Answer]] = deque()
    try:
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > n_workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        cores.restore(n_cores)
