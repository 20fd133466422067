"""Augmentation of values: other light and sensors for a whole region, other colours for its objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RECOLOURED = 0.5  # share of the objects


@dataclass(frozen=True, slots=True, eq=False)
class Radiance:
    """A change of light and sensor, the same for a region's overview and windows: `(x ** gamma) * gain + offset`."""

    gain: Tensor  # [C, 1, 1]
    offset: Tensor  # [C, 1, 1]
    gamma: float

    def __call__(self, x: Tensor) -> Tensor:
        """Applied to `[..., C, h, w]` in about [0, 1]; increasing, so minima stay minima."""
        return (x.clamp_min(0) ** self.gamma * self.gain + self.offset).clamp(0, 1.5)


def draw_radiance(rng: np.random.Generator, *, n_bands: int, strength: float) -> Radiance:
    """A random change; `strength` 0.2 means about 20 % of gain for all bands together and 7 % for each apart."""
    common, apart = rng.normal(0, strength, 1), rng.normal(0, strength / 3, n_bands)
    gain = np.exp(np.clip(common + apart, -0.8, 0.8))
    offset = rng.normal(0, strength / 10, 1) + rng.normal(0, strength / 20, n_bands)
    gamma = float(np.exp(np.clip(rng.normal(0, strength), -0.6, 0.6)))
    return Radiance(gain=_column(gain), offset=_column(offset), gamma=gamma)


def recoloured(pixels: Tensor, boxes: NDArray[np.float64], *, strength: float, rng: np.random.Generator) -> Tensor:
    """Half of the objects in other colours: few labelled ones show few of the colours that there are.

    Args:
        pixels: `[C, h, w]` a window's values.
        boxes: `[N, 5]` its objects, in pixels of the window.
        strength: of each band's factor: 0.3 means about 30 %.
        rng: source of randomness.
    """
    _, h, w = pixels.shape
    out = pixels.clone()
    for x, y, length, width, angle in boxes:
        if rng.random() >= RECOLOURED:
            continue
        factor = _column(np.exp(np.clip(rng.normal(0, strength, len(pixels)), -1, 1)))
        v, u = torch.meshgrid(torch.arange(h) + 0.5 - y, torch.arange(w) + 0.5 - x, indexing="ij")
        along = (u * np.cos(angle) + v * np.sin(angle)).abs()
        across = (v * np.cos(angle) - u * np.sin(angle)).abs()
        inside = (length / 2 - along + 0.5).clamp(0, 1) * (width / 2 - across + 0.5).clamp(0, 1)
        out = out * (1 + inside.float() * (factor - 1))
    return out


def _column(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))[:, None, None]
