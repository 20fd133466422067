"""Augmentation of coarse windows: pixels as the overviews of other programs' files hold them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

Reduce = Callable[[Tensor, int], Tensor]
"""Makes `[1, C, n / step, n / step]` of `[1, C, n, n]`."""
LOSSY = 0.6  # share of the changed windows of three bands that are compressed as JPEG too
QUALITY = (55, 96)


def draw_reduction(rng: np.random.Generator, *, share: float) -> Reduce:
    """How one window becomes coarser: by means, or for a share of the windows as overviews are also made.

    GDAL's COG driver resamples them by cubic convolution, gdaladdo by the nearest pixel, unless told otherwise, and
    both compress them like the scene.

    Args:
        rng: source of randomness.
        share: of the windows that are not plain means.
    """
    if not share or rng.random() >= share:
        return F.avg_pool2d
    method = str(rng.choice(("cubic", "cubic", "linear", "nearest", "mean")))
    quality = int(rng.integers(*QUALITY)) if rng.random() < LOSSY else None
    return partial(_reduced, method=method, quality=quality)


def _reduced(values: Tensor, step: int, *, method: str, quality: int | None) -> Tensor:
    if method == "nearest":
        coarse = values[..., step // 2 :: step, step // 2 :: step]
    elif method == "mean":
        coarse = F.avg_pool2d(values, step)
    else:
        side = (values.shape[-2] // step, values.shape[-1] // step)
        mode = "bicubic" if method == "cubic" else "bilinear"
        coarse = F.interpolate(values, side, mode=mode, align_corners=False, antialias=True).clamp_min(0)
    return coarse if quality is None or coarse.shape[1] != 3 else _compressed(coarse, quality)


def _compressed(values: Tensor, quality: int) -> Tensor:
    """What JPEG leaves of `[1, 3, h, w]` in [0, 1]."""
    image = (values[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(file), np.float32) / 255
    return torch.from_numpy(decoded).permute(2, 0, 1)[None].contiguous()
