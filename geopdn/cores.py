"""How many cores a thread may use: what runs side by side has its share, and no library is loaded to know."""

from __future__ import annotations

import os
import sys
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

_local = threading.local()


def total() -> int:
    """Cores of this process: as PyTorch was told where it is loaded, else `OMP_NUM_THREADS`, else those there are."""
    torch: Any = sys.modules.get("torch")
    if hasattr(torch, "get_num_threads"):
        return int(torch.get_num_threads())
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return int(limit) if limit.isdigit() and int(limit) else _physical()


def mine() -> int:
    """Cores of this thread."""
    n: int | None = getattr(_local, "n", None)
    return total() if n is None else n


def share(n: int) -> None:
    """From now on this thread uses `n` cores."""
    _local.n = max(1, n)


def restore(n: int) -> None:
    """PyTorch, where it is loaded, uses `n` cores in threads that begin later: the last that shared said otherwise."""
    torch: Any = sys.modules.get("torch")
    if hasattr(torch, "set_num_threads"):
        torch.set_num_threads(n)


@lru_cache(maxsize=1)
def _physical() -> int:
    """Cores that this process may run on; two threads of one core are one."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text())
        except OSError:
            cores.add(str(cpu))
    return max(1, len(cores))
