"""The command as a process of its own: how fast it starts, what it imports, how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "rasterio", "geopandas", "numpy", "scipy", "pyproj", "lightning", "matplotlib", "rich.progress")
COMMANDS = ("detect", "info", "prepare", "saliency", "configure", "train", "evaluate", "models", "simulate", "stac")


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, **options)


def test_help_imports_nothing_heavy():
    code = (
        "import sys, resource\nfrom geopdn.cli.main import run\n"
        "try:\n    run(['--help'])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(heavy, used.ru_utime + used.ru_stime, file=sys.stderr)"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    heavy, _, seconds = done.stderr.strip().rpartition(" ")
    assert heavy == "[]"
    assert float(seconds) < 0.5  # of the processor: the clock depends on what else runs
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


def test_every_command_has_help_with_an_example(cli):
    for command in COMMANDS:
        done = cli(command, "--help")
        assert done.code == 0
        assert f"Example: geopdn {command}" in " ".join(done.out.split())
    assert cli("--version").out.startswith("geopdn 0.")
    assert cli().out == cli("--help").out


def test_warnings_of_geopdn_are_one_line_and_others_are_not_shown(cli, monkeypatch):
    import warnings

    from geopdn.errors import SidecarWarning
    from geopdn.model import weights

    def noisy():
        for _ in range(2):
            warnings.warn("beside\nthe scene", SidecarWarning, stacklevel=1)
        warnings.warn("of a library", UserWarning, stacklevel=1)
        return {}

    monkeypatch.setattr(weights, "shipped_models", noisy)
    done = cli("models")
    assert (done.code, done.err) == (0, "warning: beside the scene\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_process_with_130_and_one_line(number, tmp_path):
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "import geopdn.cli.destinations as module\n"
        "def slow(*_, **__):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "import geopdn.cli.simulate, geopdn.output.write\n"
        "geopdn.output.write.check_destination = slow\n"
        "from geopdn.cli.main import run\n"
        "run(['simulate', 'airport', '-o', 'x.tif'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "error: interrupted: no unfinished output was kept\n"
    assert list(tmp_path.iterdir()) == []
