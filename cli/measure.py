"""What a run has cost this process, as far as the system tells."""

import sys
from pathlib import Path


def peak_memory_mb() -> float | None:
    """Largest resident memory so far in MB (10**6 bytes), None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6


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
