"""The Lightning module of the controller: to say, after each round, what the unseen holds.

The greedy search that knows the truth takes windows by what they hold. Among the windows of a scene, the likelihood of
that choice is the multinomial of the counts, which is the Poisson likelihood of the counts given their sum; with the
sum's own it tells when to stop. So the controller imitates that greedy on the states of real searches by the Poisson
likelihood of what was not seen, on top of what the evidence says (docs/experiments.md, 70).
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F

from geopdn.config import TrainConfig
from geopdn.model.controller import DriveAdvice, likeness, log_factors
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.train.episodes import Episode, Unseen
from geopdn.train.optimiser import optimiser_of

DROPPED = 0.3  # of the features of windows and places: scenes to learn from are few


class DriveModule(LightningModule):  # type: ignore[misc]
    """Everything but the controller stays as it is.

    Args:
        config: the whole training configuration.
        net: to start from; a controller of it that has learnt goes on.
    """

    def __init__(self, config: TrainConfig, net: PatchDriveNet) -> None:
        super().__init__()
        self.config = config
        net.requires_grad_(False)
        net.patch_drive_controller.requires_grad_(True)
        self.net = net

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_index: int) -> Any:
        """Cells are moved when their turn has come: a search may have some hundred thousand a round."""
        del device, dataloader_index
        return batch

    def training_step(self, batch: list[Episode], batch_index: int) -> Tensor:
        """One step on some searches; logs nats a round, without and with the advice."""
        del batch_index
        losses, before = zip(*(self._of(episode) for episode in batch), strict=True)
        loss = torch.stack(losses).mean()
        self.log_dict(
            {"loss/advised": loss.detach(), "loss/evidence": torch.stack(before).mean()}, batch_size=len(batch)
        )
        self.log("loss", loss.detach(), prog_bar=True, batch_size=len(batch))
        return loss

    def _of(self, episode: Episode) -> tuple[Tensor, Tensor]:
        """Mean loss of the rounds of a search, and what it would be without advice."""
        state = None
        losses, before = [], []
        for step in episode:
            pooled, context = (F.dropout(v.to(self.device), DROPPED) for v in (step.pooled, step.context))
            advice, state = self.net.patch_drive_controller(
                pooled[None], context[None], step.statistics[None].to(self.device), state
            )
            if step.unseen is not None:
                losses.append(unseen_loss(step.unseen, advice))
                before.append(unseen_loss(step.unseen, None).to(self.device))
        return torch.stack(losses).mean(), torch.stack(before).mean()

    def configure_optimizers(self) -> Any:
        """See `optimiser_of`."""
        return optimiser_of(self, self.config.training)


def unseen_loss(unseen: Unseen, advice: DriveAdvice | None) -> Tensor:
    """Poisson likelihood, in nats, of the counts in the cells that nothing has looked at, and of their sum.

    Args:
        unseen: the cells.
        advice: on top of the evidence, None for the evidence alone.
    """
    log_rate = unseen.log_rate.float()
    if advice is not None:
        device = advice.query.device
        like = likeness(unseen.grid[None].to(device), advice)[0]
        log_rate = log_rate.to(device)
        like = like[unseen.row.to(device).int(), unseen.col.to(device).int()]
        log_rate = log_rate + log_factors(like, advice, log_rate.exp())
    count = unseen.count.float().to(log_rate.device)
    left, there = log_rate.exp().sum(), count.sum()
    cells = left - (count * log_rate).sum()
    return cells + left - there * torch.log(left + 1e-3)
