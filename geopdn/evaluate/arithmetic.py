"""Multiply-adds of a run, counted on the network's own operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from geopdn.detections import RunResult
    from geopdn.model.patchdrivenet import PatchDriveNet

OVERVIEW_SIDE = 256


class Arithmetic:
    """Counts multiply-adds of window shapes once and adds them up.

    Convolutions and matrix products count, as `torch.utils.flop_counter` finds them; halos of the overview's tiles
    and everything element by element do not.

    Args:
        net: the network, in evaluation mode.
    """

    def __init__(self, net: PatchDriveNet) -> None:
        self.net = net
        self._windows: dict[tuple[int, int], float] = {}
        self._overview_px: float | None = None

    def of_run(self, result: RunResult) -> float:
        """10**9 multiply-adds of a run's windows and overview."""
        windows = sum(self.of_window(w.window.height, w.window.width) for w in result.windows if w.status == "read")
        if result.facts["overview"] == "none":
            return windows
        level = self.net.config.overview_level
        size = result.frame.size.at_level(level)
        return windows + self.of_overview(size.height * size.width)

    def of_window(self, height: int, width: int) -> float:
        """10**9 multiply-adds of a window of that many tensor pixels."""
        key = (height, width)
        if key not in self._windows:
            values = torch.zeros(1, len(self.net.config.bands), height, width)
            self._windows[key] = _gmacs(lambda: self.net.inspect(values, None))
        return self._windows[key]

    def of_overview(self, n_px: int) -> float:
        """10**9 multiply-adds of the global stream on that many overview pixels."""
        if self._overview_px is None:
            values = torch.zeros(1, 3 * len(self.net.config.bands) + 2, OVERVIEW_SIDE, OVERVIEW_SIDE)
            self._overview_px = _gmacs(lambda: self.net.look(values)) / OVERVIEW_SIDE**2
        return self._overview_px * n_px


def _gmacs(call: Callable[[], object]) -> float:
    """10**9 multiply-adds of a call without arguments."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops()) / 2e9
