"""Radiometry: from stored values to the numbers the networks see, the same for every window of a scene."""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from geopdn.errors import ConfigError, RadiometryWarning, SceneReadError
from geopdn.geometry.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from geopdn.scene.reader import Pixels, PixelSource

UPPER = 1.5
"""Values above the high limit keep their order up to this much."""
SAMPLE_SIDE = 1024
"""Longest side, in pixels, of the decimated view that percentiles are taken from."""
TILE_SIDE = 256
SATURATED_SHARE = 0.9
LITTLE_OF_RANGE = 0.03


@dataclass(frozen=True, slots=True)
class Radiometry:
    """How values are scaled; declared once and stored with the weights."""

    kind: Literal["fixed", "percentile"]
    """`fixed`: limits are physical values; `percentile`: limits are two percentages of each scene's valid pixels."""
    low: tuple[float, ...]
    """Goes to 0. One for all bands, or one a band; one percentage for `percentile`."""
    high: tuple[float, ...]
    """Goes to 1; as `low`."""
    dtypes: tuple[str, ...] = ()
    """Types the fixed limits make sense for; empty for any."""

    def __post_init__(self) -> None:
        if self.kind not in ("fixed", "percentile"):
            raise ConfigError(f"radiometry kind {self.kind!r} is not known: expected 'fixed' or 'percentile'")
        numbers = (*self.low, *self.high)
        if len(self.low) != len(self.high) or not self.low or not all(math.isfinite(number) for number in numbers):
            raise ConfigError(f"radiometry needs as many low as high limits, finite: got {self.low} and {self.high}")
        if any(low >= high for low, high in zip(self.low, self.high, strict=True)):
            raise ConfigError(f"radiometry needs low < high: got {self.low} and {self.high}")
        if self.kind == "percentile" and (len(self.low) > 1 or min(numbers) < 0 or max(numbers) > 100):
            raise ConfigError(f"radiometry percentiles are two numbers in 0-100: got {self.low} and {self.high}")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ConfigError: a key is missing or unknown, or a value is out of range.
        """
        try:
            return cls(
                kind=record["kind"],
                low=tuple(float(value) for value in record["low"]),
                high=tuple(float(value) for value in record["high"]),
                dtypes=tuple(str(value) for value in record.get("dtypes", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"radiometry record {dict(record)} is not usable: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Stretch:
    """A radiometry resolved for one scene: one number a band in each field."""

    low: tuple[float, ...]
    """Physical value that becomes 0."""
    high: tuple[float, ...]
    """Physical value that becomes 1."""
    scale: tuple[float, ...]
    """Physical value = stored value * scale + offset."""
    offset: tuple[float, ...]
    """See `scale`."""

    def apply(self, pixels: Pixels) -> NDArray[np.float32]:
        """Scaled values `[C, h, w]` in [0, 1.5]: `(values * scale + offset - low) / (high - low)`.

        Always finite: 0 where not valid, and everywhere in a band whose limits coincide.
        """
        stored = pixels.values
        exact = stored.dtype.itemsize > 2 and stored.dtype != np.float32  # float32 holds 16-bit integers exactly
        scaled = np.empty(stored.shape, np.float32)
        for index, (gain, bias) in enumerate(zip(*self._line(), strict=True)):
            if exact:
                with np.errstate(over="ignore", invalid="ignore"):
                    scaled[index] = np.clip(stored[index].astype(np.float64) * gain + bias, 0.0, UPPER)
            else:
                np.multiply(stored[index], np.float32(gain), out=scaled[index], dtype=np.float32)
                scaled[index] += np.float32(bias)
        np.clip(scaled, 0.0, UPPER, out=scaled)
        if stored.dtype.kind == "f":
            np.nan_to_num(scaled, copy=False, nan=0.0)
        if not pixels.valid.all():
            scaled *= pixels.valid
        return scaled

    def _line(self) -> tuple[list[float], list[float]]:
        """Gain and bias of each band."""
        gains, biases = [], []
        for low, high, scale, offset in zip(self.low, self.high, self.scale, self.offset, strict=True):
            span = high - low
            gains.append(scale / span if span > 0 else 0.0)
            biases.append((offset - low) / span if span > 0 else 0.0)
        return gains, biases

    def to_dict(self) -> dict[str, list[float]]:
        """For JSON."""
        return {key: list(value) for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**{key: tuple(float(value) for value in record[key]) for key in ("low", "high", "scale", "offset")})


def resolve_stretch(scene: PixelSource, radiometry: Radiometry) -> Stretch:
    """The limits of one scene: those declared, or percentiles of a decimated view; the same on every call.

    Blocks that cannot be read are left out here; reading them is where they are reported.

    Args:
        scene: what is read from.
        radiometry: what is wanted.

    Raises:
        ConfigError: limits for another number of bands.
    """
    count = len(scene.band_names)
    if len(radiometry.low) not in (1, count):
        raise ConfigError(f"radiometry has limits for {len(radiometry.low)} bands, {scene.name} has {count}")
    scale, offset = np.asarray(scene.scales, np.float64), np.asarray(scene.offsets, np.float64)
    fixed = radiometry.kind == "fixed"
    sample = _sample(scene, whole=not fixed) * scale[:, None] + offset[:, None]  # [C, N]
    if fixed:
        low, high = np.resize(radiometry.low, count), np.resize(radiometry.high, count)
        if radiometry.dtypes and scene.dtype.name not in radiometry.dtypes:
            _warn(f"{scene.name} holds {scene.dtype.name} values, limits are meant for {', '.join(radiometry.dtypes)}")
    elif sample.size:
        low, high = np.percentile(sample, [radiometry.low[0], radiometry.high[0]], axis=1)
    else:
        low, high = np.zeros(count), np.ones(count)
    if sample.size and fixed:
        _check(sample, low, high, scene=scene)
    return Stretch(
        low=tuple(low.tolist()), high=tuple(high.tolist()), scale=tuple(scale.tolist()), offset=tuple(offset.tolist())
    )


def _check(
    sample: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], *, scene: PixelSource
) -> None:
    """Warn where fixed limits fit the sampled values `[C, N]` badly."""
    share = float(((sample >= high[:, None]) | (sample < low[:, None])).mean())
    if share > SATURATED_SHARE:
        _warn(
            f"{scene.name}: {share:.0%} of the sampled values lie outside {low.tolist()} to {high.tolist()}; "
            "check the radiometry, or the scene's scale and offset"
        )
    top = float(((np.percentile(sample, 99.5, axis=1) - low) / (high - low)).max())
    if scene.dtype.itemsize > 1 and top < LITTLE_OF_RANGE:
        _warn(
            f"{scene.name}: its values fill {max(top, 0):.1%} of the range {low.tolist()} to {high.tolist()}; "
            "check the radiometry, or the scene's scale and offset"
        )


def _warn(message: str) -> None:
    warnings.warn(message, RadiometryWarning, stacklevel=4)


def _sample(scene: PixelSource, *, whole: bool) -> NDArray[np.float64]:
    """Stored values `[C, N]` of valid pixels: of a decimated view, or where that is dear of 16 small windows."""
    level = max(math.ceil(math.log2(max(scene.size.height, scene.size.width) / SAMPLE_SIDE)), 0)
    cheap = level == 0 or any(factor > 1 for factor in getattr(scene, "overview_factors", ()))
    windows = _tiles(scene, level) if whole or cheap else _spread(scene)
    parts = [np.zeros((len(scene.band_names), 0))]
    for window in windows:
        try:
            pixels = scene.read(window)
        except SceneReadError:
            continue
        parts.append(pixels.values[:, pixels.valid].astype(np.float64))
    return np.concatenate(parts, 1)


def _tiles(scene: PixelSource, level: int) -> Iterator[Window]:
    """Windows that cover one level, so that a corrupt block costs one of them."""
    size = scene.size.at_level(level)
    for row in range(0, size.height, TILE_SIDE):
        for col in range(0, size.width, TILE_SIDE):
            yield Window(row, col, min(TILE_SIDE, size.height - row), min(TILE_SIDE, size.width - col), level)


def _spread(scene: PixelSource) -> Iterator[Window]:
    """Sixteen windows of level 0 on a grid, aligned to 256 px."""
    for row in range(4):
        for col in range(4):
            top = int(scene.size.height * (row + 0.5) / 4) // TILE_SIDE * TILE_SIDE
            left = int(scene.size.width * (col + 0.5) / 4) // TILE_SIDE * TILE_SIDE
            window = Window(top, left, TILE_SIDE, TILE_SIDE).clip(scene.size)
            if window is not None:
                yield window
