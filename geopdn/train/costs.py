"""What the network costs, measured once, when weights are written: plans weigh it against decoding ever after.

The figures stand in the weights' header, so that the same scene and weights give the same plan on every machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from geopdn.config import ModelConfig
from geopdn.engine.reading import BATCH_PX
from geopdn.engine.side_by_side import MOST, side_by_side, workers
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.streams import overview_channels

REPEATS = 6
OVERVIEW_SIDE = 512


def measure_costs(net: PatchDriveNet, *, many: bool = False) -> ModelConfig:
    """The network's configuration with the milliseconds of each kind of window and of the overview filled in.

    Windows and overview tiles are timed in batches and side by side as the engine looks at them on a CPU: backbone,
    head and decoding. The network is convolutional, so all kinds cost the same a tensor pixel: the lowest figure of all
    repeats counts for all of them, and what else the machine does meanwhile cannot make one kind look dearer than
    another.

    Args:
        net: the network.
        many: as large scenes are looked at, by ONNX Runtime where it can be.
    """
    config = net.config
    net = net.for_inference(many=many)
    per_px = []
    for side in sorted({kind.tensor for kind in config.kinds}):
        n = max(1, BATCH_PX["cpu"] // side**2)
        windows = torch.rand(n, len(config.bands), side, side).to(memory_format=torch.channels_last)
        look = partial(net.find, context=None, min_score=0.5)
        per_px.append(_fastest_ms(look, windows) / (n * side**2))
    kinds = tuple(
        kind.model_copy(update={"network_ms": _rounded(min(per_px) * kind.tensor**2)}) for kind in config.kinds
    )
    n_bands = len(config.bands)
    channels = n_bands + 1 if many and net.means_stream is not None else overview_channels(n_bands)
    overview = torch.rand(1, channels, OVERVIEW_SIDE, OVERVIEW_SIDE)
    overview = overview.to(memory_format=torch.channels_last)
    per_mpx = _fastest_ms(net.look, overview) / (OVERVIEW_SIDE**2 / 1e6)
    return config.model_copy(update={"kinds": kinds, "overview_ms_per_mpx": _rounded(per_mpx)})


def _fastest_ms(look: Callable[[Tensor], object], batch: Tensor) -> float:
    """Milliseconds a batch, of two for each worker."""
    taken = []
    n_workers = workers(MOST, batch.device)
    batches = [batch] * (2 * n_workers)
    with torch.inference_mode():
        look(batch)
        for _ in range(REPEATS):
            started = time.perf_counter()
            for _ in side_by_side(look, batches, n_workers=n_workers):
                pass
            taken.append(1000 * (time.perf_counter() - started) / len(batches))
    return min(taken)


def _rounded(value: float) -> float:
    """To two significant digits: more would be noise."""
    return float(f"{value:.2g}")
