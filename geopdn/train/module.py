"""The Lightning module: PatchDriveNet's stages on a batch of samples, and the optimiser."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F

from geopdn.config import TrainConfig
from geopdn.model.fusion import sample_grid
from geopdn.model.losses import box_loss, count_loss, focal_heat_loss
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.pretrained import backbones_with_features, start_pretrained
from geopdn.model.streams import GlobalFeatures, PatchFeatures
from geopdn.model.temporal import EarlierDates
from geopdn.train.optimiser import optimiser_of
from geopdn.train.samples import Sample

FOUND_SCORE = 0.3


class PatchDriveModule(LightningModule):  # type: ignore[misc]
    """Trains all stages together.

    The first half of each region's windows sees the plain global grid; their tokens are fused into it, and the
    second half sees the fused grid, as the windows of a later round do. The controller learns afterwards, from whole
    searches (`geopdn.train.drive_module`).

    Args:
        config: the whole training configuration.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        net = PatchDriveNet(config=config.model)
        if config.training.pretrained:
            start_pretrained(net)
        self.net = net.to(memory_format=torch.channels_last)  # a fifth faster on CPUs
        if config.training.only == "dates":
            self.net.requires_grad_(False)
            self.net.temporal.requires_grad_(True)
            self.net.eval()  # norms keep their statistics; Lightning leaves the modes of modules as they are

    def transfer_batch_to_device(self, batch: Sample, device: torch.device, dataloader_index: int) -> Sample:
        """Lightning's own transfer refuses frozen dataclasses."""
        del dataloader_index
        return Sample(**{item.name: getattr(batch, item.name).to(device) for item in fields(batch)})

    def training_step(self, batch: Sample, batch_index: int) -> Tensor:
        """One step; logs each part of the loss."""
        del batch_index
        dates = EarlierDates(batch.earlier, batch.known, batch.days) if batch.earlier.shape[1] else None
        features, saliency = self.net.look(batch.overview.contiguous(memory_format=torch.channels_last), dates)
        patch = self.net.highres_stream(batch.windows.contiguous(memory_format=torch.channels_last))
        context = self._context(batch, features, patch)
        maps = self.net.head(patch.head, context)
        n_objects = torch.tensor(float(max(1, len(batch.objects))))
        parts = {
            "heat": focal_heat_loss(maps.logits, batch.heat, told=batch.told, count=n_objects),
            "box": self.config.training.box_weight
            * box_loss(maps, batch.weight, batch.box, has_heading=self.config.model.has_heading),
            "count": 0.5 * count_loss(saliency, batch.counts, batch.cell_valid),
            "priority": 0.1 * self._priority_loss(batch, maps.logits.detach()),
        }
        self.log_dict({f"loss/{name}": part.detach() for name, part in parts.items()}, batch_size=len(batch.overview))
        loss: Tensor = torch.stack(list(parts.values())).sum()
        self.log("loss", loss.detach(), prog_bar=True, batch_size=len(batch.overview))
        return loss

    def _context(self, batch: Sample, features: GlobalFeatures, patch: PatchFeatures) -> Tensor:
        """Grid vectors `[B * n, G]` that each window's head sees."""
        b = len(batch.overview)
        n = len(batch.windows) // b
        first = math.ceil(n / 2)
        row, col, extent = batch.place.unbind(1)
        places = self.net.token_places(row, col, extent).reshape(b, n, 16, 3)[:, :first].flatten(1, 2)
        tokens = patch.tokens.reshape(b, n, 16, -1)[:, :first].flatten(1, 2)
        fused = self.net.fusion(features.grid, tokens, places)
        x = ((col + extent / 2) / self.net.grid_px).reshape(b, n)
        y = ((row + extent / 2) / self.net.grid_px).reshape(b, n)
        rows = []
        for i in range(b):
            rows.append(sample_grid(features.grid[i], x[i, :first], y[i, :first]))
            rows.append(sample_grid(fused[i], x[i, first:], y[i, first:]))
        context = torch.cat(rows)
        seen = torch.rand(len(context), 1) >= self.config.training.context_dropout
        return context * seen

    def _priority_loss(self, batch: Sample, logits: Tensor) -> Tensor:
        """Cross-entropy of the priorities against what the windows found, object by object."""
        if not len(batch.objects):
            return self.net.patch_priorities.theta.sum() * 0
        window, x, y, size, level = (batch.objects[:, i].long() for i in range(5))
        best = F.max_pool2d(torch.sigmoid(logits).amax(1), 3, 1, 1)
        found = (best[window, y.clamp(0, best.shape[1] - 1), x.clamp(0, best.shape[2] - 1)] > FOUND_SCORE).float()
        kinds = torch.tensor([kind.level for kind in self.config.model.kinds])
        same = (kinds[:, None] == level[None]).float()  # [n_kinds, m]
        theta = self.net.patch_priorities.theta[:, size]  # [n_kinds, m]
        loss = F.binary_cross_entropy_with_logits(theta, found.expand_as(theta), reduction="none")
        return (loss * same).sum() / same.sum().clamp_min(1)

    def configure_optimizers(self) -> Any:
        """See `optimiser_of`; what started from ImageNet features learns at `pretrained_rate` of the others' rate."""
        training = self.config.training
        known = backbones_with_features(self.net) if training.pretrained else []
        return optimiser_of(self, training, started=[p for backbone, _ in known for p in backbone.parameters()])
