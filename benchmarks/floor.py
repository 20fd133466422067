"""The least that a search can cost on this machine: decoding what it read, and the network's passes alone.

    python -m benchmarks.floor decode scene.tif result.gpkg
    python -m benchmarks.floor network result.gpkg --model aircraft-50cm
    python -m benchmarks.floor start --model aircraft-50cm

`decode` reads the overview and the windows that a result of geopdn records through rasterio, in a thread a core, and
does nothing with them. `network` passes random tensors of the same number and size through the network, windows in
batches of the size that is fastest here. `start` imports, loads the weights and ends. The first two print seconds
without start-up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window as Rectangle

from geopdn.geometry.window import Size, Window

TILE = 512  # overview pixels read at a time
NETWORK_TILE = 1024  # overview pixels that the engine passes at a time
BATCHES = (1, 2, 4, 8)


def decode(scene: Path, windows: Sequence[Window], *, overview_level: int, n_threads: int) -> float:
    """Seconds to read windows, and the whole of the overview's level, in file order; handles are opened before."""
    local, handles = threading.local(), []

    def handle() -> rasterio.DatasetReader:
        if not hasattr(local, "dataset"):
            local.dataset = rasterio.open(scene)
            handles.append(local.dataset)
        return local.dataset

    with rasterio.open(scene) as dataset:
        size = Size(dataset.height, dataset.width)
    barrier = threading.Barrier(n_threads)

    def ready(_: int) -> None:
        handle()
        barrier.wait()

    def read(window: Window) -> None:
        inside = window.at_full_resolution().clip(size)
        if inside is None:
            return
        rectangle = Rectangle(inside.col, inside.row, inside.width, inside.height)
        step = 1 << window.level
        shape = (handle().count, -(-inside.height // step), -(-inside.width // step))
        handle().read(window=rectangle, out_shape=shape, resampling=Resampling.average)

    whole = size.at_level(overview_level)
    tiles = [
        Window(row, col, min(TILE, whole.height - row), min(TILE, whole.width - col), overview_level)
        for row in range(0, whole.height, TILE)
        for col in range(0, whole.width, TILE)
    ]
    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(ready, range(n_threads)))
        started = time.monotonic()
        list(pool.map(read, [*tiles, *sorted(windows, key=lambda w: (w.level, w.row, w.col))]))
        seconds = time.monotonic() - started
    for dataset in handles:
        dataset.close()
    return seconds


def network(model: str, windows: Sequence[Window], *, size: Size) -> float:
    """Seconds of the forward passes of windows and of the overview of a scene, on random values."""
    from geopdn.model.network import Planes, network_of
    from geopdn.model.weights import find_weights, load_weights

    net = network_of(load_weights(find_weights(model), at_once=False))
    random, n_bands, seconds = np.random.default_rng(0), len(net.config.bands), 0.0
    for (height, width), n in Counter((w.height, w.width) for w in windows).items():
        batches = {b: random.random((b, n_bands, height, width), np.float32) for b in BATCHES if b <= n}

        def passes(batch: int, times: int, values: dict[int, NDArray[np.float32]] = batches) -> float:
            return _seconds(lambda: net.find(values[batch], None, min_score=0.9999), times)

        for batch in batches:
            passes(batch, 1)
        best = min(batches, key=lambda batch: passes(batch, 2) / batch)
        full, rest = divmod(n, best)
        seconds += passes(best, full) + (passes(best, 1) * rest / best if rest else 0.0)
    overview = size.at_level(net.config.overview_level)
    shape = tuple(min(NETWORK_TILE, -(-side // 32) * 32) for side in (overview.height, overview.width))
    planes = Planes(random.random((n_bands, *shape), np.float32), np.ones(shape, np.float32))
    net.look(planes)
    n_tiles = max(1, round(overview.area / (shape[0] * shape[1])))
    seconds += _seconds(lambda: net.look(planes), n_tiles) * overview.area / (n_tiles * shape[0] * shape[1])
    return seconds


def start(model: str) -> None:
    """Import what a search needs and load the weights."""
    import geopdn.engine  # noqa: F401
    from geopdn.model.network import network_of
    from geopdn.model.weights import find_weights, load_weights

    network_of(load_weights(find_weights(model), at_once=False))


def _seconds(call: Callable[[], object], times: int) -> float:
    started = time.monotonic()
    for _ in range(times):
        call()
    return time.monotonic() - started


def main() -> None:
    """Read the command line, print the seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("decode", "network", "start"))
    parser.add_argument("files", nargs="*", type=Path, help="the scene (decode) and geopdn's result")
    parser.add_argument("--model", default="aircraft-50cm")
    options = parser.parse_args()
    if options.part == "start":
        start(options.model)
        sys.stdout.write("{}")
        return
    from geopdn.output.saved import read_run

    run = read_run(options.files[-1])
    windows = [record.window for record in run.windows if record.status == "read"]
    if options.part == "network":
        seconds = network(options.model, windows, size=run.frame.size)
    else:
        from geopdn.model.weights import find_weights, read_header

        level = read_header(find_weights(options.model)).model.overview_level
        seconds = decode(options.files[0], windows, overview_level=level, n_threads=os.cpu_count() or 1)
    sys.stdout.write(json.dumps({"seconds": seconds, "windows": len(windows)}))


if __name__ == "__main__":
    main()
