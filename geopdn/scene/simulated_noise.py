"""Noise that is a pure function of whole pixel coordinates and a seed, so that any tile meets its neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geopdn.geometry.window import Window

Field = NDArray[np.float32]

_OCTAVE_RATIO = 2.17  # not a whole number: the lattices of octaves never coincide


def hashed(rows: NDArray[np.int64], cols: NDArray[np.int64], seed: int) -> NDArray[np.uint32]:
    """A well-mixed 32-bit number for every pair of integer coordinates (broadcast), the same on every machine."""
    mixed = (
        rows.astype(np.uint32) * np.uint32(0x9E3779B1)
        ^ cols.astype(np.uint32) * np.uint32(0x85EBCA77)
        ^ np.uint32(seed * 0xC2B2AE3D & 0xFFFFFFFF)
    )
    for multiplier, shift in ((0x7FEB352D, 16), (0x846CA68B, 15)):
        mixed ^= mixed >> np.uint32(shift)
        mixed *= np.uint32(multiplier)
    mixed ^= mixed >> np.uint32(16)
    return mixed


def value_noise(window: Window, *, spacing: tuple[float, float] | float, seed: int, every: int = 1) -> Field:
    """Smooth noise in [-1, 1] (standard deviation about 0.37) on the pixels of a window.

    Args:
        window: pixels to fill; may reach outside the scene.
        spacing: distance of the lattice's knots in pixels, or (along rows, along columns).
        seed: selects the noise field.
        every: take only every so many rows and columns, from the window's first on.

    Returns:
        `[height, width]` where `every` is 1; a pixel's value does not depend on the window it is read in.
    """
    per_row, per_col = spacing if isinstance(spacing, tuple) else (spacing, spacing)
    row_knot, row_weight = _knots(np.arange(window.row, window.row_stop, every), per_row, seed)
    col_knot, col_weight = _knots(np.arange(window.col, window.col_stop, every), per_col, seed + 1)
    knot_rows = np.unique([row_knot, row_knot + 1])  # those that are needed, ascending
    knot_cols = np.unique([col_knot, col_knot + 1])
    numbers = hashed(knot_rows[:, None], knot_cols[None, :], seed).astype(np.float32)
    lattice: Field = numbers * np.float32(2.0**-31) - np.float32(1)
    left = np.searchsorted(knot_cols, col_knot)
    across = lattice[:, left] + (lattice[:, left + 1] - lattice[:, left]) * col_weight  # [knots, width]
    top = np.searchsorted(knot_rows, row_knot)
    upper = across[top]
    out: Field = upper + (across[top + 1] - upper) * row_weight[:, None]
    return out


def _knots(pixels: NDArray[np.int64], spacing: float, seed: int) -> tuple[NDArray[np.int64], Field]:
    """Lower knot and smooth weight of the upper one, at the centres of pixels."""
    shift = (seed * 0.6180339887) % 1.0 * 64
    position = (pixels + 0.5) / spacing + shift
    knot = np.floor(position)
    part = position - knot
    return knot.astype(np.int64), (part * part * (3 - 2 * part)).astype(np.float32)


def fractal_noise(
    window: Window, *, spacing: float, octaves: int, seed: int, gain: float = 0.5, every: int = 1
) -> Field:
    """Sum of octaves of value noise from coarse (`spacing` pixels) to fine, scaled to about unit deviation."""
    weights = [gain**octave for octave in range(octaves)]
    total = np.float32(weights[0]) * value_noise(window, spacing=spacing, seed=seed, every=every)
    for octave, weight in enumerate(weights[1:], 1):
        finer = value_noise(window, spacing=spacing / _OCTAVE_RATIO**octave, seed=seed + 101 * octave, every=every)
        total += np.float32(weight) * finer
    out: Field = total * np.float32(1 / (0.37 * sum(weight**2 for weight in weights) ** 0.5))
    return out


def white_noise(window: Window, *, seed: int) -> Field:
    """Independent, nearly normal noise of unit deviation on every pixel of a window (sum of four bytes)."""
    bits = hashed(
        np.arange(window.row, window.row_stop)[:, None], np.arange(window.col, window.col_stop)[None, :], seed
    )
    byte = np.uint32(255)
    total = (bits & byte) + (bits >> np.uint32(8) & byte) + (bits >> np.uint32(16) & byte) + (bits >> np.uint32(24))
    out: Field = (total.astype(np.float32) - np.float32(510)) * np.float32(1 / 147.8)
    return out


def blur(image: Field, *, sigma: float, margin: int) -> Field:
    """Gaussian blur over the last two axes, which lose `margin` pixels (3 sigma or more to be exact) at both ends."""
    offsets = np.arange(-margin, margin + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (-2, -1):
        inside = image.shape[axis] - 2 * margin
        cuts = [slice(k, k + inside) for k in range(2 * margin + 1)]
        parts = [image[..., cut, :] if axis == -2 else image[..., cut] for cut in cuts]
        total = kernel[margin] * parts[margin]
        for step in range(1, margin + 1):
            total += kernel[margin + step] * (parts[margin + step] + parts[margin - step])
        image = total
    return image
