"""The Lightning module that teaches a slim global stream to say what a whole one says."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F

from geopdn.config import TrainConfig
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.saliency import RAW_LIMITS
from geopdn.train.optimiser import optimiser_of
from geopdn.train.pruning import fill_from

WEIGHTS = {"cells": 0.2, "grid": 0.3, "count": 2.0, "logs": 0.05}
"""Of the parts of the loss: rates matter most, and features that only look different may (docs/experiments.md, 68)."""
EXPECTED = 30.0  # a cell with an object counts so many times one without


class OverviewModule(LightningModule):  # type: ignore[misc]
    """Everything but the global stream stays as it is; that learns the features of another one, and their rates.

    Features are matched, not rates alone: fusion, the detection head's context and earlier dates go on from them.

    Args:
        config: the whole training configuration, of the slim model.
        teacher: the network to imitate.
        examples: overviews to choose channels on, `[B, 3C + 2, H, W]`.
    """

    def __init__(self, config: TrainConfig, teacher: PatchDriveNet, examples: Tensor) -> None:
        super().__init__()
        self.config = config
        net = PatchDriveNet(config=config.model)
        whole = teacher.global_stream.eval()
        fill_from(net.global_stream, whole, examples)
        kept = {k: v for k, v in teacher.state_dict().items() if not k.startswith("global_stream.")}
        net.load_state_dict(net.state_dict() | kept)
        net.requires_grad_(False)
        net.global_stream.requires_grad_(True)
        self.net = net.to(memory_format=torch.channels_last)
        # not a module of its own: it is no part of checkpoints
        self.teacher = (whole.requires_grad_(False).to(memory_format=torch.channels_last),)
        with torch.no_grad():
            features = whole(examples)
        self.spread = tuple(f.std((0, 2, 3), keepdim=True) + 1e-3 for f in (features.cells, features.grid))

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        """One step on `[B, 3C + 2, H, W]`; logs each part of the loss."""
        del batch_index
        head = self.net.saliency_head.conv
        (whole,) = self.teacher
        with torch.no_grad():
            theirs = whole.to(batch.device)(batch)
            their_logs = head(theirs.cells)[:, :-1].clamp(*RAW_LIMITS)
            rate = their_logs.exp()
        ours = self.net.global_stream(batch)
        logs = head(ours.cells)[:, :-1].clamp(*RAW_LIMITS)
        cells, grid = (spread.to(batch.device) for spread in self.spread)
        inside = (F.max_pool2d(batch[:, -2:-1], 4) > 0).float()
        weight = inside * (1 + EXPECTED * rate.sum(1, keepdim=True).clamp_max(1))
        weight = weight / weight.mean().clamp_min(1e-6)
        deviance = (logs.exp() - rate - rate * (logs - their_logs)) * inside
        parts = {
            "cells": (((ours.cells - theirs.cells) / cells).square() * weight).mean(),
            "grid": ((ours.grid - theirs.grid) / grid).square().mean(),
            "count": deviance.sum() / (rate * inside).sum().clamp_min(1e-3),
            "logs": ((logs - their_logs).square() * inside).mean(),
        }
        parts = {name: WEIGHTS[name] * part for name, part in parts.items()}
        self.log_dict({f"loss/{name}": part.detach() for name, part in parts.items()}, batch_size=len(batch))
        loss: Tensor = torch.stack(list(parts.values())).sum()
        self.log("loss", loss.detach(), prog_bar=True, batch_size=len(batch))
        return loss

    def configure_optimizers(self) -> Any:
        """See `optimiser_of`."""
        return optimiser_of(self, self.config.training)
