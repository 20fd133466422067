"""PatchDriveNet: four stages, composed. The engine calls them one by one; `forward` runs them on a tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopdn.config import DENSE_SIDE, ModelConfig, RadiometryConfig, WindowKind
from geopdn.model.advice import Told
from geopdn.model.backbones import SLIM, make_backbone
from geopdn.model.controller import DriveAdvice, PatchDriveController, likeness, log_factors
from geopdn.model.decoded import Decoded, decode
from geopdn.model.folded import FOLDABLE, folded
from geopdn.model.fusion import Fusion, sample_grid
from geopdn.model.graph import Graph
from geopdn.model.head import DetectionHead, HeadMaps
from geopdn.model.means import MeansStream, means_stream
from geopdn.model.saliency import PatchPriorities, Saliency, SaliencyHead
from geopdn.model.scores import ScoreCurves
from geopdn.model.select import Selected, select_windows
from geopdn.model.streams import (
    GlobalFeatures,
    GlobalStream,
    HighResStream,
    PatchFeatures,
    overview_channels,
    overview_of,
)
from geopdn.model.strips import in_strips
from geopdn.model.temporal import EarlierDates, TemporalFusion, dates_in_memory
from geopdn.model.views import averaged

Columns = tuple[Tensor, Tensor, Tensor]
"""Boxes, scores and labels."""


@dataclass(frozen=True, slots=True)
class PatchDriveOutput:
    """What `forward` returns for one image of the batch.

    Attributes:
        boxes: `[N, 5]` x, y, length, width, angle in image pixels.
        score: `[N]`, descending within each window.
        label: `[N]`.
        windows: `[n, 3]` top row, left column and kind index of the windows looked at, in order.
        saliency: expected counts before the first window, None on the dense path.
        grid: `[G, h, w]` the fused global grid, None on the dense path.
    """

    boxes: Tensor
    score: Tensor
    label: Tensor
    windows: Tensor
    saliency: Saliency | None
    grid: Tensor | None


class PatchDriveNet(nn.Module):
    """The network of the article, by default in its `nano` size for CPUs.

    Args:
        global_backbone: name of the backbone of the global stream (see `make_backbone`).
        highres_backbone: name of the backbone of the high-resolution stream.
        num_patches: windows that `forward` looks at, at most.
        config: everything else; its backbone names are replaced by the two above where given.

    Raises:
        ConfigError: a backbone name is unknown.
    """

    def __init__(
        self,
        global_backbone: str | None = None,
        highres_backbone: str | None = None,
        num_patches: int = 16,
        *,
        config: ModelConfig | None = None,
    ) -> None:
        super().__init__()
        config = config or rgb_config()
        changes = {"global_backbone": global_backbone, "highres_backbone": highres_backbone}
        config = config.model_copy(update={key: value for key, value in changes.items() if value is not None})
        n_bands = len(config.bands)
        self.config = config
        self.num_patches = num_patches
        self.graphs: dict[str, Graph] = {}  # of parts, for another runtime
        self.means_stream: MeansStream | None = None  # the global stream for overviews of means alone
        self.global_stream = GlobalStream(
            make_backbone(config.global_backbone, n_in=overview_channels(n_bands)),
            width=config.neck,
            grid=config.grid,
            separable=config.global_backbone == SLIM,
        )
        self.saliency_head = SaliencyHead(config.neck, n_sizes=config.n_size_classes)
        self.patch_priorities = PatchPriorities(n_kinds=len(config.kinds), n_sizes=config.n_size_classes)
        self.patch_drive_controller = PatchDriveController(dim=config.dim, grid=config.grid, hidden=config.hidden)
        self.highres_stream = HighResStream(
            make_backbone(config.highres_backbone, n_in=n_bands, finest=config.head_stride),
            neck=config.neck,
            dim=config.dim,
        )
        self.fusion = Fusion(grid=config.grid, dim=config.dim, heads=config.heads)
        self.temporal = TemporalFusion(
            cells=config.neck, grid=config.grid, heads=config.heads, n_sizes=config.n_size_classes
        )
        self.head = DetectionHead(config.neck, n_classes=len(config.classes), context=config.grid)
        self.score_curves = ScoreCurves(1 + max(kind.level for kind in config.kinds))

    @property
    def cell_px(self) -> int:
        """Side of a saliency cell in level-0 pixels."""
        return self.config.cell_px

    @property
    def grid_px(self) -> int:
        """Side of a cell of the global grid in level-0 pixels."""
        return self.config.grid_px

    @property
    def head_stride(self) -> int:
        """Window tensor pixels per position of the head."""
        return self.config.head_stride

    def for_inference(self, device: torch.device | str = "cpu", *, strips: bool = True) -> PatchDriveNet:
        """The network to run, not to train: on a device, batch norms folded into convolutions, channels last.

        Args:
            device: where it runs.
            strips: on a CPU, work on large maps in strips of rows, which no other program can be told (see `export`).
        """
        streams = {
            "global_stream.backbone": (self.config.global_backbone, overview_channels(len(self.config.bands))),
            "highres_stream.backbone": (self.config.highres_backbone, len(self.config.bands)),
        }
        images = {part: n_in for part, (name, n_in) in streams.items() if name not in FOLDABLE}
        ready = folded(self.to(torch.device(device)).eval(), images=images).to(memory_format=torch.channels_last)
        ready = in_strips(ready) if strips and torch.device(device).type == "cpu" else ready
        ready.means_stream = means_stream(ready.global_stream, n_bands=len(self.config.bands))
        return ready

    def look(self, overview: Tensor, earlier: EarlierDates | None = None) -> tuple[GlobalFeatures, Saliency]:
        """Stages 1 and 2: the overview, and those of earlier dates -> features and expected counts.

        Args:
            overview: `[B, 3C + 2, H, W]`, see `pack_overview`; where there is a `means_stream` also `[B, C + 1, H, W]`
                of `pack_means`.
            earlier: other dates.
        """
        means = self.means_stream if overview.shape[1] == len(self.config.bands) + 1 else None
        now = self.global_stream(overview) if means is None else means(overview)
        features = self.temporal(now, earlier, self.global_stream)
        saliency = self.saliency_head(features.cells)
        return features, replace(saliency, rate=self.temporal.calibrated(saliency.rate, earlier))

    def inspect(self, windows: Tensor, context: Tensor | None) -> tuple[PatchFeatures, HeadMaps]:
        """Stage 3 and the head: windows `[n, C, s, s]`, grid vectors `[n, G]` or None -> features, raw maps.

        Maps are those of `config.views` views of each window, features those of the window as it is.
        """
        features, maps = self._one_view(windows, context)
        return features, averaged(windows, self.config.views, lambda x: self._one_view(x, context)[1], first=maps)

    def _one_view(self, windows: Tensor, context: Tensor | None) -> tuple[PatchFeatures, HeadMaps]:
        features = self.highres_stream(windows)
        return features, self.head(features.head, context)

    def find(self, windows: Tensor, context: Tensor | None, *, min_score: float) -> tuple[PatchFeatures, Decoded]:
        """`inspect` and `detect` in one: what a search asks of a batch of windows; scores are the head's own."""
        features, maps = self.inspect(windows, context)
        return features, self.detect(maps, min_score=min_score)

    def detect(self, maps: HeadMaps, *, min_score: float) -> Decoded:
        """Raw maps -> detections in tensor pixels of their windows, with the head's own scores."""
        logits, regression = (values.detach().float().cpu().numpy() for values in (maps.logits, maps.regression))
        return decode(
            logits, regression, stride=self.head_stride, has_heading=self.config.has_heading, min_score=min_score
        )

    def detect_at(self, maps: HeadMaps, level: int, *, min_score: float) -> Decoded:
        """`detect` for windows read at a level, with calibrated scores."""
        curves = self.score_curves.probabilities
        found = self.detect(maps, min_score=curves.least_raw(min_score))
        return curves.rescored(found, np.full(len(maps.logits), level), min_score=min_score)

    def token_places(self, row: Tensor, col: Tensor, extent: Tensor) -> Tensor:
        """Places `[n, 16, 3]` of the 4x4 tokens of windows at level-0 pixels, for `Fusion` (cells, log2 extent)."""
        steps = (torch.arange(4, device=row.device) + 0.5) / 4
        y = (row[:, None] + extent[:, None] * steps) / self.grid_px  # [n, 4]
        x = (col[:, None] + extent[:, None] * steps) / self.grid_px
        scale = torch.log2(extent / 4 / self.grid_px)[:, None].expand(-1, 16)
        return torch.stack(
            [x[:, None, :].expand(-1, 4, -1).flatten(1), y[:, :, None].expand(-1, -1, 4).flatten(1), scale], -1
        )

    @torch.inference_mode()
    def forward(
        self,
        x: Tensor,
        *,
        earlier: Tensor | None = None,
        days: Tensor | None = None,
        missing: Tensor | None = None,
        min_score: float = 0.1,
    ) -> list[PatchDriveOutput]:
        """All four stages on images in memory, no geodata needed.

        Args:
            x: `[B, C, H, W]` stretched to about [0, 1].
            earlier: `[B, T, C, H, W]` the same ground on other dates, stretched alike.
            days: `[B, T]` how long before, None where that is not known.
            missing: `[B, T, H, W]` True where a date shows nothing.
            min_score: lowest score that is kept.

        Returns:
            One output an image. Images under 512 x 512 take the dense path: one window, no saliency.
        """
        b, c, h, w = x.shape
        if c != len(self.config.bands):
            raise ValueError(f"expected {len(self.config.bands)} bands {self.config.bands}, got {c}")
        if h < DENSE_SIDE and w < DENSE_SIDE:
            return [self._dense(x[i : i + 1], min_score=min_score) for i in range(b)]
        if earlier is None:
            return [self._drive(x[i : i + 1], None, min_score=min_score) for i in range(b)]
        dates = dates_in_memory(earlier, days, missing, level=self.config.overview_level)
        return [self._drive(x[i : i + 1], dates.of(i), min_score=min_score) for i in range(b)]

    def _dense(self, x: Tensor, *, min_score: float) -> PatchDriveOutput:
        _, _, h, w = x.shape
        step = 1 << self.config.kinds[0].level
        padded = F.pad(x, (0, -w % (32 * step), 0, -h % (32 * step)))
        _, maps = self.inspect(F.avg_pool2d(padded, step), None)
        found = self.detect_at(maps, self.config.kinds[0].level, min_score=min_score)
        boxes, score, label = _tensors(found, x.device)
        boxes = boxes * boxes.new_tensor([step, step, step, step, 1])
        inside = (boxes[:, 0] < w) & (boxes[:, 1] < h)
        window = torch.zeros(1, 3, dtype=torch.long, device=x.device)
        return PatchDriveOutput(boxes[inside], score[inside], label[inside], window, None, None)

    def _drive(self, x: Tensor, earlier: EarlierDates | None, *, min_score: float, rounds: int = 2) -> PatchDriveOutput:
        _, _, h, w = x.shape
        x = F.pad(x, (0, -w % self.grid_px, 0, -h % self.grid_px))
        valid = torch.zeros_like(x[:, :1])
        valid[:, :, :h, :w] = 1
        features, saliency = self.look(overview_of(x, valid, step=1 << self.config.overview_level), earlier)
        grid, rate, covered = features.grid, saliency.rate[0], torch.zeros_like(saliency.rate[0])
        priorities = self.patch_priorities()
        parts: list[Columns] = []
        looked: list[Selected] = []
        state = None
        for _ in range(rounds):
            n = math.ceil((self.num_patches - len(looked)) / rounds) if not looked else self.num_patches - len(looked)
            chosen, covered = select_windows(
                rate, covered, priorities, self.config.kinds, cell_px=self.cell_px, count=n
            )
            if not chosen:
                break
            row, col, extent = (
                torch.tensor(v, dtype=torch.float32, device=x.device)
                for v in zip(*((s.row, s.col, self.config.kinds[s.kind].extent) for s in chosen), strict=True)
            )
            centre_x, centre_y = (col + extent / 2) / self.grid_px, (row + extent / 2) / self.grid_px
            context = sample_grid(grid[0], centre_x, centre_y)
            pooled, tokens, found_n = [], [], []
            for i, item in enumerate(chosen):
                window = _crop(x, item, self.config.kinds[item.kind])
                patch, maps = self.inspect(window, context[i : i + 1])
                level = self.config.kinds[item.kind].level
                found = _tensors(self.detect_at(maps, level, min_score=min_score), x.device)
                boxes, score, label = self._keep_core(found, item, h, w)
                parts.append((boxes, score, label))
                pooled.append(patch.pooled)
                tokens.append(patch.tokens)
                found_n.append(float(len(score)))
            places = self.token_places(row, col, extent)
            looked += chosen
            told = Told(
                pooled=torch.cat(pooled).numpy(force=True),
                context=context.numpy(force=True),
                found=np.array(found_n, np.float32),
                expected=np.array([s.expected for s in chosen], np.float32),
                extent=(extent / self.grid_px).numpy(force=True),
                seen_share=min(1.0, float((extent**2).sum()) / (h * w)),
                n_found=sum(len(score) for _, score, _ in parts),
                left=float((rate * (1 - covered)).sum()),
                n_cells=rate[0].numel(),
            )
            statistics = torch.from_numpy(told.statistics()).to(x.device)
            advice, state = self.patch_drive_controller(torch.cat(pooled)[None], context[None], statistics[None], state)
            rate = saliency.rate[0] * self._modulated(grid, advice, saliency.rate[0])
            grid = self.fusion(grid, torch.cat(tokens).flatten(0, 1)[None], places.flatten(0, 1)[None])
        boxes, score, label = (torch.cat(columns) for columns in zip(*parts, strict=True)) if parts else _nothing(x)
        windows = torch.tensor([[s.row, s.col, s.kind] for s in looked], dtype=torch.long, device=x.device).reshape(
            -1, 3
        )
        return PatchDriveOutput(boxes, score, label, windows, saliency, grid[0])

    @staticmethod
    def _modulated(grid: Tensor, advice: DriveAdvice, rate: Tensor) -> Tensor:
        like = F.interpolate(likeness(grid, advice)[:, None], size=rate.shape[-2:], mode="nearest")[0, 0]
        return log_factors(like, advice, rate.sum(0)).exp()

    def _keep_core(self, found: Columns, item: Selected, h: int, w: int) -> Columns:
        kind = self.config.kinds[item.kind]
        boxes, score, label = found
        boxes[:, :4] *= 1 << kind.level
        boxes[:, 0] += item.col
        boxes[:, 1] += item.row
        margin = kind.halo
        left, top = (item.col + margin if item.col > 0 else 0), (item.row + margin if item.row > 0 else 0)
        right = item.col + kind.extent - margin if item.col + kind.extent < w else w
        bottom = item.row + kind.extent - margin if item.row + kind.extent < h else h
        inside = (boxes[:, 0] >= left) & (boxes[:, 0] < right) & (boxes[:, 1] >= top) & (boxes[:, 1] < bottom)
        return boxes[inside], score[inside], label[inside]


def _crop(x: Tensor, item: Selected, kind: WindowKind) -> Tensor:
    """One window `[1, C, tensor, tensor]` of an image `[1, C, H, W]`, zero outside, averaged to its level."""
    _, _, h, w = x.shape
    top, left = max(item.row, 0), max(item.col, 0)
    bottom, right = min(item.row + kind.extent, h), min(item.col + kind.extent, w)
    part = x[:, :, top:bottom, left:right]
    part = F.pad(
        part,
        (left - item.col, item.col + kind.extent - right, top - item.row, item.row + kind.extent - bottom),
    )
    return F.avg_pool2d(part, 1 << kind.level) if kind.level else part


def _tensors(found: Decoded, device: torch.device) -> Columns:
    """Boxes, scores and labels of one window, of which `boxes` may be changed."""
    boxes, score, label = (torch.from_numpy(column).to(device) for column in (found.boxes, found.score, found.label))
    return boxes, score, label


def _nothing(x: Tensor) -> Columns:
    return x.new_zeros(0, 5), x.new_zeros(0), x.new_zeros(0, dtype=torch.long)


def rgb_config(classes: Sequence[str] = ("object",)) -> ModelConfig:
    """A `nano` configuration for three bands in [0, 255], for research without geodata."""
    return ModelConfig(
        classes=tuple(classes),
        bands=("red", "green", "blue"),
        pixel_size_m=1.0,
        radiometry=RadiometryConfig(kind="fixed", low=(0.0,), high=(255.0,)),
    )
