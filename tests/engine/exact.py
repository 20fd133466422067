"""A network that sees perfectly: bright squares on dark ground, found by their centroids. For engine tests."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from geopdn.config import ModelConfig, RadiometryConfig, WindowKind
from geopdn.model.decoded import Decoded
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.saliency import Saliency
from geopdn.model.streams import GlobalFeatures, PatchFeatures
from geopdn.model.temporal import EarlierDates
from geopdn.model.weights import LoadedModel, WeightsHeader


def exact_config(*, bands: tuple[str, ...], high: float, pixel_size_m: float, has_heading: bool = False) -> ModelConfig:
    return ModelConfig(
        classes=("target",),
        bands=bands,
        pixel_size_m=pixel_size_m,
        radiometry=RadiometryConfig(kind="fixed", low=(0.0,), high=(high,)),
        kinds=(WindowKind(extent=512, level=0, halo=32), WindowKind(extent=256, level=0, halo=32)),
        has_heading=has_heading,
    )


class ExactNet(PatchDriveNet):
    """Saliency is the targets' share of each cell's light; boxes are moments of bright components."""

    target_px = 12.0

    def look(self, overview: Tensor, earlier: EarlierDates | None = None) -> tuple[GlobalFeatures, Saliency]:
        del earlier
        step = 1 << self.config.overview_level
        lit = (overview[:, :1] - 0.06).clamp_min(0) * step**2  # scene pixels of targets under each overview pixel
        bright = F.avg_pool2d(lit, 4) * 16 / self.target_px**2
        rate = torch.cat([bright + 1e-9, torch.zeros_like(bright).repeat(1, 2, 1, 1)], 1)
        grid = torch.zeros(1, self.config.grid, overview.shape[2] // 16, overview.shape[3] // 16)
        return GlobalFeatures(cells=bright, grid=grid), Saliency(rate=rate, dispersion=torch.ones_like(bright))

    def find(self, windows: Tensor, context: Tensor | None, *, min_score: float) -> tuple[PatchFeatures, Decoded]:
        del context, min_score
        index, boxes = [], []
        for i, image in enumerate(windows[:, 0].double().numpy()):
            labels, n = ndimage.label(image > 0.35)
            for part, where in enumerate(ndimage.find_objects(labels), start=1):
                rows, cols = np.nonzero(labels[where] == part)
                weight = image[where][rows, cols]
                y = np.average(rows + where[0].start + 0.5, weights=weight)
                x = np.average(cols + where[1].start + 0.5, weights=weight)
                side = np.sqrt(weight.sum() / weight.max())
                index.append(i)
                boxes.append([x, y, side, side, 0.0])
        decoded = Decoded(
            window=np.array(index, np.int64),
            boxes=np.array(boxes, np.float64).reshape(-1, 5),
            score=np.full(len(boxes), 0.9, np.float32),
            label=np.zeros(len(boxes), np.int64),
        )
        n = len(windows)
        dim = self.config.dim
        return PatchFeatures(windows, torch.zeros(n, 16, dim), torch.zeros(n, dim)), decoded


def exact_model(config: ModelConfig) -> LoadedModel:
    net = ExactNet(config=config)
    net.patch_priorities.theta.data.fill_(6.0)
    return LoadedModel(net=net, header=WeightsHeader(name="exact", model=config, min_score=0.3), digest="exact")
