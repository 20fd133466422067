"""The measure: what a child is known to use is what is measured, and nothing of this process's own."""

from __future__ import annotations

import sys

import pytest

from benchmarks.measure import STDERR, STDOUT, measure

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="os.wait4")


def python(code):
    return [sys.executable, "-I", "-S", "-c", code]


def test_memory_is_the_childs_own(tmp_path):
    ballast = b"x" * 300_000_000  # of this process
    cost = measure(python("pass"), folder=tmp_path)
    assert cost.peak_memory_mb < 60
    cost = measure(python("b = b'x' * 200_000_000"), folder=tmp_path)
    assert 200 <= cost.peak_memory_mb < 260
    assert len(ballast) == 300_000_000


def test_a_childs_child_counts(tmp_path):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', 'b = b\"x\" * 200_000_000'])"
    assert measure(python(code), folder=tmp_path).peak_memory_mb >= 200


def test_cpu_and_wall_clock(tmp_path):
    cost = measure(python("import time\nwhile time.process_time() < 0.4: pass"), folder=tmp_path)
    assert 0.3 < cost.user_seconds + cost.system_seconds < 1.5
    assert cost.seconds > 0.3
    idle = measure(python("import time; time.sleep(0.5)"), folder=tmp_path)
    assert idle.seconds >= 0.5
    assert idle.user_seconds + idle.system_seconds < 0.3


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_bytes_that_threads_and_children_read_are_counted(tmp_path):
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    path = str(tmp_path / "file")
    base = measure(python("import threading, subprocess, sys"), folder=tmp_path).bytes_read
    read = f"open({path!r}, 'rb').read()"
    threaded = f"import threading, subprocess, sys; t = threading.Thread(target=lambda: {read}); t.start(); t.join()"
    assert measure(python(threaded), folder=tmp_path).bytes_read - base == pytest.approx(3_000_000, abs=300_000)


def test_output_exit_code_and_signal(tmp_path):
    cost = measure(python("import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"), folder=tmp_path)
    assert (cost.exit_code, cost.timed_out) == (3, False)
    assert (tmp_path / STDOUT).read_text() == "out\n"
    assert (tmp_path / STDERR).read_text() == "err"
    assert measure(python("import os; os.kill(os.getpid(), 9)"), folder=tmp_path).exit_code == -9


def test_what_runs_too_long_is_ended(tmp_path):
    cost = measure(python("import time; time.sleep(60)"), folder=tmp_path, timeout_s=0.5)
    assert cost.timed_out
    assert cost.seconds < 10
