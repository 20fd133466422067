"""Damaged files by the hundred: whatever is in them, geopdn opens or refuses them, in one line, and lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = {"tiff": 12, "weights": 5, "header": 8, "config": 8}


@pytest.mark.slow
@pytest.mark.parametrize("target", SECONDS)
def test_damaged_files_are_opened_or_refused(target):
    command = [sys.executable, str(Path(__file__).with_name("fuzz.py")), target, str(SECONDS[target])]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counted = json.loads(done.stdout)
    assert sum(counted.values()) >= 10  # on a busy machine
