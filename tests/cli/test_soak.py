"""Many scenes in one process: memory stays flat, no file and no thread is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

N_SCENES = int(os.environ.get("GEOPDN_SOAK", "24"))  # 200 take some minutes
WARM = N_SCENES // 4  # scenes after which caches and pools are full

SOAK = """
import gc, json, os, sys, threading
from pathlib import Path
import geopdn

scene, weights, folder, n = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])

def state():
    gc.collect()
    status = Path("/proc/self/status").read_text()
    rss = int(status.split("VmRSS:")[1].split()[0])
    return rss, len(os.listdir("/proc/self/fd")), threading.active_count()

states, sizes = [], set()
for index in range(n):
    result = geopdn.detect(scene, model=weights, budget=(0.5, "full")[index % 2], min_score=0.001)
    sizes.add(result.save(folder / f"{index % 3}.gpkg", overwrite=True).stat().st_size > 0)
    states.append(state())
print(json.dumps([states, len(result), all(sizes)]))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc, which tells of memory and files")
def test_memory_files_and_threads_stay_what_they_were(scene, exact, tmp_path):
    command = [sys.executable, "-c", SOAK, str(scene), str(exact), str(tmp_path), str(N_SCENES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr
    states, n_found, written = json.loads(done.stdout)
    assert n_found > 0
    assert written
    rss, files, threads = zip(*states[WARM:], strict=True)
    assert max(rss) < 1.05 * rss[0], f"kB after each scene: {rss}"
    assert max(files) <= files[0]
    assert max(threads) <= threads[0]
