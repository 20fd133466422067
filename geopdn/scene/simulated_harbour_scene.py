"""A simulated harbour scene as pixels: Sentinel-2's five bands with its blur, noise and quantisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry.window import Window
from geopdn.scene.simulated_canvas import ShapeIndex, paint
from geopdn.scene.simulated_clouds import Clouds
from geopdn.scene.simulated_coast import Coast
from geopdn.scene.simulated_noise import blur, value_noise, white_noise
from geopdn.scene.simulated_port import lay_out
from geopdn.scene.simulated_vessels import vessel_shapes, wake_shapes
from geopdn.scene.simulation import Simulation, TrueObject

MARGIN_PX = 6  # reach of both blurs
_FOAM = np.array([1900, 2050, 2100, 1500, 500], np.float32)[:, None, None]
_GRAIN = (0.85, 0.95, 1.1, 0.75, 0.3)  # of the bands, relative to the scene's


class HarbourScene:
    """uint16 reflectance x 10,000 of B04 B03 B02 B08 B11 at 10 m: a coast with ports, anchorages and open sea."""

    bands: tuple[str, ...] = ("B04", "B03", "B02", "B08", "B11")
    scale = 0.0001

    def __init__(self, simulation: Simulation) -> None:
        self.profile: dict[str, Any] = {"COMPRESS": "ZSTD", "LEVEL": 9, "PREDICTOR": "YES"}
        self._seed, self._step = simulation.seed, simulation.reflectance_step
        self._coast = Coast(
            simulation.size, seed=simulation.seed * 17 + 3, rng=np.random.default_rng([simulation.seed, 3])
        )
        self._clouds = Clouds(
            simulation.size, share=simulation.clouds, seed=simulation.seed, spacing=180, shadow=(22, 30)
        )
        harbour = lay_out(
            simulation.size,
            self._coast,
            pixel_size_m=simulation.pixel_size_m,
            n_vessels=simulation.n_objects,
            occupied_share=simulation.occupied_share,
            seed=simulation.seed,
            hidden=self._clouds,
        )
        rng = np.random.default_rng([simulation.seed, 4])
        self._sigma = float(rng.uniform(0.55, 0.72))
        afloat = [*harbour.boats, *harbour.vessels]
        self._wakes = ShapeIndex([shape for item in afloat if item.moving for shape in wake_shapes(item, rng)])
        self._shapes = ShapeIndex(harbour.shapes + [shape for item in afloat for shape in vessel_shapes(item, rng)])
        scale = 1 / simulation.pixel_size_m
        self.objects: list[TrueObject] = [
            TrueObject("vessel", v.frame.x, v.frame.y, v.length_m * scale, v.width_m * scale, v.frame.angle)
            for v in harbour.vessels
        ]

    def render(self, window: Window) -> NDArray[np.uint16]:
        """Pixels `[5, height, width]` of a window."""
        m = MARGIN_PX
        # B11 has pixels of 20 m: an even grid, the same for every window
        top, left = (window.row - m) // 2 * 2, (window.col - m) // 2 * 2
        bottom, right = -(-(window.row_stop + m) // 2) * 2, -(-(window.col_stop + m) // 2) * 2
        wide = Window(top, left, bottom - top, right - left)
        image, _ = self._coast.surface(wide)
        wakes, shapes = self._wakes.within(wide), self._shapes.within(wide)
        if wakes:
            foam = 1 - paint(wakes, wide, n_bands=1, exact=True).light
            foam *= 0.8 + 0.5 * value_noise(wide, spacing=2.0, seed=self._seed + 81)
            image = image + (_FOAM - image) * np.clip(foam, 0, 1) * np.float32(0.75)
        if shapes:
            painted = paint(shapes, wide, n_bands=5, exact=True)
            built = painted.texture == 1
            rough = 1 + np.float32(0.16) * built * value_noise(wide, spacing=2.2, seed=self._seed + 82)
            image = image * (1 - painted.cover) + painted.colour * rough
        image = self._clouds.cover(image, wide, bright=np.array([6800, 6900, 7100, 7000, 4800], np.float32))
        fine = blur(image[:4], sigma=self._sigma, margin=3)
        coarse = image[4].reshape(wide.height // 2, 2, wide.width // 2, 2).mean((1, 3))
        coarse = _doubled(blur(coarse[None], sigma=0.6, margin=2)[0])
        bands = [*(self._cut(band, wide, window, 3) for band in fine), self._cut(coarse, wide, window, 4)]
        grain = np.float32(self._coast.grain)
        for index, band in enumerate(bands):
            noise = white_noise(window, seed=self._seed * 13 + 91 + index) * np.float32(_GRAIN[index])
            bands[index] = band * (1 + np.float32(0.006) * noise) + grain * noise
        pixels = np.rint(np.stack(bands) / self._step) * self._step
        out: NDArray[np.uint16] = np.clip(pixels, 0, 10_000).astype(np.uint16)
        return out

    @staticmethod
    def _cut(band: NDArray[np.float32], wide: Window, window: Window, lost: int) -> NDArray[np.float32]:
        row, col = window.row - wide.row - lost, window.col - wide.col - lost
        return band[row : row + window.height, col : col + window.width]


def _doubled(band: NDArray[np.float32]) -> NDArray[np.float32]:
    """Twice as many pixels by linear interpolation; the outermost repeat."""
    for axis in (0, 1):
        before = np.concatenate([band.take([0], axis), band.take(range(band.shape[axis] - 1), axis)], axis)
        after = np.concatenate([band.take(range(1, band.shape[axis]), axis), band.take([-1], axis)], axis)
        pair = np.stack([0.75 * band + 0.25 * before, 0.75 * band + 0.25 * after], axis + 1)
        shape = list(band.shape)
        shape[axis] *= 2
        band = pair.reshape(shape)
    return band
