"""What the network costs, measured once, when weights are written: plans weigh it against decoding ever after.

The figures stand in the weights' header, so that the same scene and weights give the same plan on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from geopdn.config import ModelConfig
from geopdn.engine.reading import BATCH_PX
from geopdn.model.patchdrivenet import PatchDriveNet

REPEATS = 6
OVERVIEW_SIDE = 512


def measure_costs(net: PatchDriveNet) -> ModelConfig:
    """The network's configuration with the milliseconds of each kind of window and of the overview filled in.

    Windows are timed in batches as the engine makes them: backbone, head and decoding; the
    fastest of six counts, so that what else the machine does meanwhile does not.
    """
    config = net.config
    net = net.to(memory_format=torch.channels_last).eval()
    kinds = []
    for kind in config.kinds:
        n = max(1, BATCH_PX // kind.tensor**2)
        windows = torch.rand(n, len(config.bands), kind.tensor, kind.tensor).to(memory_format=torch.channels_last)
        ms = _fastest_ms(lambda windows=windows: net.find(windows, None, min_score=0.5)) / n  # type: ignore[misc]
        kinds.append(kind.model_copy(update={"network_ms": _rounded(ms)}))
    overview = torch.rand(1, 3 * len(config.bands) + 2, OVERVIEW_SIDE, OVERVIEW_SIDE)
    overview = overview.to(memory_format=torch.channels_last)
    per_mpx = _fastest_ms(lambda: net.look(overview)) / (OVERVIEW_SIDE**2 / 1e6)
    return config.model_copy(update={"kinds": tuple(kinds), "overview_ms_per_mpx": _rounded(per_mpx)})


def _fastest_ms(call: Callable[[], object]) -> float:
    taken = []
    with torch.inference_mode():
        call()
        for _ in range(REPEATS):
            started = time.perf_counter()
            call()
            taken.append(1000 * (time.perf_counter() - started))
    return min(taken)


def _rounded(value: float) -> float:
    """To two significant digits: more would be noise."""
    return float(f"{value:.2g}")
