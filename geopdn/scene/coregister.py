"""Views of a scene on the pixel grid of another one: earlier dates of the same ground."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from geopdn.errors import BandError, GeoreferenceError, SceneError
from geopdn.geometry.ground import map_to_pixel, pixel_size, pixel_to_map, transformer
from geopdn.geometry.window import Window
from geopdn.scene.handles import environment
from geopdn.scene.reader import Pixels
from geopdn.scene.resample import MAX_RATIO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geopdn.scene.reader import PixelSource

EDGE_POINTS = 9
"""Places along each side of a window of which the position in the other scene is worked out."""
MARGIN = 2
"""Pixels around a window that interpolation sees."""
VALID_SHARE = 0.5


class CoregisteredScene:
    """A scene seen through the pixels of another; reads like a scene. Make one with `coregister`.

    Windows are read at the level whose pixels are just smaller than the wanted ones, and warped bilinearly by GDAL;
    what the scene does not show is not valid.

    Args:
        scene: what is read from.
        onto: gives the grid.
    """

    def __init__(self, scene: PixelSource, onto: PixelSource) -> None:
        self.scene = scene
        self.name, self.datetime = scene.name, scene.datetime
        self.band_names, self.scales, self.offsets = scene.band_names, scene.scales, scene.offsets
        self.dtype = scene.dtype
        self.size, self.transform, self.crs = onto.size, onto.transform, onto.crs
        self._ratio = _pixel_ratio(scene, onto)

    @property
    def overview_factors(self) -> tuple[int, ...]:
        """Factors of the scene's overviews, in pixels of this grid."""
        factors: tuple[int, ...] = getattr(self.scene, "overview_factors", ())
        return tuple(math.ceil(factor / self._ratio) for factor in factors)

    def __repr__(self) -> str:
        return f"CoregisteredScene({self.scene!r})"

    def read(self, window: Window) -> Pixels:
        """Read a window of this grid at its level; a pixel is valid where at least half of what it is made of is.

        Raises:
            SceneReadError: a block under the window cannot be read.
        """
        values = np.zeros((len(self.band_names), window.height, window.width), self.dtype)
        valid = np.zeros((window.height, window.width), np.bool_)
        level = max(0, math.floor(math.log2(self._ratio * (1 << window.level)) + 1e-6))
        there = self._place_of(window, level)
        if there is None:
            return Pixels(values, valid)
        pixels = self.scene.read(there)
        if not pixels.valid.any():
            return Pixels(values, valid)
        own = self.transform @ Affine.scale(1 << window.level) @ Affine.translation(window.col, window.row)
        theirs = self.scene.transform @ Affine.scale(1 << level) @ Affine.translation(there.col, there.row)
        share = pixels.valid.astype(np.float32)
        weighted = np.concatenate([pixels.values.astype(np.float32) * share, share[None]])
        warped = _warped(weighted, (theirs, self.scene.crs), (own, self.crs), shape=valid.shape)
        valid = warped[-1] >= VALID_SHARE
        mean = np.where(valid, warped[:-1] / np.maximum(warped[-1], 1e-6), 0)
        return Pixels(mean.astype(self.dtype) if self.dtype.kind == "f" else _rounded(mean, self.dtype), valid)

    def _place_of(self, window: Window, level: int) -> Window | None:
        """The window of the scene, at a level, that holds a window of this grid; None where they do not meet."""
        step = 1 << window.level
        edge = np.linspace(0.0, 1.0, EDGE_POINTS)
        across, down = np.meshgrid(edge, edge)
        points = np.stack([window.col + across * window.width, window.row + down * window.height], -1) * step
        places = _their_pixels(points.reshape(-1, 2), self, self.scene)
        places = places[np.isfinite(places).all(1)] / (1 << level)
        if not len(places):
            return None
        (left, top), (right, bottom) = np.floor(places.min(0)) - MARGIN, np.ceil(places.max(0)) + MARGIN
        size = self.scene.size.at_level(level)
        if right <= 0 or bottom <= 0 or left >= size.width or top >= size.height:
            return None
        whole = Window(int(top), int(left), int(bottom - top), int(right - left), level)
        return whole.clip(size)


def coregister(scene: PixelSource, onto: PixelSource) -> CoregisteredScene:
    """A scene of another date on the pixel grid of the current one.

    Args:
        scene: the other date, of any CRS and of pixels up to three times as large or as small.
        onto: the current date.

    Raises:
        GeoreferenceError: one of them has no place on the map, or there is no way between their systems.
        BandError: their bands differ.
        SceneError: they do not overlap, or their pixel sizes differ more than threefold.
    """
    for one in (scene, onto):
        if one.crs is None:
            raise GeoreferenceError(
                f"{one.name} has no CRS or no transform: dates of the same ground are found by their places on the map"
            )
    if len(scene.band_names) != len(onto.band_names):
        raise BandError(
            f"{scene.name} has {len(scene.band_names)} bands, {onto.name} {len(onto.band_names)}: expected the same"
        )
    if not overlap(scene, onto):
        raise SceneError(f"{scene.name} does not overlap {onto.name}: expected an earlier date of the same ground")
    ratio = _pixel_ratio(scene, onto)
    if max(ratio, 1 / ratio) > MAX_RATIO:
        times = f"{max(ratio, 1 / ratio):.1f} times as {'small' if ratio > 1 else 'large'} as"
        raise SceneError(
            f"{scene.name} has pixels {times} those of {onto.name}: expected at most {MAX_RATIO:g} times; resample it "
            "first (gdalwarp -tr)"
        )
    return CoregisteredScene(scene, onto)


def overlap(scene: PixelSource, onto: PixelSource) -> bool:
    """Whether two scenes show common ground, as far as a grid of places over either tells."""
    return _some_inside(scene, onto) or _some_inside(onto, scene)


def _some_inside(scene: PixelSource, other: PixelSource) -> bool:
    edge = (np.arange(32) + 0.5) / 32
    across, down = np.meshgrid(edge * scene.size.width, edge * scene.size.height)
    col, row = _their_pixels(np.stack([across.ravel(), down.ravel()], -1), scene, other).T
    with np.errstate(invalid="ignore"):
        return bool(((col >= 0) & (row >= 0) & (col < other.size.width) & (row < other.size.height)).any())


def _their_pixels(points: NDArray[np.float64], own: Any, theirs: PixelSource) -> NDArray[np.float64]:
    """Positions `[N, 2]` (column, row) of one grid as those of another; not finite where there is no way."""
    places = pixel_to_map(points, own.transform)
    if own.crs != theirs.crs:
        x, y = transformer(own.crs, theirs.crs).transform(places[:, 0], places[:, 1])
        places = np.stack([np.asarray(x), np.asarray(y)], -1)
    return map_to_pixel(places, theirs.transform)


def _pixel_ratio(scene: PixelSource, onto: PixelSource) -> float:
    """Pixels of the one along a pixel of the other, by true ground lengths at their centres."""
    return _pixel_m(onto) / _pixel_m(scene)


def _pixel_m(source: PixelSource) -> float:
    assert source.crs is not None
    return pixel_size(source.transform, source.crs, col=source.size.width / 2, row=source.size.height / 2).mean_m


def _warped(
    planes: NDArray[np.float32], source: tuple[Affine, Any], target: tuple[Affine, Any], *, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Planes `[C, H, W]` on another grid `[C, h, w]`, 0 outside."""
    from rasterio.crs import CRS
    from rasterio.warp import Resampling, reproject

    out = np.zeros((len(planes), *shape), np.float32)
    with environment():
        reproject(
            planes,
            out,
            src_transform=source[0],
            src_crs=CRS.from_wkt(source[1].to_wkt()),
            dst_transform=target[0],
            dst_crs=CRS.from_wkt(target[1].to_wkt()),
            resampling=Resampling.bilinear,
            init_dest_nodata=True,
            num_threads=1,
        )
    return out


def _rounded(mean: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    limits = np.iinfo(dtype)
    rounded: NDArray[Any] = np.clip(np.floor(mean + 0.5), limits.min, limits.max).astype(dtype)
    return rounded
