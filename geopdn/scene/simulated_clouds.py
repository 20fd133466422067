"""Clouds and their shadows over a simulated scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry.window import Size, Window
from geopdn.scene.simulated_noise import Field, fractal_noise

_SAMPLE_PX = 96


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
            samples = [
                self._noise(Window(row, col, 1, 1))[0, 0]
                for row in np.linspace(0, size.height - 1, _SAMPLE_PX // 2).astype(int).tolist()
                for col in np.linspace(0, size.width - 1, _SAMPLE_PX // 2).astype(int).tolist()
            ]
            self._level = float(np.quantile(samples, 1 - min(share, 0.9)))

    def _noise(self, window: Window) -> Field:
        return fractal_noise(window, spacing=self._spacing, octaves=6, seed=self._seed, gain=0.55)

    def density(self, window: Window) -> Field:
        """How much of each pixel clouds hide, 0 to 1, `[h, w]`."""
        if self._share <= 0:
            return np.zeros((window.height, window.width), np.float32)
        dense: Field = np.clip((self._noise(window) - np.float32(self._level)) * 2.2 + 0.25, 0, 1).astype(np.float32)
        return dense

    def cover(self, image: NDArray[np.float32], window: Window, *, bright: NDArray[np.float32]) -> NDArray[np.float32]:
        """An image `[C, h, w]` with clouds of `bright` values `[C]` and their shadows over it."""
        if self._share <= 0:
            return image
        moved = Window(window.row - self._shadow[0], window.col - self._shadow[1], window.height, window.width)
        image = image * (1 - np.float32(0.55) * self.density(moved))
        dense = self.density(window)
        tone = 0.82 + 0.18 * np.clip(dense, 0, 1)
        clouded: NDArray[np.float32] = image * (1 - dense) + bright[:, None, None] * tone * dense
        return clouded
