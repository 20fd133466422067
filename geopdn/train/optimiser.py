"""The optimiser of every training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from geopdn.config import TrainingConfig

FINAL_SHARE = 0.02  # of the learning rate, at the end of the cosine


def optimiser_of(module: nn.Module, training: TrainingConfig, *, started: Sequence[Tensor] = ()) -> Any:
    """AdamW; linear warm-up, then cosine to 2 %. No decay of norms, biases and priorities.

    Args:
        module: whose parameters learn, as far as they have gradients.
        training: rates and steps.
        started: parameters that learn at `pretrained_rate` of the others' rate (discriminative learning rates, Howard
            and Ruder 2018).

    Returns:
        What Lightning's `configure_optimizers` returns.
    """
    slow = {id(p) for p in started}
    groups = []
    for rate, inside in ((1.0, False), (training.pretrained_rate, True)):
        for decay, decayed in ((training.weight_decay, True), (0.0, False)):
            members = [
                p
                for name, p in module.named_parameters()
                if p.requires_grad and (id(p) in slow) is inside and (p.ndim > 1 and "theta" not in name) is decayed
            ]
            if members:
                groups.append({"params": members, "weight_decay": decay, "lr": rate * training.learning_rate})
    optimiser = torch.optim.AdamW(groups)

    def share(step: int) -> float:
        if step < training.warmup:
            return (step + 1) / training.warmup
        done = min(1.0, (step - training.warmup) / max(1, training.steps - training.warmup))
        return FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
