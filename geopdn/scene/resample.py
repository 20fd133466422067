"""Views of a scene at another pixel size, so that networks see the size they were trained at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from geopdn.errors import SceneError
from geopdn.geometry.ground import PixelSize, pixel_size
from geopdn.geometry.window import Size, Window
from geopdn.scene.reader import Pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geopdn.scene.reader import PixelSource

MAX_RATIO = 3.0
TOLERANCE = 1.25
"""Scenes whose pixels differ by less than this factor are left as they are."""
TILE_SIDE = 512
"""Side of the parts, in output pixels, that large windows are made of; bounds memory."""
_EPS = 1e-6


class ResampledScene:
    """A scene seen through another pixel grid with the same outer corner; reads like a scene.

    Positions of an output pixel edge `(row, col)` and a scene's `(row * step_y, col * step_x)` are the same place,
    exactly; the transform says so. Levels halve the view's own grid.

    Args:
        scene: what is read from.
        step_y: height of an output pixel, in the scene's pixels.
        step_x: width of an output pixel, in the scene's pixels.
        pixel_size: true ground size of an output pixel at the scene's centre.
    """

    def __init__(self, scene: PixelSource, *, step_y: float, step_x: float, pixel_size: PixelSize) -> None:
        self.scene = scene
        self.step_y, self.step_x = step_y, step_x
        self.pixel_size = pixel_size
        self.name, self.crs, self.band_names = scene.name, scene.crs, scene.band_names
        self.scales, self.offsets = scene.scales, scene.offsets
        self.datetime, self.dtype = scene.datetime, scene.dtype
        self.size = Size(_count(scene.size.height, step_y), _count(scene.size.width, step_x))
        a, b, c, d, e, f = scene.transform[:6]
        self.transform = Affine(a * step_x, b * step_y, c, d * step_x, e * step_y, f)

    @property
    def overview_factors(self) -> tuple[int, ...]:
        """Factors of the scene's overviews, in its own pixels."""
        factors: tuple[int, ...] = getattr(self.scene, "overview_factors", ())
        return factors

    def __repr__(self) -> str:
        return f"ResampledScene({self.scene!r}, {self.size.height} x {self.size.width} px)"

    def read(self, window: Window) -> Pixels:
        """Read a window at its level, of the view's own grid.

        Shrinking takes area-weighted means of valid pixels, enlarging interpolates linearly between them; a pixel is
        valid where at least half of the weight inside the scene is. Outside, values are 0 and not valid.

        Raises:
            SceneReadError: a block under the window cannot be read.
        """
        values = np.zeros((len(self.band_names), window.height, window.width), self.dtype)
        valid = np.zeros((window.height, window.width), np.bool_)
        inside = window.clip(self.size.at_level(window.level))
        if inside is None:
            return Pixels(values, valid)
        for row in range(inside.row, inside.row_stop, TILE_SIDE):
            for col in range(inside.col, inside.col_stop, TILE_SIDE):
                height, width = min(TILE_SIDE, inside.row_stop - row), min(TILE_SIDE, inside.col_stop - col)
                part = self._read_tile(Window(row, col, height, width, window.level))
                rows = slice(row - window.row, row - window.row + height)
                cols = slice(col - window.col, col - window.col + width)
                values[:, rows, cols], valid[rows, cols] = part.values, part.valid
        return Pixels(values, valid)

    def _read_tile(self, tile: Window) -> Pixels:
        """Resample a window that lies inside its level."""
        step_y, step_x = self.step_y * (1 << tile.level), self.step_x * (1 << tile.level)
        level = max(math.floor(math.log2(min(step_y, step_x)) + _EPS), 0)  # never coarser than the output
        size = self.scene.size.at_level(level)
        rows = _axis(tile.row, tile.height, step=step_y / (1 << level), length=size.height)
        cols = _axis(tile.col, tile.width, step=step_x / (1 << level), length=size.width)
        source = Window(rows.start, cols.start, rows.length, cols.length, level)
        return _weigh(self.scene.read(source), rows, cols)


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """Which source pixels make up the output pixels along one axis."""

    start: int
    """The first source pixel that is needed."""
    length: int
    """Number of source pixels needed."""
    taps: NDArray[np.int64]
    """`[outputs, K]`: source pixels, counted from `start`."""
    weights: NDArray[np.float64]
    """`[outputs, K]`; each row sums to 1."""


def _axis(first: int, count: int, *, step: float, length: int) -> _Axis:
    """Weights of `count` outputs from number `first`, each `step` source pixels long, on `length` source pixels.

    Boxes (overlapping lengths) where outputs are longer than source pixels, else linear interpolation between the
    sources' centres. Sources outside `[0, length)` get no weight; rows are normalised over those inside.
    """
    edges = np.arange(first, first + count + 1) * step
    if step >= 1:
        low, high = edges[:-1, None], edges[1:, None]
        taps = np.floor(low + _EPS).astype(np.int64) + np.arange(math.ceil(step) + 1)  # [outputs, K]
        weights = np.clip(np.minimum(high, taps + 1) - np.maximum(low, taps), 0, None)
    else:
        centres = (edges[:-1, None] + edges[1:, None]) / 2
        taps = np.floor(centres - 0.5).astype(np.int64) + np.arange(2)
        weights = np.clip(1 - np.abs(centres - (taps + 0.5)), 0, None)
    weights[(taps < 0) | (taps >= length) | (weights < _EPS)] = 0
    taps = np.clip(taps, 0, length - 1)
    weights[weights.sum(1) == 0, 0] = 1  # a sliver of the last pixel: take the nearest source
    start, stop = int(taps.min()), int(taps.max()) + 1
    return _Axis(start, stop - start, taps - start, weights / weights.sum(1, keepdims=True))


def _weigh(pixels: Pixels, rows: _Axis, cols: _Axis) -> Pixels:
    """Weighted means of valid pixels `[C, H, W]`, as `[C, h, w]`."""
    stored = pixels.values
    small = stored.dtype.itemsize <= 2 or stored.dtype == np.float32
    work = np.dtype(np.float32 if small else np.float64)
    mean = _apply(stored.astype(work), rows, cols)
    if pixels.valid.all():
        return Pixels(_to_dtype(mean, stored.dtype), np.ones(mean.shape[1:], np.bool_))
    share = _apply(pixels.valid.astype(work)[None], rows, cols)[0]
    valid = share >= 0.5 - 1e-4
    mean = np.where(valid, mean / np.where(valid, share, 1), 0)
    return Pixels(_to_dtype(mean, stored.dtype), valid)


def _apply(array: NDArray[Any], rows: _Axis, cols: _Axis) -> NDArray[Any]:
    """Both axes' weighted sums of `[C, H, W]`, as `[C, h, w]`; a few taps each, so faster than matrix products."""
    tall, wide = rows.weights.astype(array.dtype), cols.weights.astype(array.dtype)
    half = np.take(array, rows.taps[:, 0], axis=1) * tall[:, :1]
    for tap in range(1, tall.shape[1]):
        half += np.take(array, rows.taps[:, tap], axis=1) * tall[:, tap : tap + 1]
    out: NDArray[Any] = np.take(half, cols.taps[:, 0], axis=2) * wide[:, 0]
    for tap in range(1, wide.shape[1]):
        out += np.take(half, cols.taps[:, tap], axis=2) * wide[:, tap]
    return out


def _to_dtype(mean: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Means in the scene's own type, integers rounded half up."""
    if dtype.kind == "f":
        return mean.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.floor(mean + 0.5), limits.min, limits.max).astype(dtype)


def _count(length: int, step: float) -> int:
    """Number of output pixels that cover `length`, a sliver of a millionth not counted."""
    return max(math.ceil(length / step - _EPS), 1)


def resample(
    scene: PixelSource, *, pixel_size_m: float, tolerance: float = TOLERANCE, any_scale: bool = False
) -> PixelSource:
    """The scene itself where its pixels are near enough to the wanted size, else a view of it that is.

    Args:
        scene: what is read from. Without a CRS its pixel size is unknown, and it is returned as it is.
        pixel_size_m: wanted true ground size of a pixel, along both axes, in metres.
        tolerance: largest factor, either way, by which both sides may differ and be left alone.
        any_scale: also accept pixels more than three times larger or smaller than wanted.

    Raises:
        SceneError: the pixel size differs more than threefold.
        GeoreferenceError: the scene's centre lies outside its CRS's domain.
        ValueError: a size or tolerance that is none.
    """
    if not (math.isfinite(pixel_size_m) and pixel_size_m > 0 and tolerance >= 1):
        msg = f"expected pixel_size_m > 0 and tolerance >= 1, got {pixel_size_m} and {tolerance}"
        raise ValueError(msg)
    if scene.crs is None:
        return scene
    own = pixel_size(scene.transform, scene.crs, col=scene.size.width / 2, row=scene.size.height / 2)
    steps = {"step_y": pixel_size_m / own.y_m, "step_x": pixel_size_m / own.x_m}
    far = max(max(step, 1 / step) for step in steps.values())
    if far <= tolerance * (1 + _EPS):
        return scene
    if far > MAX_RATIO * (1 + _EPS) and not any_scale:
        raise SceneError(
            f"{scene.name} has pixels of {own.x_m:.3g} x {own.y_m:.3g} m, the model expects {pixel_size_m:.3g} m: more "
            f"than {MAX_RATIO:g} times apart, results would not be trustworthy; use another model, or --any-scale"
        )
    return ResampledScene(scene, **steps, pixel_size=PixelSize(y_m=pixel_size_m, x_m=pixel_size_m))
