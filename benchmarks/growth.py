"""How cost grows: against the scene's size at a fixed number of objects, and against that number at a fixed size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmarks.measure import Cost
from benchmarks.results import Results, Run
from benchmarks.scenes import DENSEST, PX_PER_OBJECT, Case, airport

Axis = Literal["pixels", "objects"]

SIZES = (4096, 8192, 16384)
OBJECTS = (5, 20, 80)
FIXED_OBJECTS, FIXED_SIZE = 20, 8192
SECONDS_BEYOND, BYTES_BEYOND = "seconds beyond start-up", "bytes read beyond start-up"
QUANTITIES = ("seconds", SECONDS_BEYOND, "CPU seconds", "multiply-adds", BYTES_BEYOND, "peak memory")
OTHER_START = ("SAHI", "supervision", "GeoDeep")
"""Methods that start in another way than `benchmarks.floor start`: what goes beyond start-up is not told of them."""


@dataclass(frozen=True, slots=True)
class Fit:
    """`y = factor * x ** exponent`, by least squares of the logarithms.

    Attributes:
        exponent: 1 where cost is proportional.
        factor: cost at x = 1.
        r2: share of the logarithms' variance that it explains, 1 where there is none.
        n: points.
    """

    exponent: float
    factor: float
    r2: float
    n: int

    def at(self, x: float) -> float:
        """The fitted cost."""
        return float(self.factor * x**self.exponent)


def fit(x: Sequence[float], y: Sequence[float]) -> Fit | None:
    """Fit a power law; points that are not positive are left out, None with fewer than two different `x`."""
    points = np.array([(a, b) for a, b in zip(x, y, strict=True) if a > 0 and b > 0]).reshape(-1, 2)
    if len(np.unique(points[:, 0])) < 2:
        return None
    log_x, log_y = np.log(points).T
    exponent, intercept = np.polyfit(log_x, log_y, 1)
    rest = log_y - (exponent * log_x + intercept)
    spread = float(((log_y - log_y.mean()) ** 2).sum())
    r2 = 1.0 if spread < 1e-12 else 1 - float((rest**2).sum()) / spread
    return Fit(float(exponent), float(np.exp(intercept)), r2, len(points))


def by_size(sizes: Sequence[int], *, n_objects: int = FIXED_OBJECTS) -> list[Case]:
    """Scenes of one number of objects, on as much ground as they need."""
    return [_placed(size, n_objects) for size in sorted(sizes)]


def by_objects(numbers: Sequence[int], *, size: int = FIXED_SIZE) -> list[Case]:
    """Scenes of one size."""
    return [_placed(size, n) for n in sorted(numbers)]


def _placed(size: int, n_objects: int) -> Case:
    share = n_objects * PX_PER_OBJECT / size**2
    if share > DENSEST:
        raise SystemExit(
            f"{n_objects} objects need more ground than {size} x {size} px: fewer objects, or a larger size"
        )
    return replace(airport(size, share, n_objects=n_objects), share=float(f"{share:.2g}"))


@dataclass(frozen=True, slots=True)
class Series:
    """Cost of one method along one axis.

    Attributes:
        axis: what grows: pixels of the scene in millions, or objects.
        method: its name.
        quantity: one of `QUANTITIES`.
        x: along the axis, one value a run.
        y: the quantity.
        fitted: the power law, None with too few points.
    """

    axis: Axis
    method: str
    quantity: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    fitted: Fit | None


def series(results: Results, wanted: Sequence[Case], *, axis: Axis, code: str, start: Cost | None) -> list[Series]:
    """Every method's costs over the scenes of one axis.

    Args:
        results: the runs.
        wanted: scenes, which differ along the axis.
        axis: which.
        code: version whose runs count.
        start: cost of importing and loading, see `benchmarks.floor`; None where it was not measured.
    """
    names = {case.name for case in wanted}
    runs = [run for run in results.runs if run.scene in names and run.code == code and "ap50" in run.outcome]
    found = []
    for method in dict.fromkeys(run.method for run in runs if not run.error):
        mine = [run for run in runs if run.method == method and not run.error]
        x = tuple(_along(results.scenes[run.scene], axis) for run in mine)
        for quantity in QUANTITIES:
            y = tuple(_quantity(run, quantity, start) for run in mine)
            if any(value > 0 for value in y):
                found.append(Series(axis, method, quantity, x, y, fit(x, y)))
    return found


def _along(scene: dict[str, float], axis: Axis) -> float:
    return float(scene["objects"]) if axis == "objects" else scene["height"] * scene["width"] / 1e6


def _quantity(run: Run, name: str, start: Cost | None) -> float:
    """A cost, 0 where it is not known."""
    cost = run.cost
    if cost is None or (name in (SECONDS_BEYOND, BYTES_BEYOND) and (start is None or run.method in OTHER_START)):
        return 0.0
    begun_s, begun_bytes = (0.0, 0) if start is None else (start.seconds, start.bytes_read or 0)
    values = {
        "seconds": cost.seconds,
        SECONDS_BEYOND: cost.seconds - begun_s,
        "CPU seconds": cost.user_seconds + cost.system_seconds,
        "multiply-adds": float(run.outcome["gmacs"]),
        BYTES_BEYOND: float((cost.bytes_read or 0) - begun_bytes),
        "peak memory": cost.peak_memory_mb,
    }
    return max(values[name], 0.0)
