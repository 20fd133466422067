"""What the controller is told of a search, and what its advice does to expected counts. Arrays, no torch.

The controller (`geopdn.model.controller`) learns in torch; a search asks it here, whatever runs the network: its LSTM
takes less time for a round than importing torch takes for a thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopdn.config import ModelConfig
from geopdn.errors import CheckpointError

CONTROLLER = "patch_drive_controller."  # what the names of its weights begin with
N_STATISTICS = 11
LIKENESS_LIMIT = 2.0  # of the log factor by what a cell looks like
SCALE_LIMITS = (-2.0, 1.5)  # of that on all cells
SLOPE_LIMIT = 1.0  # of that for each decade of a cell's rate
FAINT = 0.01  # objects a cell; rates are told from it in decades
DECADES = (-3.0, 2.0)
LEAST_RATE = 1e-9

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What the controller is told after a round of n windows.

    Attributes:
        pooled: `[n, dim]` features of the windows.
        context: `[n, G]` the grid's vectors at their centres.
        found: `[n]` objects found in each.
        expected: `[n]` objects expected there when they were planned.
        extent: `[n]` sides of the windows in cells of the grid.
        seen_share: of the scene's cells that were looked at so far.
        n_found: distinct objects found so far.
        left: objects that a full scan was still expected to find, before the round was taken in.
        n_cells: of the scene.
    """

    pooled: Floats
    context: Floats
    found: Floats
    expected: Floats
    extent: Floats
    seen_share: float
    n_found: int
    left: float
    n_cells: int

    def statistics(self) -> Floats:
        """The controller's numbers of each window `[n, N_STATISTICS]`."""
        found, expected = self.found, self.expected
        scene = (
            self.seen_share,
            np.log1p(self.left),
            np.log1p(self.n_found),
            np.log((self.left + 0.5) / (self.n_found + 0.5)),
            np.log10(max(1, self.n_cells)),
        )
        columns = [
            np.log1p(found),
            np.log1p(expected),
            np.log((found + 0.5) / (expected + 0.5)),
            ((found - expected) / np.sqrt(expected + 0.5)).clip(-4, 4),
            (found > 0).astype(np.float32),
            np.log2(self.extent),
            *(np.full(len(found), value) for value in scene),
        ]
        return np.stack(columns, -1).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Advice:
    """What the controller says after a round.

    Attributes:
        query: `[G]` direction in the global grid's space: cells that look like it are worth more.
        log_scale: correction of all rates, natural log. Far below zero it advises to stop: little is left.
        slope: correction of a rate for each decade that it is above `FAINT`, natural log.
    """

    query: Floats
    log_scale: float
    slope: float

    def likeness(self, grid: NDArray[np.floating]) -> Floats:
        """Log factor `[h, w]` by what the cells of the grid `[G, h, w]` look like, some rows at a time."""
        n, height, _ = grid.shape
        rows = max(1, (1 << 16) // max(1, grid.shape[2]))
        parts = [
            np.einsum("g,ghw->hw", self.query, grid[:, top : top + rows].astype(np.float32))
            for top in range(0, height, rows)
        ]
        like = np.concatenate(parts) / np.float32(np.sqrt(n))
        return np.asarray(like.clip(-LIKENESS_LIMIT, LIKENESS_LIMIT), np.float32)

    def log_factors(self, likeness: Floats, rate: NDArray[np.floating]) -> Floats:
        """Log factors `[h, w]` on the rates of cells, as it was learnt.

        Args:
            likeness: `[h, w]` see `likeness`, at the cells.
            rate: `[h, w]` expected objects a cell, as the evidence alone says.
        """
        return np.asarray(likeness + np.float32(self.log_scale) + np.float32(self.slope) * strength(rate), np.float32)

    def heeded(self, likeness: Floats, rate: NDArray[np.floating]) -> Floats:
        """The part of `log_factors` that a search follows.

        Advice lowers what is faint alone: in full up to a rate of `FAINT`, not at all from ten times that. Of strong
        rates windows have seen enough for the evidence to judge by; a controller that learnt on ground where they are
        true less often would end a search too early (docs/experiments.md, 70).
        """
        factors = self.log_factors(likeness, rate)
        return np.where(factors < 0, factors * (1 - strength(rate)).clip(0, 1), factors)


def strength(rate: NDArray[np.floating]) -> Floats:
    """Decades of a rate above `FAINT`, within `DECADES`."""
    return np.asarray(np.log10(np.maximum(rate, LEAST_RATE) / FAINT).clip(*DECADES), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class DriveState:
    """The LSTM's: hidden and cell `[hidden]`."""

    hidden: Floats
    cell: Floats


class Controller:
    """The patch drive controller of stored weights; see `geopdn.model.controller.PatchDriveController`.

    Args:
        arrays: weights by name.
        config: of the model.

    Raises:
        CheckpointError: one is missing or misshapen.
    """

    def __init__(self, arrays: Mapping[str, NDArray[np.floating]], config: ModelConfig) -> None:
        shapes = _shapes(config)

        def of(name: str) -> Floats:
            array = arrays.get(CONTROLLER + name)
            if array is None or array.shape != shapes[name]:
                raise CheckpointError(f"the weights {CONTROLLER + name} are missing or misshapen")
            return np.asarray(array, np.float32)

        self._patch, self._place, self._statistics, self._out = (
            (of(f"{name}.weight").T, of(f"{name}.bias")) for name in ("patch", "place", "statistics", "out")
        )
        self._input, self._recurrent = of("lstm.weight_ih_l0").T, of("lstm.weight_hh_l0").T
        self._bias = of("lstm.bias_ih_l0") + of("lstm.bias_hh_l0")

    def advise(self, told: Told, state: DriveState | None) -> tuple[Advice, DriveState]:
        """Take in a round of one window or more.

        Args:
            told: of the round, windows in the order they were planned.
            state: after earlier rounds, None before the first.

        Returns:
            Advice after the last window, and the state to go on from.
        """
        by_look = [_linear(told.pooled, self._patch), _linear(told.context, self._place)]
        x = np.tanh(np.concatenate(by_look, 1) + _linear(told.statistics(), self._statistics))
        gates = x @ self._input + self._bias  # [n, 4 hidden]: input, forget, cell, output
        n = gates.shape[1] // 4
        hidden, cell = (np.zeros(n, np.float32),) * 2 if state is None else (state.hidden, state.cell)
        for step in gates:
            enter, forget, new, out = np.split(step + hidden @ self._recurrent, 4)
            cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(new)
            hidden = _sigmoid(out) * np.tanh(cell)
        said = hidden @ self._out[0] + self._out[1]
        advice = Advice(
            query=said[:-2],
            log_scale=float(said[-2].clip(*SCALE_LIMITS)),
            slope=float(said[-1].clip(-SLOPE_LIMIT, SLOPE_LIMIT)),
        )
        return advice, DriveState(hidden, cell)


def _shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    dim, grid, hidden = config.dim, config.grid, config.hidden
    layers = {
        "patch": (dim // 2, dim),
        "place": (dim - dim // 2, grid),
        "statistics": (dim, N_STATISTICS),
        "out": (grid + 2, hidden),
    }
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": shape for name, shape in layers.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in layers.items()}
    shapes |= {"lstm.weight_ih_l0": (4 * hidden, dim), "lstm.weight_hh_l0": (4 * hidden, hidden)}
    return shapes | {"lstm.bias_ih_l0": (4 * hidden,), "lstm.bias_hh_l0": (4 * hidden,)}


def _linear(x: Floats, layer: tuple[Floats, Floats]) -> Floats:
    weight, bias = layer
    return np.asarray(x @ weight + bias, np.float32)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float32)
