"""Losses: heat map, boxes, expected counts, priorities. Functions of tensors, no state."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from geopdn.model.head import HeadMaps
from geopdn.model.saliency import Saliency


def focal_heat_loss(logits: Tensor, heat: Tensor, *, told: Tensor, count: Tensor) -> Tensor:
    """Penalty-reduced focal loss (Law & Deng 2018, "CornerNet"): alpha 2, beta 4, summed, over the object count.

    Args:
        logits: `[n, classes, h, w]`.
        heat: `[n, classes, h, w]` in [0, 1], exactly 1 at centres.
        told: `[n, h, w]` 1 where the labels tell what is background, 0 in ignore regions.
        count: objects in the batch, at least 1.
    """
    p = torch.sigmoid(logits)
    at_centre = heat >= 0.9999
    positive = -((1 - p) ** 2) * F.logsigmoid(logits)
    negative = -((1 - heat) ** 4) * p**2 * F.logsigmoid(-logits)
    return torch.where(at_centre, positive, negative * told[:, None]).sum() / count


def _gaussian(length: Tensor, width: Tensor, angle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Covariance entries (xx, yy, xy) of the uniform density on an oriented box."""
    u, v = length**2 / 12, width**2 / 12
    cos, sin = angle.cos(), angle.sin()
    return u * cos**2 + v * sin**2, u * sin**2 + v * cos**2, (u - v) * cos * sin


def hellinger_distance(pred: Tensor, true: Tensor) -> Tensor:
    """Hellinger distance `[N]` in [0, 1] between boxes `[N, 5]` as Gaussians (ProbIoU, Llerena et al. 2021)."""
    a1, b1, c1 = _gaussian(pred[:, 2], pred[:, 3], pred[:, 4])
    a2, b2, c2 = _gaussian(true[:, 2], true[:, 3], true[:, 4])
    a, b, c = a1 + a2, b1 + b2, c1 + c2
    det = (a * b - c**2).clamp_min(1e-6)
    dx, dy = pred[:, 0] - true[:, 0], pred[:, 1] - true[:, 1]
    distance = 0.25 * (a * dy**2 + b * dx**2 - 2 * c * dx * dy) / det
    det1, det2 = (a1 * b1 - c1**2).clamp_min(1e-6), (a2 * b2 - c2**2).clamp_min(1e-6)
    shape = 0.5 * torch.log(det / (4 * torch.sqrt(det1 * det2)) + 1e-7)
    bhattacharyya = (distance + shape).clamp(1e-5, 50.0)
    return torch.sqrt((1 - torch.exp(-bhattacharyya)).clamp_min(1e-6))


def boxes_at(maps: HeadMaps, where: tuple[Tensor, Tensor, Tensor], *, has_heading: bool) -> Tensor:
    """Predicted boxes `[N, 5]` in cells at positions (window, row, column)."""
    window, row, col = where
    raw = maps.regression[window, :, row, col]
    sides = raw[:, 2:4].clamp(-4, 6).exp()
    angle = torch.atan2(raw[:, 5], raw[:, 4] + 1e-9) / 2 if has_heading else torch.zeros_like(raw[:, 0])
    x, y = col + 0.5 + raw[:, 0], row + 0.5 + raw[:, 1]
    return torch.stack([x, y, sides[:, 0], sides[:, 1], angle], 1)


def box_loss(maps: HeadMaps, weight: Tensor, box: Tensor, *, has_heading: bool) -> Tensor:
    """Hellinger distance plus smooth-L1 of centre and log sides plus the angle's distance, averaged by weight.

    Args:
        maps: the head's output.
        weight: `[n, h, w]`, positive where a box is learnt.
        box: `[n, 5, h, w]` targets of `WindowTargets.box`.
        has_heading: False leaves the angle alone.
    """
    window, row, col = torch.nonzero(weight > 0, as_tuple=True)
    where = (window, row, col)
    if window.numel() == 0:
        return maps.regression.sum() * 0
    w = weight[where]
    target = box[where[0], :, where[1], where[2]]  # [N, 5]
    true = torch.cat([target[:, :2], target[:, 2:4].exp(), target[:, 4:]], 1)
    pred = boxes_at(maps, where, has_heading=has_heading)
    raw = maps.regression[where[0], :, where[1], where[2]]
    scale = true[:, 2:4].mean(1, keepdim=True).clamp_min(1.0)
    centre = F.smooth_l1_loss(pred[:, :2] / scale, true[:, :2] / scale, reduction="none", beta=0.1).sum(1)
    sides = F.smooth_l1_loss(raw[:, 2:4], target[:, 2:4], reduction="none", beta=0.1).sum(1)
    loss = hellinger_distance(pred, true) + centre + 0.5 * sides
    if has_heading:
        aspect = ((true[:, 2] / true[:, 3].clamp_min(1e-3)).log() / 0.5).clamp(0, 1)  # a square has no direction
        direction = torch.stack([(2 * true[:, 4]).cos(), (2 * true[:, 4]).sin()], 1)
        loss = loss + 0.3 * aspect * F.smooth_l1_loss(raw[:, 4:6], direction, reduction="none", beta=0.2).sum(1)
    return (loss * w).sum() / w.sum()


def count_loss(saliency: Saliency, counts: Tensor, valid: Tensor) -> Tensor:
    """Poisson likelihood of counts per cell and of sums over 4x4 and 16x16 cells, and the dispersion's likelihood.

    Sums keep the totals calibrated where objects lie closer than the map can tell.

    Args:
        saliency: predicted rates `[B, K, h, w]`.
        counts: true counts `[B, K, h, w]`.
        valid: `[B, 1, h, w]` 1 where the cell has pixels.
    """
    n = counts.sum().clamp_min(float(counts.shape[0]))
    rate, counts = saliency.rate * valid, counts * valid
    loss = rate.new_zeros(())
    for step, share in ((1, 1.0), (4, 0.5), (16, 0.25)):
        if min(rate.shape[-2:]) < step:
            continue
        lam = F.avg_pool2d(rate, step) * step**2
        true = F.avg_pool2d(counts, step) * step**2
        loss = loss + share * (lam - true * torch.log(lam + 1e-7)).sum() / n
    mean = F.avg_pool2d(rate.sum(1, keepdim=True).detach(), 4) * 16 + 1e-6
    true = F.avg_pool2d(counts.sum(1, keepdim=True), 4) * 16
    r = 1 / (F.avg_pool2d(saliency.dispersion, 4) + 1e-4)
    log_nb = (
        torch.lgamma(true + r) - torch.lgamma(r) + r * torch.log(r / (r + mean)) + true * torch.log(mean / (r + mean))
    )
    return loss - 0.1 * log_nb.sum() / n
