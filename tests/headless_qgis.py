"""QGIS without a screen: scripts in the Python that has its bindings, and its command line for Processing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"  # QGIS's bindings belong to the system's Python
TIMEOUT_S = 240

_START = """
import json, os, sys
from qgis.core import *
from qgis.PyQt.QtCore import QSize
application = QgsApplication([], True)
application.initQgis()
problems = []
QgsApplication.messageLog().messageReceived.connect(
    lambda text, tag, level: problems.append(f"{tag}: {text}") if level in (1, 2) else None
)
"""
_END = """
print(json.dumps(seen), flush=True)
os._exit(0)  # leaving by exitQgis() with layers alive crashes QGIS 3.22
"""


def in_qgis(script: str, *arguments: object, home: Path) -> Any:
    """What a script puts into `seen`; `sys.argv[1:]` are the arguments, `problems` QGIS's warnings.

    Args:
        script: after `from qgis.core import *`, with QGIS started.
        arguments: of the script.
        home: QGIS's profiles.
    """
    require_qgis()
    command = [SYSTEM_PYTHON, "-c", _START + script + _END, *map(str, arguments)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment(home)
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def qgis_process(*arguments: object, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `qgis_process` with its profiles in `home`."""
    require_qgis()
    program = shutil.which("qgis_process.bin") or shutil.which("qgis_process")  # Debian's wrapper adds QGIS's options
    if program is None:
        pytest.skip("qgis_process is not installed (Debian: qgis)")
    return subprocess.run(
        [program, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment(home) | variables,
    )


def environment(home: Path) -> dict[str, str]:
    """Variables without those of this Python, without a screen."""
    home.mkdir(exist_ok=True)
    home.chmod(0o700)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "GEOPDN"))}
    return kept | {
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_RUNTIME_DIR": str(home),
        "QGIS_CUSTOM_CONFIG_PATH": str(home),
        "LC_ALL": "C.UTF-8",
        "GDAL_PAM_ENABLED": "NO",  # QGIS would write statistics beside the sample scenes
    }


def require_qgis() -> None:
    """Skip the test where QGIS's bindings are missing."""
    if not _has_qgis():
        pytest.skip(f"{SYSTEM_PYTHON} cannot import qgis.core (Debian: python3-qgis and qgis-providers)")


@cache
def _has_qgis() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    command = [SYSTEM_PYTHON, "-c", "import qgis.core"]
    return subprocess.run(command, check=False, capture_output=True, env=kept).returncode == 0
