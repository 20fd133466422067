"""One piece of work of the network while the next windows are planned: fusion needs no plan, a plan no fused grid."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Beside:
    """Work in another thread, one piece at a time; what it raises is raised where it is waited for."""

    def __init__(self) -> None:
        self._future: Future[None] | None = None

    def begin(self, work: Callable[[], None]) -> None:
        """Begin when what was begun before has ended."""
        self.wait()
        pool = ThreadPoolExecutor(1)
        self._future = pool.submit(work)
        pool.shutdown(wait=False)

    def wait(self) -> None:
        """Until it has ended."""
        future, self._future = self._future, None
        if future is not None:
            future.result()
