"""How weights are stored in a file: small ones exactly, most as float16, the largest as int8. Arrays, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGE = 1 << 17  # elements from which a convolution is stored as int8: half the size, and they bear it best
SCALE = "::scale"
EXACT = ("calibration", "theta")  # parts of names

Arrays = Mapping[str, NDArray[Any]]


def pack(state: Arrays) -> dict[str, NDArray[Any]]:
    """Weights as they are stored.

    A large convolution becomes int8 with a float32 scale for each output channel, `[out]`, under its name with
    `::scale` (symmetric weight-only quantisation, Krishnamoorthi 2018).
    """
    stored: dict[str, NDArray[Any]] = {}
    for key, value in sorted(state.items()):
        plain = np.array(value, order="C")  # what has no axes stays so
        if plain.dtype.kind != "f" or any(part in key for part in EXACT):
            stored[key] = plain
        elif plain.ndim == 4 and plain.size >= LARGE:
            scale = np.maximum(np.abs(plain).max((1, 2, 3)), 1e-12).astype(np.float32) / np.float32(127)
            stored[key] = (plain / scale[:, None, None, None]).round().clip(-127, 127).astype(np.int8)
            stored[key + SCALE] = scale
        else:
            stored[key] = plain.astype(np.float16)
    return stored


def unpack(stored: Arrays) -> dict[str, NDArray[Any]]:
    """The inverse of `pack`, up to rounding; floats as float32."""
    state: dict[str, NDArray[Any]] = {}
    for key, value in stored.items():
        if key.endswith(SCALE):
            continue
        scale = stored.get(key + SCALE)
        if scale is not None and value.ndim == 4 and scale.shape == value.shape[:1]:
            state[key] = value.astype(np.float32) * scale.astype(np.float32)[:, None, None, None]
        else:
            state[key] = value.astype(np.float32) if value.dtype.kind == "f" else value
    return state
