"""A simulated airport scene as pixels: painted shapes, textures, atmosphere, blur and noise of the sensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry.window import Window
from geopdn.scene.simulated_airport import lay_out
from geopdn.scene.simulated_airport_colours import TEXTURE, TEXTURE_SPACING_M, draw_palette
from geopdn.scene.simulated_airport_shapes import AirportPainter
from geopdn.scene.simulated_canvas import ShapeIndex, paint
from geopdn.scene.simulated_clouds import Clouds
from geopdn.scene.simulated_countryside import Countryside
from geopdn.scene.simulated_noise import blur, fractal_noise, value_noise, white_noise
from geopdn.scene.simulation import Simulation, TrueObject

MARGIN_PX = 3  # reach of the blur


class AirportScene:
    """uint8 red, green, blue at about 0.5 m: airports in sparse countryside."""

    bands: tuple[str, ...] = ("red", "green", "blue")
    scale = 1.0

    def __init__(self, simulation: Simulation) -> None:
        rng = np.random.default_rng([simulation.seed, 1])
        self.profile: dict[str, Any] = {"COMPRESS": "JPEG", "QUALITY": 80, "OVERVIEW_QUALITY": 80}
        self._seed, self._pixel_size_m = simulation.seed, simulation.pixel_size_m
        self._palette = draw_palette(rng)
        self._gain = rng.uniform(0.98, 1.2) * np.array([1.0, rng.uniform(0.98, 1.01), rng.uniform(0.94, 1.0)])
        self._haze = rng.uniform(0.0, 1.0) * np.array([8.0, 13, 14])
        self._sigma, self._noise = float(rng.uniform(0.62, 0.85)), float(rng.uniform(0.8, 2.0))
        self._country = Countryside(self._palette, pixel_size_m=simulation.pixel_size_m, seed=simulation.seed)
        airports = lay_out(
            simulation.size,
            pixel_size_m=simulation.pixel_size_m,
            n_aircraft=simulation.n_objects,
            occupied_share=simulation.occupied_share,
            seed=simulation.seed,
        )
        shapes = []
        self.objects: list[TrueObject] = []
        for index, airport in enumerate(airports):
            painter = AirportPainter(airport, self._palette, np.random.default_rng([simulation.seed, 2, index]))
            shapes += painter.paint()
            for frame, stand in airport.stands():
                if stand.taken:
                    place = frame.at(stand.u, stand.v, turn=stand.heading)
                    scale = 1 / simulation.pixel_size_m
                    length, span = stand.aircraft.length_m * scale, stand.aircraft.span_m * scale
                    self.objects.append(TrueObject("aircraft", place.x, place.y, length, span, place.angle))
        self._shapes = ShapeIndex(shapes)
        self._clouds = Clouds(
            simulation.size, share=simulation.clouds, seed=simulation.seed, spacing=1500, shadow=(260, 340)
        )

    def render(self, window: Window) -> NDArray[np.uint8]:
        """Pixels `[3, height, width]` of a window."""
        m = MARGIN_PX
        wide = Window(window.row - m, window.col - m, window.height + 2 * m, window.width + 2 * m)
        painted = paint([*self._country.shapes(wide), *self._shapes.within(wide)], wide, n_bands=3, exact=False)
        relief = self._relief(wide, painted.texture)
        light = 1 - (1 - painted.light) * np.array([1.0, 0.95, 0.86], np.float32)[:, None, None]
        image = painted.colour * relief * light
        image = self._haze[:, None, None].astype(np.float32) + image * self._gain[:, None, None].astype(np.float32)
        image = self._clouds.cover(image, wide, bright=np.array([246.0, 247, 248], np.float32))
        image = blur(image, sigma=self._sigma, margin=m)
        grain = white_noise(window, seed=self._seed + 71)
        image = image + np.float32(self._noise) * grain
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def _relief(self, window: Window, texture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Brightness of the surface around 1, `[1 or 3, h, w]`: noise at five scales, as strong as the texture asks."""
        relief = np.ones(texture.shape, np.float32)
        for index, spacing in enumerate(TEXTURE_SPACING_M):
            pixels = spacing / self._pixel_size_m
            seed = self._seed * 31 + 400 + index
            if pixels < 1.5:
                noise = white_noise(window, seed=seed)
            else:
                noise = value_noise(window, spacing=pixels, seed=seed) * np.float32(2.7)
            relief += TEXTURE[texture, index] * noise
        tint = fractal_noise(window, spacing=160 / self._pixel_size_m, octaves=2, seed=self._seed + 55)
        living = np.isin(texture, (1, 2, 9)).astype(np.float32) * np.float32(0.05) * tint
        return np.stack([relief + living, relief, relief + living * np.float32(0.5)])
