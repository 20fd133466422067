"""How tensors are stored in a weights file: small ones exactly, most as float16, the largest as int8."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

LARGE = 1 << 17  # elements from which a convolution is stored as int8: half the size, and they bear it best
SCALE = "::scale"
EXACT = ("calibration", "theta")  # parts of names


def pack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as they are stored.

    A large convolution becomes int8 with a float32 scale for each output channel, `[out]`, under its name with
    `::scale` (symmetric weight-only quantisation, Krishnamoorthi 2018).
    """
    stored = {}
    for key, value in sorted(state.items()):
        plain = value.detach().cpu().contiguous()
        if not plain.is_floating_point() or any(part in key for part in EXACT):
            stored[key] = plain
        elif plain.ndim == 4 and plain.numel() >= LARGE:
            scale = plain.abs().amax((1, 2, 3)).clamp_min(1e-12).float() / 127
            stored[key] = (plain / scale[:, None, None, None]).round().clamp(-127, 127).to(torch.int8)
            stored[key + SCALE] = scale
        else:
            stored[key] = plain.half()
    return stored


def unpack(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `pack`, up to rounding; floats as float32."""
    state = {}
    for key, value in stored.items():
        if key.endswith(SCALE):
            continue
        scale = stored.get(key + SCALE)
        if scale is not None and value.ndim == 4 and scale.shape == value.shape[:1]:
            state[key] = value.float() * scale.float()[:, None, None, None]
        else:
            state[key] = value.float() if value.is_floating_point() else value
    return state
