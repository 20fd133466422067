"""The parts of a network that can stand alone: its streams, fusion, and a detector of one window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopdn.errors import ConfigError
from geopdn.model.head import N_REGRESSION, agreed, box_values
from geopdn.model.means import means_stream
from geopdn.model.padding import with_fixed_padding
from geopdn.model.streams import CELL_STRIDE, GRID_STRIDE, GlobalFeatures, overview_channels, pack_overview

if TYPE_CHECKING:
    from geopdn.model.backbones import Backbone
    from geopdn.model.patchdrivenet import PatchDriveNet

PARTS = ("global", "highres", "fusion", "detector")
UPPER = 1.5
"""Stretched values are kept below this, as `geopdn.scene.radiometry` keeps them."""
N_TOKENS = 16  # of a window

Shape = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A part of a network, ready to be traced.

    Attributes:
        module: takes the inputs in their order, returns the outputs in theirs.
        inputs: names of the inputs, with examples to trace.
        open_sizes: of each input, the axes whose size is open.
        outputs: names of the outputs, with their sizes; a text is one that follows the inputs'.
        others: inputs of other sizes where sizes are open, with random values, to compare on.
        has_heading: of the boxes that come out; None where none do.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    open_sizes: Sequence[Mapping[int, Any]]
    outputs: Mapping[str, Shape]
    others: Mapping[str, Tensor]
    has_heading: bool | None = None


class _Global(nn.Module):
    def __init__(self, net: PatchDriveNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, overview: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, saliency = self.net.look(overview)
        return saliency.rate, saliency.dispersion, features.grid


class _Overview(nn.Module):
    def __init__(self, stream: nn.Module, saliency: nn.Module) -> None:
        super().__init__()
        self.stream, self.saliency = stream, saliency

    def forward(self, mean: Tensor, low: Tensor, high: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        features: GlobalFeatures = self.stream(pack_overview(mean, low, high, valid))
        return self.saliency(features.cells).rate, features.grid


class _Means(nn.Module):
    def __init__(self, stream: nn.Module, saliency: nn.Module) -> None:
        super().__init__()
        self.stream, self.saliency = stream, saliency

    def forward(self, mean: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        features: GlobalFeatures = self.stream(torch.cat([mean * valid, valid], 1))
        return self.saliency(features.cells).rate, features.grid


class _HighRes(nn.Module):
    def __init__(self, net: PatchDriveNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, windows: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        features, maps = self.net.inspect(windows, context)
        return maps.logits, maps.regression, features.tokens, features.pooled


class _Fusion(nn.Module):
    def __init__(self, net: PatchDriveNet) -> None:
        super().__init__()
        self.fusion = net.fusion

    def forward(self, grid: Tensor, tokens: Tensor, places: Tensor) -> Tensor:
        out: Tensor = self.fusion(grid, tokens, places)
        return out


class _Detector(nn.Module):
    """One window in, a box for every position out; scores are calibrated, and 0 where there is no peak.

    Upright `[1, n, 5 + classes]`: x, y, width, height, the best score, each class's share of it (YOLOv5's layout, in
    which some programs read the fifth number alone as the score and others its product with the class's). Oriented
    `[1, 4 + classes + 1, n]`: x, y, length, width, class scores, angle (Ultralytics's).
    """

    def __init__(self, net: PatchDriveNet) -> None:
        super().__init__()
        self.net, self.level = net, net.config.kinds[0].level

    def forward(self, images: Tensor) -> Tensor:
        _, maps = self.net.inspect(images.clamp(0.0, UPPER), None)
        h, w = maps.logits.shape[-2:]
        peak = maps.logits == F.max_pool2d(maps.logits, 3, 1, 1)
        score = self.net.score_curves.of_logits(maps.logits, level=self.level) * peak  # [1, classes, h, w]
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        boxes = box_values(
            agreed(maps).permute(0, 2, 3, 1),
            x,
            y,
            stride=self.net.head_stride,
            has_heading=self.net.config.has_heading,
        ).flatten(1, 2)  # [1, h * w, 5]
        classes = score.permute(0, 2, 3, 1).flatten(1, 2)  # [1, h * w, classes]
        if self.net.config.has_heading:
            return torch.cat([boxes[..., :4], classes, boxes[..., 4:]], -1).transpose(1, 2)
        best = classes.amax(-1, keepdim=True)
        return torch.cat([boxes[..., :4], best, classes / best.clamp_min(1e-9)], -1)


def part_of(net: PatchDriveNet, name: str) -> Part:
    """A part of a network, by its name.

    - `global`: overview `[n, 3C + 2, H, W]` (see `pack_overview`), sides multiples of its backbone's coarsest stride
      -> expected counts `[n, K, H/4, W/4]`, their dispersion `[n, 1, H/4, W/4]`, global grid `[n, G, H/16, W/16]`.
    - `highres`: windows `[n, C, s, s]` of stretched values, s a multiple of four times the coarsest stride, and grid
      vectors `[n, G]` (zeros: no context) -> logits `[n, classes, s/stride, s/stride]`, regression `[n, 6, ...]` (see
      `HeadMaps`), tokens `[n, 16, D]`, their mean `[n, D]`.
    - `overview`: mean, minimum, maximum `[1, C, H, W]` and valid share `[1, 1, H, W]` of the overview (see
      `pack_overview`), sides likewise -> expected counts `[1, K, H/4, W/4]`, global grid `[1, G, H/16, W/16]`.
    - `means`: the same of mean and valid share alone. Not for every backbone.
    - `fusion`: grid `[1, G, h, w]`, tokens `[1, m, D]`, places `[1, m, 3]` (see `Fusion`) -> the fused grid.
    - `detector`: one window `[1, C, t, t]` of the model's first kind, of stretched values -> boxes with scores, without
      the global stream.

    Args:
        net: in evaluation mode, on the CPU.
        name: one of `PARTS` or of `geopdn.model.graph.RUN_PARTS`.

    Raises:
        ConfigError: an unknown name, or a backbone that has no such part.
    """
    makers = {
        "global": _global,
        "highres": _highres,
        "overview": _overview,
        "means": _means,
        "fusion": _fusion,
        "detector": _detector,
    }
    if name not in makers:
        raise ConfigError(f"{name!r} is no part of a model: expected one of {', '.join(PARTS)}")
    return makers[name](net, torch.Generator().manual_seed(0))


def run_module(net: PatchDriveNet, name: str) -> nn.Module:
    """The module of a part that searches run: what names its weights. Open sizes take half a second to import.

    Raises:
        ConfigError: the backbone has no such part.
    """
    if name == "highres":
        return _HighRes(with_fixed_padding(net))
    if name == "fusion":
        return _Fusion(net)
    if name == "overview":
        return _Overview(with_fixed_padding(net.global_stream), net.saliency_head)
    stream = means_stream(net.global_stream, n_bands=len(net.config.bands))
    if stream is None:
        raise ConfigError(f"the backbone {net.config.global_backbone} does not begin with a convolution of its input")
    return _Means(with_fixed_padding(stream.module), net.saliency_head)


def _global(net: PatchDriveNet, random: torch.Generator) -> Part:
    step = max(cast("Backbone", net.global_stream.backbone).strides)
    channels, n_sizes = overview_channels(len(net.config.bands)), net.config.n_size_classes
    cells, grid = (
        tuple(_times(step // stride, name) for name in ("rows", "cols")) for stride in (CELL_STRIDE, GRID_STRIDE)
    )
    return Part(
        module=_Global(with_fixed_padding(net)),
        inputs={"overview": torch.zeros(2, channels, 4 * step, 5 * step)},
        open_sizes=[{0: _n(), 2: step * _size("rows"), 3: step * _size("cols")}],
        outputs={
            "rate": ("n", n_sizes, *cells),
            "dispersion": ("n", 1, *cells),
            "grid": ("n", net.config.grid, *grid),
        },
        others={"overview": torch.rand(3, channels, 7 * step, 3 * step, generator=random)},
    )


def _overview(net: PatchDriveNet, random: torch.Generator) -> Part:
    return _planes(net, "overview", ("mean", "low", "high", "valid"), random)


def _means(net: PatchDriveNet, random: torch.Generator) -> Part:
    return _planes(net, "means", ("mean", "valid"), random)


def _planes(net: PatchDriveNet, name: str, planes: Sequence[str], random: torch.Generator) -> Part:
    """A part that takes the overview as it is read."""
    step, n_bands = max(cast("Backbone", net.global_stream.backbone).strides), len(net.config.bands)
    cells, grid = (
        tuple(_times(step // stride, size) for size in ("rows", "cols")) for stride in (CELL_STRIDE, GRID_STRIDE)
    )
    rows, cols = step * _size("rows"), step * _size("cols")
    channels = {plane: 1 if plane == "valid" else n_bands for plane in planes}
    return Part(
        module=run_module(net, name),
        inputs={plane: torch.zeros(1, n, 4 * step, 5 * step) for plane, n in channels.items()},
        open_sizes=[{2: rows, 3: cols} for _ in planes],
        outputs={"rate": (1, net.config.n_size_classes, *cells), "grid": (1, net.config.grid, *grid)},
        others={plane: torch.rand(1, n, 7 * step, 3 * step, generator=random) for plane, n in channels.items()},
    )


def _highres(net: PatchDriveNet, random: torch.Generator) -> Part:
    config, step = net.config, 4 * max(cast("Backbone", net.highres_stream.backbone).strides)
    bands, side, n = len(config.bands), step * _size("side"), _n()
    position = _times(step // config.head_stride, "side")
    return Part(
        module=run_module(net, "highres"),
        inputs={"windows": torch.zeros(2, bands, 2 * step, 2 * step), "context": torch.zeros(2, config.grid)},
        open_sizes=[{0: n, 2: side, 3: side}, {0: n}],
        outputs={
            "logits": ("n", len(config.classes), position, position),
            "regression": ("n", N_REGRESSION, position, position),
            "tokens": ("n", N_TOKENS, config.dim),
            "pooled": ("n", config.dim),
        },
        others={
            "windows": torch.rand(3, bands, 3 * step, 3 * step, generator=random),
            "context": torch.randn(3, config.grid, generator=random),
        },
    )


def _fusion(net: PatchDriveNet, random: torch.Generator) -> Part:
    config, n_tokens = net.config, _size("tokens")

    def inputs(n: int, h: int, w: int) -> dict[str, Tensor]:
        return {
            "grid": torch.randn(1, config.grid, h, w, generator=random),
            "tokens": torch.randn(1, n, config.dim, generator=random),
            "places": torch.rand(1, n, 3, generator=random) * torch.tensor([w, h, 4.0]),
        }

    return Part(
        module=_Fusion(net),
        inputs=inputs(2 * N_TOKENS, 16, 12),
        open_sizes=[{2: _size("rows"), 3: _size("cols")}, {1: n_tokens}, {1: n_tokens}],
        outputs={"fused": (1, config.grid, "rows", "cols")},
        others=inputs(3 * N_TOKENS, 9, 17),
    )


def _detector(net: PatchDriveNet, random: torch.Generator) -> Part:
    config, tile = net.config, net.config.kinds[0].tensor
    shape, n, values = (1, len(config.bands), tile, tile), (tile // config.head_stride) ** 2, 5 + len(config.classes)
    return Part(
        module=_Detector(net),
        inputs={"images": torch.zeros(shape)},
        open_sizes=[{}],
        outputs={"output": (1, values, n) if config.has_heading else (1, n, values)},
        others={"images": torch.rand(shape, generator=random)},
        has_heading=config.has_heading,
    )


def _times(factor: int, name: str) -> str:
    return name if factor == 1 else f"{factor}*{name}"


def _n() -> Any:
    return torch.export.Dim("n", min=1, max=4096)


def _size(name: str) -> Any:
    return torch.export.Dim(name, min=2, max=4096)
