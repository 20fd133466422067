"""From a region to one training sample: augmented overview, augmented windows, their targets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from geopdn.config import ModelConfig, TrainingConfig
from geopdn.geometry import boxes as obb
from geopdn.model.streams import pack_overview
from geopdn.model.targets import cell_counts, window_targets
from geopdn.scene import Pixels
from geopdn.train.dates import AWAY_PX, SHOWN, moved, nothing_shown
from geopdn.train.geodata import Region
from geopdn.train.overviews import Reduce, draw_reduction
from geopdn.train.radiance import Radiance, draw_radiance, recoloured

LEVEL_PIXEL_MARGIN = 4
DATES = ("earlier", "known", "days")
NEAR = 0.01  # of a score map's target: so near a labelled object the labels tell, also in ignore regions


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One region, or after `collate` a batch of B of them (then every tensor has a first axis more).

    Attributes:
        overview: `[3C + 2, h, w]` input of the global stream.
        cell_valid: `[1, h/4, w/4]` 1 where a saliency cell has pixels.
        counts: `[K, h/4, w/4]` true objects a cell.
        windows: `[n, C, s, s]` high-resolution windows.
        heat: `[n, classes, s', s']`, `weight` `[n, s', s']`, `box` `[n, 5, s', s']`: see `WindowTargets`.
        told: `[n, s', s']` 1 where the labels tell what is background, 0 in ignore regions.
        place: `[n, 3]` top row, left column and extent of each window in level-0 pixels of the region.
        level: `[n]` level it was read at.
        objects: `[m, 7]` window, x, y (head positions), size class, level, long and short side (head positions).
        earlier: `[T, 3C + 2, h, w]` overviews of other dates, `known` `[T, h/4, w/4]` and `days` `[T]`: see
            `geopdn.model.temporal.EarlierDates`. T is 0 for models that learn nothing from dates.
    """

    overview: Tensor
    cell_valid: Tensor
    counts: Tensor
    windows: Tensor
    heat: Tensor
    weight: Tensor
    box: Tensor
    told: Tensor
    place: Tensor
    level: Tensor
    objects: Tensor
    earlier: Tensor
    known: Tensor
    days: Tensor


@dataclass(frozen=True, slots=True)
class Symmetry:
    """One of the eight symmetries of a square: an optional transposition, then optional flips."""

    transpose: bool
    flip_rows: bool
    flip_cols: bool

    def on_tensor(self, x: Tensor) -> Tensor:
        """Applied to the last two axes."""
        x = x.transpose(-1, -2) if self.transpose else x
        axes = [axis for axis, flip in ((-2, self.flip_rows), (-1, self.flip_cols)) if flip]
        return x.flip(axes) if axes else x

    def on_boxes(self, boxes: NDArray[np.float64], *, side: float) -> NDArray[np.float64]:
        """Applied to boxes `[N, 5]` in a square of that side."""
        out = boxes.copy()
        if self.transpose:
            out[:, 0], out[:, 1] = boxes[:, 1].copy(), boxes[:, 0].copy()
            out[:, 4] = np.pi / 2 - out[:, 4]
        if self.flip_rows:
            out[:, 1], out[:, 4] = side - out[:, 1], -out[:, 4]
        if self.flip_cols:
            out[:, 0], out[:, 4] = side - out[:, 0], np.pi - out[:, 4]
        return out


def cut_window(
    region: Region,
    *,
    centre: NDArray[np.float64],
    side: int,
    scale: float,
    angle: float,
    level: int,
    reduce: Reduce = F.avg_pool2d,
) -> Tensor:
    """A window of a scene, turned and scaled: `[C, side, side]` stretched values.

    Args:
        region: the scene it is cut from.
        centre: x, y in level-0 pixels of the scene.
        side: tensor pixels.
        scale: level-0 pixels per tensor pixel.
        angle: the window's turn in radians, from +x towards +y.
        level: pixels are brought to this level before anything is interpolated.
        reduce: does so.
    """
    reach = side * scale / 2 * (abs(math.cos(angle)) + abs(math.sin(angle))) + LEVEL_PIXEL_MARGIN * (1 << level)
    step = 1 << level
    row0 = math.floor((centre[1] - reach) / step) * step
    col0 = math.floor((centre[0] - reach) / step) * step
    n = (math.ceil(2 * reach / step) + 1) * step
    values = torch.from_numpy(region.stretch.apply(_padded(region.pixels, row0, col0, n)))[None]  # [1, C, n, n]
    if level:
        values = reduce(values, step)
    m = n // step
    x, y = _positions(centre, side=side, scale=scale, angle=angle)
    place = torch.stack([2 * (x - col0) / (m * step) - 1, 2 * (y - row0) / (m * step) - 1], -1)[None].float()
    return F.grid_sample(values, place, mode="bilinear", align_corners=False)[0]


def _positions(centre: NDArray[np.float64], *, side: int, scale: float, angle: float) -> tuple[Tensor, Tensor]:
    """Where the centres of a turned grid's positions lie in the scene: x and y `[side, side]`, level-0 pixels."""
    t = (torch.arange(side, dtype=torch.float64) + 0.5 - side / 2) * scale
    v, u = torch.meshgrid(t, t, indexing="ij")
    x = centre[0] + u * math.cos(angle) - v * math.sin(angle)
    y = centre[1] + u * math.sin(angle) + v * math.cos(angle)
    return x, y


def told_at(region: Region, x: Tensor, y: Tensor) -> Tensor:
    """1 where the labels tell what is background, 0 in ignore regions, at places in level-0 pixels of the scene."""
    if region.silent is None:
        return torch.ones(x.shape)
    height, width = region.silent.shape
    row, col = (v.floor().long().clamp(0, n - 1).numpy() for v, n in ((y, height), (x, width)))
    return torch.from_numpy(~region.silent[row, col]).float()


def _padded(pixels: Pixels, row: int, col: int, side: int) -> Pixels:
    height, width = pixels.valid.shape
    r0, r1, c0, c1 = max(row, 0), min(row + side, height), max(col, 0), min(col + side, width)
    values = np.zeros((pixels.values.shape[0], side, side), pixels.values.dtype)
    valid = np.zeros((side, side), np.bool_)
    if r1 > r0 and c1 > c0:
        values[:, r0 - row : r1 - row, c0 - col : c1 - col] = pixels.values[:, r0:r1, c0:c1]
        valid[r0 - row : r1 - row, c0 - col : c1 - col] = pixels.valid[r0:r1, c0:c1]
    return Pixels(values, valid)


def sides_along_axes(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Axis-aligned boxes as x, y, width along x, height along y, 0: the target without headings."""
    x0, y0, x1, y1 = obb.bounds(boxes).T
    return np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, np.zeros_like(x0)], 1)


def make_sample(region: Region, *, model: ModelConfig, training: TrainingConfig, rng: np.random.Generator) -> Sample:
    """Augment one region and cut its windows.

    Args:
        region: place, pixels and boxes.
        model: bands, classes, strides.
        training: how windows are drawn and augmented.
        rng: the only source of randomness.
    """
    side_px, window = region.window.height, region.window
    symmetry = Symmetry(*(bool(b) for b in rng.integers(0, 2, 3)))
    radiance = draw_radiance(rng, n_bands=len(model.bands), strength=training.gain)
    local = region.boxes.copy()
    local[:, 0] -= window.col
    local[:, 1] -= window.row
    turned = symmetry.on_boxes(local, side=float(side_px))
    overview, cell_valid = _overview(region, symmetry=symmetry, radiance=radiance, rng=rng)
    cell_px = 4 << model.overview_level
    counts = cell_counts(
        turned, shape=(cell_valid.shape[1], cell_valid.shape[2]), cell_px=cell_px, edges_px=model.size_edges_px
    )
    cell_valid = torch.where(
        torch.from_numpy(counts).sum(0) > 0, cell_valid, cell_valid * _told_cells(region, symmetry)
    )
    cut = [
        _window(region, local, symmetry, radiance, model=model, training=training, rng=rng)
        for _ in range(training.windows)
    ]
    objects = [torch.cat([torch.full((len(c[7]), 1), float(i)), c[7]], 1) for i, c in enumerate(cut)]
    earlier, known, days = _earlier(region, symmetry, model=model, training=training, rng=rng)
    return Sample(
        overview=overview,
        cell_valid=cell_valid,
        counts=torch.from_numpy(counts),
        windows=torch.stack([c[0] for c in cut]),
        heat=torch.stack([c[1] for c in cut]),
        weight=torch.stack([c[2] for c in cut]),
        box=torch.stack([c[3] for c in cut]),
        told=torch.stack([c[4] for c in cut]),
        place=torch.stack([c[5] for c in cut]),
        level=torch.tensor([c[6] for c in cut]),
        objects=torch.cat(objects),
        earlier=earlier,
        known=known,
        days=days,
    )


def _earlier(
    region: Region, symmetry: Symmetry, *, model: ModelConfig, training: TrainingConfig, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One to `SHOWN` of a region's other dates, each in light of its own and a little aside."""
    height, width = region.overview.valid.shape
    n = SHOWN if model.dates else 0
    packed, known, days = nothing_shown(model, height=height, width=width, n=n)
    if not n or not region.others:
        return packed, known, days
    chosen = rng.permutation(len(region.others))[: int(rng.integers(1, SHOWN + 1))]
    for t, index in enumerate(chosen):
        date = region.others[int(index)]
        rows, cols = (int(by) for by in rng.integers(-AWAY_PX, AWAY_PX + 1, 2))
        shown = replace(region, overview=moved(date.overview, rows=rows, cols=cols))
        radiance = draw_radiance(rng, n_bands=len(model.bands), strength=training.gain)
        packed[t], cells = _overview(shown, symmetry=symmetry, radiance=radiance, rng=rng)
        known[t], days[t] = cells[0], date.days
    return packed, known, days


def _overview(
    region: Region, *, symmetry: Symmetry, radiance: Radiance, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    view = region.overview
    known = view.low is not None and view.high is not None and rng.random() < 0.6
    mean, valid = radiance(torch.from_numpy(view.mean))[None], torch.from_numpy(view.valid)[None, None]
    low = radiance(torch.from_numpy(view.low))[None] if known and view.low is not None else None
    high = radiance(torch.from_numpy(view.high))[None] if known and view.high is not None else None
    packed = symmetry.on_tensor(pack_overview(mean, low, high, valid)[0]).contiguous()
    cells = F.max_pool2d(symmetry.on_tensor(valid), 4)[0]
    return packed, (cells > 0).float()


def _told_cells(region: Region, symmetry: Symmetry) -> Tensor:
    """`[1, h/4, w/4]` 0 for cells of the saliency with an ignore region at one of their overview pixels."""
    window, (height, width) = region.window, region.overview.valid.shape
    row = window.row + (torch.arange(height) + 0.5) * window.height / height
    col = window.col + (torch.arange(width) + 0.5) * window.width / width
    y, x = torch.meshgrid(row, col, indexing="ij")
    silent = 1 - symmetry.on_tensor(told_at(region, x, y))
    return 1 - F.max_pool2d(silent[None], 4)


Cut = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, int, Tensor]


def _window(
    region: Region,
    local: NDArray[np.float64],
    symmetry: Symmetry,
    radiance: Radiance,
    *,
    model: ModelConfig,
    training: TrainingConfig,
    rng: np.random.Generator,
) -> Cut:
    side, side_px = training.window_px, region.window.height
    shares = np.asarray(training.level_shares) / sum(training.level_shares)
    level = int(rng.choice(len(shares), p=shares))
    zoom = math.exp(rng.uniform(-1, 1) * math.log(training.zoom))
    scale = (1 << level) * zoom  # level-0 pixels per tensor pixel
    extent = side * scale
    angle = math.radians(rng.uniform(-1, 1) * training.rotation_deg)
    inside = ((local[:, :2] >= 0) & (local[:, :2] < side_px)).all(1)
    if inside.any() and rng.random() < training.object_share:
        anchor = local[rng.choice(np.flatnonzero(inside)), :2] + rng.uniform(-0.45, 0.45, 2) * extent
    else:
        anchor = rng.uniform(0, side_px, 2)
    slack = max(extent / 2, 0.0)
    low, high = min(slack, side_px / 2), max(side_px - slack, side_px / 2)
    centre = np.clip(anchor, low, high)
    scene_centre = centre + np.array([region.window.col, region.window.row])
    reduce = draw_reduction(rng, share=training.other_overviews if level else 0.0)
    pixels = cut_window(region, centre=scene_centre, side=side, scale=scale, angle=angle, level=level, reduce=reduce)
    pixels = symmetry.on_tensor(radiance(pixels))
    noise = abs(rng.normal(0, 0.008))
    pixels = pixels + noise * torch.randn(
        pixels.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**31)))
    )

    offset = local[:, :2] - centre
    cos, sin = math.cos(angle), math.sin(angle)
    boxes = local.copy()
    boxes[:, 0] = (offset[:, 0] * cos + offset[:, 1] * sin) / scale + side / 2
    boxes[:, 1] = (-offset[:, 0] * sin + offset[:, 1] * cos) / scale + side / 2
    boxes[:, 2:4] /= scale
    boxes[:, 4] -= angle
    boxes = symmetry.on_boxes(boxes, side=float(side))
    keep = ((boxes[:, :2] >= 0) & (boxes[:, :2] < side)).all(1)
    boxes, labels = boxes[keep], region.labels[keep]
    if training.recolour:
        pixels = recoloured(pixels, boxes, strength=training.recolour, rng=rng)
    boxes = obb.normalise(boxes) if model.has_heading else sides_along_axes(boxes)
    stride = model.head_stride
    targets = window_targets(boxes, labels, side=side, stride=stride, n_classes=len(model.classes))
    x, y = _positions(scene_centre, side=targets.weight.shape[0], scale=scale * stride, angle=angle)
    told = symmetry.on_tensor(told_at(region, x, y))
    size = np.searchsorted(np.asarray(model.size_edges_px), local[keep][:, 2:4].max(1, initial=0.0), side="right")
    objects = np.column_stack([boxes[:, :2] / stride, size, np.full(len(boxes), level), boxes[:, 2:4] / stride])
    corner = symmetry.on_boxes(np.array([[*centre, 0.0, 0.0, 0.0]]), side=float(side_px))[0, :2] - extent / 2
    place = torch.tensor([corner[1], corner[0], extent], dtype=torch.float32)
    return (
        pixels.contiguous(),
        torch.from_numpy(targets.heat),
        torch.from_numpy(targets.weight),
        torch.from_numpy(targets.box),
        torch.where(torch.from_numpy(targets.heat).amax(0) > NEAR, 1.0, told),
        place,
        level,
        torch.from_numpy(objects).float(),
    )


def collate(samples: list[Sample]) -> Sample:
    """A batch; windows of all regions lie in one axis, `[B * n, ...]`, in the regions' order."""
    n = samples[0].windows.shape[0]
    objects = []
    for i, sample in enumerate(samples):
        shifted = sample.objects.clone()
        shifted[:, 0] += i * n
        objects.append(shifted)
    stack = {
        name: torch.stack([getattr(s, name) for s in samples]) for name in ("overview", "cell_valid", "counts", *DATES)
    }
    flat = {
        name: torch.cat([getattr(s, name) for s in samples])
        for name in ("windows", "heat", "weight", "box", "told", "place", "level")
    }
    return Sample(**stack, **flat, objects=torch.cat(objects))
