"""The garbage collector while torch is imported, and when the process ends."""

from __future__ import annotations

import subprocess
import sys


def counted(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [int(number) for number in done.stdout.split()]


def test_nothing_is_collected_while_a_module_is_imported_and_then_it_is_left_alone():
    during, after, again, enabled = counted(
        "import gc, sys\n"
        "from geopdn.cli.collecting import first_import\n"
        "runs = lambda: sum(part['collections'] for part in gc.get_stats())\n"
        "before = runs()\n"
        "with first_import('rasterio'):\n    import rasterio\n    print(runs() - before)\n"
        "frozen = gc.get_freeze_count()\n"
        "print(int(frozen > 1000))\n"
        "with first_import('rasterio'):\n    pass\n"
        "print(gc.get_freeze_count() - frozen, int(gc.isenabled()))\n"
    )
    assert (during, after, again, enabled) == (0, 1, 0, 1)


def test_the_process_ends_without_looking_for_garbage():
    (collected,) = counted(
        "import atexit, gc\n"
        "from geopdn.cli.main import run\n"
        "atexit.register(lambda: print(int(gc.get_freeze_count() > 1000)))\n"  # after what is registered later
        "run.__globals__['sys'].argv[1:] = ['--version']\n"
        "import io, contextlib\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try:\n        run()\n    except SystemExit:\n        pass\n"
    )
    assert collected == 1
