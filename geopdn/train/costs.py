"""What the network costs, measured once, when weights are written: plans weigh it against decoding ever after.

The figures stand in the weights' header, so that the same scene and weights give the same plan on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from geopdn.config import ModelConfig
from geopdn.engine.reading import BATCH_PX
from geopdn.engine.side_by_side import MOST, side_by_side, workers
from geopdn.model.network import Network, Planes

REPEATS = 6
OVERVIEW_SIDE = 512


def measure_costs(net: Network) -> ModelConfig:
    """The network's configuration with the milliseconds of each kind of window and of the overview filled in.

    Windows and overview tiles are timed in batches and side by side as the engine looks at them on a CPU: backbone,
    head and decoding. The network is convolutional, so all kinds cost the same a tensor pixel: the lowest figure of all
    repeats counts for all of them, and what else the machine does meanwhile cannot make one kind look dearer than
    another.

    Args:
        net: the network.
    """
    config, random = net.config, np.random.default_rng(0)
    per_px = []
    for side in sorted({kind.tensor for kind in config.kinds}):
        n = max(1, BATCH_PX["cpu"] // side**2)
        windows = random.random((n, len(config.bands), side, side), np.float32)
        look = partial(net.find, windows, None, min_score=0.5)
        per_px.append(_fastest_ms(look) / (n * side**2))
    kinds = tuple(
        kind.model_copy(update={"network_ms": _rounded(min(per_px) * kind.tensor**2)}) for kind in config.kinds
    )
    shape = (OVERVIEW_SIDE, OVERVIEW_SIDE)
    planes = Planes(random.random((len(config.bands), *shape), np.float32), np.ones(shape, np.float32))
    per_mpx = _fastest_ms(partial(net.look, planes)) / (OVERVIEW_SIDE**2 / 1e6)
    return config.model_copy(update={"kinds": kinds, "overview_ms_per_mpx": _rounded(per_mpx)})


def _fastest_ms(look: Callable[[], object]) -> float:
    """Milliseconds a call, of two for each worker."""
    taken = []
    n_workers = workers(MOST, "cpu")
    n_calls = 2 * n_workers
    look()
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in side_by_side(lambda _: look(), range(n_calls), n_workers=n_workers):
            pass
        taken.append(1000 * (time.perf_counter() - started) / n_calls)
    return min(taken)


def _rounded(value: float) -> float:
    """To two significant digits: more would be noise."""
    return float(f"{value:.2g}")
