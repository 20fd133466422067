"""From the sizes of the objects to windows, levels and training: every choice with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geopdn.config import WindowKind

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Objects this long in a window's own pixels are well seen by the high-resolution stream: aircraft of 40 px and more are
# found as well at half resolution (configs/aircraft-50cm.yaml).
WELL_SEEN_PX = 20.0
# Pixels of the overview's mean that an object needs to be expected at 1/8 (`geopdn prepare` halves it).
EXPECTED_PX = 16.0
# Under this length or width the head needs a position every 2 px (configs/vessels-sentinel2.yaml).
FINE_HEAD_LENGTH_PX, FINE_HEAD_WIDTH_PX = 12.0, 6.0
# Under this width an error of two pixels costs half of the overlap (IoU).
NARROW_PX = 8.0
# Sides of training regions at overviews of 1/4 and of 1/8, as in the configurations that ship.
SMALL_REGION_PX, LARGE_REGION_PX = 512, 2048
MOST_LEVEL = 4
MOST_HALO = 1024  # what `WindowKind` accepts
TENSOR_PX = 512
SHARES = {1: (1.0,), 2: (0.65, 0.35), 3: (0.5, 0.3, 0.2), 4: (0.4, 0.3, 0.2, 0.1), 5: (0.3, 0.25, 0.2, 0.15, 0.1)}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the objects in pixels of the model: nine in ten are longer than `short`, one in twenty than `long`.

    Attributes:
        short: tenth percentile of the lengths.
        lower: first tercile.
        middle: median.
        upper: second tercile.
        long: 95th percentile.
        width: median of the widths.
    """

    short: float
    lower: float
    middle: float
    upper: float
    long: float
    width: float

    @classmethod
    def of(cls, sides_px: NDArray[np.float64]) -> Sizes:
        """The sizes of objects `[N, 2]` (length, width) in pixels, N at least 1."""
        short, lower, middle, upper, long = np.percentile(sides_px[:, 0], [10, 100 / 3, 50, 200 / 3, 95]).tolist()
        return cls(short, lower, middle, upper, long, width=float(np.median(sides_px[:, 1])))


@dataclass(frozen=True, slots=True)
class Recipe:
    """Values of the sections `model` and `training` that depend on the objects' sizes, and why.

    Attributes:
        global_scale: see `ModelConfig`, as the following ones.
        size_edges_px: limits of the size classes.
        kinds: kinds of windows.
        head_stride: window pixels per position of the head.
        neck: channels of the feature pyramid.
        match_iou: see `TrainConfig`.
        region_px: see `TrainingConfig`, as the following ones.
        window_px: side of the training windows.
        level_shares: share of the windows at each level.
        steps: optimiser steps.
        reasons: by the name of the value, one sentence each.
    """

    global_scale: float
    size_edges_px: tuple[float, ...]
    kinds: tuple[WindowKind, ...]
    head_stride: int
    neck: int
    match_iou: float
    region_px: int
    window_px: int
    level_shares: tuple[float, ...]
    steps: int
    reasons: dict[str, str]


def propose(sizes: Sizes, *, scene_px: float, n_objects: int) -> Recipe:
    """Choose by the sizes.

    Args:
        sizes: of the objects to learn.
        scene_px: middle of the scenes' shorter sides, in pixels of the model.
        n_objects: objects to learn from.
    """
    fine, coarse = levels(sizes)
    small = overview_scale(sizes) > 1 / 8
    is_fine_head = sizes.short < FINE_HEAD_LENGTH_PX or sizes.width < FINE_HEAD_WIDTH_PX
    largest = sizes.long / 2**fine
    window = min(320, max(192, math.ceil(4 * largest / 32) * 32))
    most = SMALL_REGION_PX if small else LARGE_REGION_PX
    region = min(most, max(512, math.ceil(0.98 * scene_px / 256) * 256))
    shares = (0.0,) * fine + SHARES[coarse - fine + 1]
    is_narrow = sizes.width < NARROW_PX
    steps = 2000 if is_fine_head else 1200
    known, minutes = ("vessels-sentinel2", 41) if is_fine_head else ("aircraft-50cm", 53)
    reasons = {
        "global_scale": _overview_reason(sizes, small=small),
        "size_edges_px": f"thirds of the objects: a third is shorter than {sizes.lower:.0f} px, one longer than "
        f"{sizes.upper:.0f} px; how well each kind of window finds them is learnt for each",
        "kinds": _kinds_reason(sizes, fine, coarse),
        "head_stride": f"half of the objects are narrower than {sizes.width:.0f} px, one in ten shorter than "
        f"{sizes.short:.0f} px: "
        + ("a position every 2 px tells them apart" if is_fine_head else "every 4 px will do"),
        "neck": "half of the default: at stride 2 a position costs four times as much"
        if is_fine_head
        else "at 64, neck and head at stride 4 would cost as much as the whole backbone",
        "match_iou": f"half of the objects are narrower than {sizes.width:.0f} px: two pixels off halve the overlap"
        if is_narrow
        else "the usual overlap",
        "region_px": f"{region * overview_scale(sizes):.0f} px of the overview",
        "window_px": f"four times the long objects ({largest:.0f} px at level {fine}), within 192 and 320 px",
        "level_shares": "levels of the windows above, most at the finest",
        "steps": f"for {n_objects} objects; {known} took as many in {minutes} minutes on two cores",
    }
    return Recipe(
        global_scale=overview_scale(sizes),
        size_edges_px=_edges(sizes),
        kinds=window_kinds(sizes, fine, coarse),
        head_stride=2 if is_fine_head else 4,
        neck=32 if is_fine_head else 48,
        match_iou=0.3 if is_narrow else 0.5,
        region_px=region,
        window_px=window,
        level_shares=shares,
        steps=steps,
        reasons=reasons,
    )


def overview_scale(sizes: Sizes) -> float:
    """Pixels of the overview per pixel of the scene at which short objects can still be expected."""
    return 0.25 if sizes.short < EXPECTED_PX else 0.125


def levels(sizes: Sizes) -> tuple[int, int]:
    """The finest level, at which short objects are well seen, and the coarsest, at which middling ones still are.

    The coarsest is at least the level at which half of a window holds a long object.
    """
    fine = min(MOST_LEVEL, max(0, math.floor(math.log2(sizes.short / WELL_SEEN_PX))))
    seen = math.floor(math.log2(sizes.middle / WELL_SEEN_PX))
    held = math.ceil(math.log2(2 * sizes.long / TENSOR_PX))
    return fine, min(MOST_LEVEL, max(fine, min(seen, fine + 1), held))


def window_kinds(sizes: Sizes, fine: int, coarse: int) -> tuple[WindowKind, ...]:
    """Windows of 512 tensor pixels at every level, and of 256 at the finest; the first is that of the dense path."""
    kinds = []
    for level, tensor in [
        (fine, TENSOR_PX),
        (fine, TENSOR_PX // 2),
        *((k, TENSOR_PX) for k in range(fine + 1, coarse + 1)),
    ]:
        step = 32 << level if tensor == TENSOR_PX else 16 << level
        halo = min(max(step, math.ceil(sizes.long / 2 / step) * step), (tensor << level) // 4, MOST_HALO)
        kinds.append(WindowKind(extent=tensor << level, level=level, halo=halo))
    return tuple(kinds)


def _edges(sizes: Sizes) -> tuple[float, float]:
    """The terciles, apart by half at least: objects all of one size fall into the class between."""
    low, high = sizes.lower, sizes.upper
    if high < 1.5 * low:
        low, high = sizes.middle / 1.25, sizes.middle * 1.25
    return float(f"{low:.2g}"), float(f"{high:.2g}") if high < 100 else float(f"{high:.3g}")


def _overview_reason(sizes: Sizes, *, small: bool) -> str:
    if small:
        return (
            f"one object in ten is shorter than {sizes.short:.0f} px, too small to be expected from 1/8 of the pixels"
        )
    return f"nine objects in ten are longer than {sizes.short:.0f} px, {sizes.short / 8:.0f} px of the overview"


def _kinds_reason(sizes: Sizes, fine: int, coarse: int) -> str:
    text = (
        f"most objects are {sizes.short:.0f} to {sizes.long:.0f} px long; at level {fine} the short ones still have "
        f"{sizes.short / 2**fine:.0f} px"
    )
    if coarse > fine:
        text += f", at level {coarse} middling ones {sizes.middle / 2**coarse:.0f} px for a quarter of the cost a level"
    return f"{text}; halos hold half of a long object"
