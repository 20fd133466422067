"""What a run has cost this process, as far as the system tells."""

import os
import sys
from contextlib import suppress
from pathlib import Path


def peak_memory_mb() -> float | None:
    """Largest resident memory so far in MB (10**6 bytes), None where the system does not tell."""
    with suppress(OSError, StopIteration, ValueError):  # ru_maxrss on Linux begins with what the parent process held
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


def memory_mb() -> float | None:
    """Resident memory now in MB, None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, ValueError, AttributeError):
        return peak_memory_mb()


def bytes_read() -> int | None:
    """Bytes that all threads have read from files so far, from the cache or the disk; None where it is not told."""
    try:
        record = Path("/proc/self/io").read_text(encoding="ascii")
    except OSError:
        return None
    for line in record.splitlines():
        name, _, number = line.partition(":")
        if name == "rchar":
            return int(number)
    return None
