"""The coast of a simulated harbour: where land and water lie, and what their surfaces reflect."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry.window import Size, Window
from geopdn.scene.simulated_noise import Field, fractal_noise, value_noise, white_noise

Spectra = NDArray[np.float32]

# Seen in real scenes: reflectance x 10,000 of open water, B04 B03 B02 B08 B11.
WATERS = np.array(
    [(52, 131, 263, 37, 32), (121, 237, 292, 99, 94), (137, 387, 401, 72, 61), (534, 639, 576, 528, 531),
     (553, 580, 579, 528, 492), (174, 320, 279, 158, 165), (26, 150, 115, 12, 27), (735, 985, 816, 399, 283)],
    np.float32,
)  # fmt: skip
FOREST, MEADOW, SOIL, ROOFS, BRIGHT, STREET = np.array(
    [(320, 520, 330, 2500, 1250), (620, 820, 520, 3200, 1850), (1750, 1350, 950, 2450, 2900),
     (1950, 1480, 1130, 2300, 2500), (3400, 3150, 2850, 3700, 3500), (950, 900, 850, 1250, 1400)],
    np.float32,
)  # fmt: skip


class Coast:
    """Height above water and surfaces, functions of the pixel alone.

    Args:
        size: the scene.
        seed: selects the coast.
        rng: draws the scene's water, land and noise.
    """

    def __init__(self, size: Size, *, seed: int, rng: np.random.Generator) -> None:
        self._seed = seed
        side = min(size.height, size.width)
        self._reach = float(np.clip(0.45 * side, 30, 900))
        direction = rng.uniform(0, 2 * np.pi)
        self.inland = np.array([np.cos(direction), np.sin(direction)])  # x, y
        self._centre = np.array([size.width, size.height]) / 2
        self._shift = float(rng.uniform(0.15, 0.32)) * side
        self._island = float(rng.uniform(2.5, 3.2))
        pair = rng.choice(len(WATERS), 2, replace=False)
        self._water = WATERS[pair[0]] + (WATERS[pair[1]] - WATERS[pair[0]]) * np.float32(rng.uniform(0, 0.5))
        self._turbid = float(rng.uniform(0.2, 1.0))
        self._green = float(rng.uniform(-0.6, 0.6))
        self.grain = float(np.clip(rng.lognormal(1.6, 0.5), 2.0, 14.0))

    def height(self, window: Window, *, every: int = 1) -> Field:
        """Height `[h, w]` in units of about a pixel: above 0 land, below 0 water; of every so many rows and columns."""
        cols = np.arange(window.col, window.col_stop, every) + 0.5 - self._centre[0]
        rows = np.arange(window.row, window.row_stop, every) + 0.5 - self._centre[1]
        slope = cols[None, :] * self.inland[0] + rows[:, None] * self.inland[1] - self._shift
        reach, seed = self._reach, self._seed
        rough = fractal_noise(window, spacing=reach, octaves=7, seed=seed + 1, every=every)
        land = slope.astype(np.float32) + np.float32(0.3 * reach) * rough
        isle = fractal_noise(window, spacing=reach * 0.2, octaves=4, seed=seed + 20, every=every)
        out: Field = np.maximum(land, (isle - np.float32(self._island)) * np.float32(20))
        return out

    def surface(self, window: Window) -> tuple[Spectra, Field]:
        """Reflectance `[5, h, w]` of bare land and water, and the share of each pixel that is land `[h, w]`."""
        height = self.height(window)
        share = np.clip(height / 2.0 + 0.5, 0, 1)
        image = self.water(window, height)
        if share.any():
            image = image + (self.land(window) - image) * share
        return image, share

    def water(self, window: Window, height: Field) -> Spectra:
        """Open water with currents, plumes, glint and a lighter edge."""
        slow = fractal_noise(window, spacing=self._reach * 0.7, octaves=4, seed=self._seed + 31)
        swell = value_noise(window, spacing=(3.1, 9.0), seed=self._seed + 35) + value_noise(
            window, spacing=(9.0, 4.3), seed=self._seed + 36
        )
        edge = np.exp(np.minimum(height, 0) / np.float32(14))
        plume = np.clip(
            fractal_noise(window, spacing=self._reach * 0.5, octaves=6, seed=self._seed + 33, gain=0.6) - 0.9, 0, 1.5
        )
        silt = (plume * np.float32(0.3) + edge * np.float32(0.6)) * np.float32(self._turbid)
        colour = self._water[:, None, None] * (1 + np.float32(0.06) * slow + np.float32(0.015) * swell)
        colour += np.array([150, 210, 120, 60, 15], np.float32)[:, None, None] * silt
        glint = white_noise(window, seed=self._seed + 37) * np.float32(0.55)
        spark = np.where(white_noise(window, seed=self._seed + 38) > 3.28, np.float32(25), np.float32(0))  # whitecaps
        out: Spectra = colour + (glint + spark) * np.float32(self.grain)
        return out

    def land(self, window: Window) -> Spectra:
        """Town, woods and open ground, mixed by noise; single buildings and streets as strong fine noise."""
        s = self._seed
        town = _soft(fractal_noise(window, spacing=self._reach * 0.5, octaves=4, seed=s + 41) + 0.8, 1.6)
        wood = _soft(fractal_noise(window, spacing=60, octaves=5, seed=s + 43) + self._green, 2.5)
        bare = _soft(fractal_noise(window, spacing=25, octaves=4, seed=s + 45) - 1.3, 3.0)
        house = value_noise(window, spacing=(2.3, 2.9), seed=s + 47) + np.float32(0.5) * value_noise(
            window, spacing=1.7, seed=s + 48
        )
        roof = _soft(value_noise(window, spacing=4.1, seed=s + 49) * 2 + house, 2.0)
        bright = _soft(house * 2.2 + value_noise(window, spacing=13, seed=s + 50) * 1.5 - 2.3, 3.0)
        road = np.minimum(
            np.abs(value_noise(window, spacing=31, seed=s + 51)),
            np.abs(value_noise(window, spacing=67, seed=s + 52)) * 1.4,
        )
        street = np.clip(1 - road / np.float32(0.045), 0, 1)
        green = _mix(MEADOW, FOREST, wood)
        green = green + (SOIL[:, None, None] - green) * bare
        built = _mix(STREET, ROOFS, roof)
        built = built + (BRIGHT[:, None, None] - built) * bright
        garden = _soft(value_noise(window, spacing=6.3, seed=s + 53) * 2.5 + wood - 0.8, 2.0) * np.float32(0.75)
        built = built + (green - built) * garden
        ground = green + (built - green) * town
        ground = ground + (STREET[:, None, None] - ground) * street * np.float32(0.7)
        relief = (
            1
            + (np.float32(0.08) + np.float32(0.26) * town) * house
            + np.float32(0.08) * value_noise(window, spacing=17, seed=s + 54)
        )
        out: Spectra = ground * relief
        return out


def _soft(field: NDArray[np.floating[Any]], steepness: float) -> Field:
    """A step from 0 to 1 around 0."""
    out: Field = np.clip(field.astype(np.float32, copy=False) * np.float32(steepness / 2) + np.float32(0.5), 0, 1)
    return out


def _mix(first: NDArray[np.float32], second: NDArray[np.float32], share: Field) -> Spectra:
    out: Spectra = first[:, None, None] + (second - first)[:, None, None] * share
    return out
