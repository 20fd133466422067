"""Clouds and their shadows over a simulated scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry.window import Size, Window
from geopdn.scene.simulated_noise import Field, fractal_noise

_SAMPLES = 64  # a side, to find the density that covers the share


class Clouds:
    """Cloud cover as a function of the pixel; nothing at a share of 0.

    Args:
        size: the scene.
        share: share of its area under clouds, 0 to 0.9.
        seed: selects the clouds.
        spacing: size of the largest clouds in pixels.
        shadow: where the shadow falls from its cloud, pixels (rows, columns).
    """

    def __init__(self, size: Size, *, share: float, seed: int, spacing: float, shadow: tuple[int, int]) -> None:
        self._seed, self._spacing, self._shadow, self._share = seed + 900, spacing, shadow, share
        if share > 0:
            every = max(1, min(size.height, size.width) // _SAMPLES)
            samples = self._noise(Window(0, 0, size.height, size.width), every=every)
            self._level = float(np.quantile(samples, 1 - min(share, 0.9)))

    def _noise(self, window: Window, *, every: int = 1) -> Field:
        return fractal_noise(window, spacing=self._spacing, octaves=6, seed=self._seed, gain=0.55, every=every)

    def density(self, window: Window) -> Field:
        """How much of each pixel clouds hide, 0 to 1, `[h, w]`."""
        if self._share <= 0:
            return np.zeros((window.height, window.width), np.float32)
        dense: Field = np.clip(
            (self._noise(window) - np.float32(self._level)) * np.float32(2.2) + np.float32(0.25), 0, 1
        )
        return dense

    def cover(self, image: NDArray[np.float32], window: Window, *, bright: NDArray[np.float32]) -> NDArray[np.float32]:
        """An image `[C, h, w]` with clouds of `bright` values `[C]` and their shadows over it."""
        if self._share <= 0:
            return image
        moved = Window(window.row - self._shadow[0], window.col - self._shadow[1], window.height, window.width)
        image = image * (np.float32(1) - np.float32(0.55) * self.density(moved))
        dense = self.density(window)
        tone = np.float32(0.82) + np.float32(0.18) * dense
        clouded: NDArray[np.float32] = image * (np.float32(1) - dense) + bright[:, None, None] * tone * dense
        return clouded
