"""What a command costs: wall clock, CPU, peak memory and bytes read of a process of its own, children included.

`measure` starts this file as a small Python process (standard library only), which starts the command. A process
takes over the peak memory of the one that it is forked from, so a benchmark that has loaded PyTorch cannot measure a
small command itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

STDOUT, STDERR = "stdout.txt", "stderr.txt"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a finished command has cost.

    Attributes:
        exit_code: negative: the number of the signal that ended it.
        timed_out: it ran past the limit and was ended.
        seconds: wall clock from before it was started until it had ended.
        user_seconds: CPU in its own code, of all threads and of its children.
        system_seconds: CPU in the kernel, likewise.
        peak_memory_mb: largest resident memory (10**6 bytes) of it or of one of its children.
        bytes_read: by all its calls of `read` (`rchar` of /proc/PID/io: from the cache or the disk; start-up's
            modules count, memory maps do not); None where the system does not tell.
    """

    exit_code: int
    timed_out: bool
    seconds: float
    user_seconds: float
    system_seconds: float
    peak_memory_mb: float
    bytes_read: int | None


def measure(
    command: Sequence[str | Path],
    *,
    folder: Path,
    timeout_s: float = 7200.0,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Cost:
    """Run a command and measure it.

    Args:
        command: program and arguments.
        folder: receives `stdout.txt` and `stderr.txt`.
        timeout_s: seconds after which it is ended.
        cwd: where it runs.
        environment: variables beside those of this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    launcher = [sys.executable, "-I", "-S", __file__, str(folder.resolve()), f"{timeout_s:g}"]
    answer = subprocess.run(  # noqa: S603 (the benchmark's own commands)
        [*launcher, *map(str, command)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
    return Cost(**json.loads(answer.stdout))


def _run(folder: Path, timeout_s: float, command: Sequence[str]) -> Cost:
    """Start the command from this process, wait for its end, read what it has cost while it is not yet forgotten."""
    with (folder / STDOUT).open("wb") as out, (folder / STDERR).open("wb") as err:
        late = threading.Event()
        started = time.monotonic()
        child = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)  # noqa: S603

        def end() -> None:
            late.set()
            os.killpg(child.pid, signal.SIGKILL)

        timer = threading.Timer(timeout_s, end)
        timer.start()
        try:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        except KeyboardInterrupt:
            end()
            raise
        finally:
            timer.cancel()
        seconds = time.monotonic() - started
        read = _bytes_read(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return Cost(child.returncode, late.is_set(), seconds, usage.ru_utime, usage.ru_stime, peak, read)


def _bytes_read(pid: int) -> int | None:
    """`rchar` of a process that has ended and was not waited for."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    fields = dict(line.split(": ") for line in lines)
    return int(fields["rchar"]) if "rchar" in fields else None


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_run(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))))
