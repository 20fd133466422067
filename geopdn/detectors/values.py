"""Values: from what a scene stores to what a detector was trained on."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from geopdn.errors import ConfigError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How values are scaled: `((value - low) / (high - low) * top - mean) / std`, for each band.

    Attributes:
        kind: what the limits are: values as `stored`, `physical` ones (stored * scale + offset of the file), or two
            `percentiles` of each band of the scene.
        low: what becomes 0; one for all bands, or one a band.
        high: what becomes `top`; as `low`.
        top: 1, or 255 for a detector that takes bytes.
        mean: subtracted afterwards; as `low`.
        std: divided by at the end; as `low`.
        clip: keep what lies outside the limits at 0 and `top`.
        dtypes: types of scenes that the limits make sense for; empty for any.
    """

    kind: Literal["stored", "physical", "percentiles"]
    low: tuple[float, ...]
    high: tuple[float, ...]
    top: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    clip: bool = False
    dtypes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (*self.low, *self.high, *self.mean, *self.std, self.top))):
            raise ConfigError(f"a detector's values need finite limits, mean and std: got {self}")
        lengths = {len(part) for part in (self.low, self.high, self.mean, self.std)} - {1}
        if len(self.low) != len(self.high) or len(lengths) > 1 or 0 in lengths:
            raise ConfigError(f"a detector's values need one number for all bands, or one a band: got {self}")
        if any(low >= high for low, high in zip(self.low, self.high, strict=True)) or min(self.std) <= 0 >= -self.top:
            raise ConfigError(f"a detector's values need low < high, std > 0 and top > 0: got {self}")
        if self.kind == "percentiles" and (min(self.low) < 0 or max(self.high) > 100 or len(self.low) > 1):
            raise ConfigError(f"percentiles are two numbers from 0 to 100: got {self.low} and {self.high}")

    @property
    def n_bands(self) -> int | None:
        """Number of bands that the numbers are given for, None where they hold for any number."""
        n = max(len(self.low), len(self.mean), len(self.std))
        return None if n == 1 else n

    def bind(self, *, scales: Sequence[float], offsets: Sequence[float], limits: tuple[Floats, Floats]) -> Line:
        """What one scene's stored values are multiplied by and what is added.

        Args:
            scales: of the file, one a band C.
            offsets: likewise.
            limits: physical values `[C]` that become 0 and `top`: see `limits_of`.
        """
        n = len(scales)
        low, high = limits
        slope = self.top / np.where(high > low, high - low, np.inf)  # a band without contrast becomes 0
        mean, std = np.resize(self.mean, n), np.resize(self.std, n)
        return Line(
            gain=slope * np.asarray(scales) / std,
            bias=((np.asarray(offsets) - low) * slope - mean) / std,
            floor=-mean / std if self.clip else np.full(n, -np.inf),
            ceiling=(self.top - mean) / std if self.clip else np.full(n, np.inf),
        )

    def limits_of(self, *, scales: Sequence[float], offsets: Sequence[float]) -> tuple[Floats, Floats]:
        """The limits as physical values `[C]`; of a `percentiles` scaling only the scene can tell them."""
        n, gain, bias = len(scales), np.asarray(scales, np.float64), np.asarray(offsets, np.float64)
        low, high = np.resize(self.low, n).astype(np.float64), np.resize(self.high, n).astype(np.float64)
        return (low, high) if self.kind == "physical" else (low * gain + bias, high * gain + bias)

    def __str__(self) -> str:
        if self.kind == "percentiles":
            return f"percentiles {self.low[0]:g} to {self.high[0]:g} of each band to 0..{self.top:g}"
        if (self.low, self.high, self.top, self.mean, self.std) == ((0.0,), (1.0,), 1.0, (0.0,), (1.0,)):
            return f"{self.kind} values"
        low, high = (", ".join(f"{value:g}" for value in side) for side in (self.low, self.high))
        after = "" if (self.mean, self.std) == ((0.0,), (1.0,)) else ", then mean and standard deviation"
        return f"{self.kind} values {low} to {high} as 0..{self.top:g}{after}"


BYTES = Scaling("stored", (0.0,), (255.0,), dtypes=("uint8",))
"""Eight bits as 0 to 1: what Deepness, GeoDeep and Ultralytics feed their models."""
STORED = Scaling("stored", (0.0,), (1.0,))
"""Values as they are stored."""
PHYSICAL = Scaling("physical", (0.0,), (1.0,))
"""Stored values times the file's scale plus its offset: reflectance, where that is what they stand for."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A scaling bound to a scene: `stored * gain + bias`, kept between `floor` and `ceiling`; `[C]` each."""

    gain: Floats
    bias: Floats
    floor: Floats
    ceiling: Floats

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Scaled values `[C, h, w]`, always finite; what is not valid is stored as 0 and scaled like a 0."""
        work = np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = values.astype(work) * self.gain[:, None, None].astype(work)
            scaled += self.bias[:, None, None].astype(work)
            np.clip(scaled, self.floor[:, None, None], self.ceiling[:, None, None], out=scaled)
            finite: NDArray[np.float32] = np.nan_to_num(scaled.astype(np.float32), copy=False)
        return finite


def parse_values(text: str) -> Scaling:
    """`raw`, `reflectance`, `0..3000` (physical limits) or `2%..98%`, the last two with `:255` for a 0..255 detector.

    Raises:
        ConfigError: none of these.
    """
    if text in ("raw", "reflectance"):
        return STORED if text == "raw" else PHYSICAL
    number = r"(-?\d+(?:\.\d*)?|-?\.\d+)"
    match = re.fullmatch(rf"{number}(%?)\.\.{number}(%?)(?::(1|255))?", text.strip())
    if match is None or match.group(2) != match.group(4):
        raise ConfigError(f"--detector-values {text!r}: expected raw, reflectance, 0..3000 or 2%..98%")
    low, high = float(match.group(1)), float(match.group(3))
    kind: Literal["physical", "percentiles"] = "percentiles" if match.group(2) else "physical"
    try:
        return Scaling(kind, (low,), (high,), top=float(match.group(5) or 1), clip=True)
    except ConfigError as error:
        raise ConfigError(f"--detector-values {text!r}: {error}") from None
