"""Batch norms in the convolutions before them, no padded copies: the same network, fewer passes over memory."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from geopdn.model.padding import without_copies

TOLERANCE = 1e-3  # of the largest value of a map
CHECK_SIDE = 64
FOLDABLE = ("dense-nano", "dense-small", "dense-global", "timm:tf_efficientnet_lite0", "efficientnet-lite0-slim")
"""Backbones that tests show to say the same folded: comparing them at every start took half a second."""

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def folded(net: AnyModule, *, images: Mapping[str, int]) -> AnyModule:
    """A network whose convolutions hold the batch norms that follow them, and pad without copying (`SameConv`).

    A convolution and the batch norm registered after it in the same module are taken to be applied one after the
    other, as in every backbone that is known here. The parts named in `images` are run before and after: one that
    answers differently keeps its norms.

    Args:
        net: the network, in evaluation mode; it stays as it is, and everything that is not folded is shared with it.
        images: dotted names of submodules that take an image, with their input channels.
    """
    result = _folded(net)
    device = next(net.parameters()).device
    for name, channels in images.items():
        image = torch.linspace(-1, 1, channels * CHECK_SIDE**2, device=device)
        if not _agree(net, result, name, image.reshape(1, channels, CHECK_SIDE, CHECK_SIDE)):
            parent, _, last = name.rpartition(".")
            setattr(result.get_submodule(parent), last, net.get_submodule(name))
    return result


def _folded(module: AnyModule) -> AnyModule:
    children = {name: _folded(child) for name, child in module.named_children()}
    if not children:
        return module
    for (name, conv), (following, norm) in itertools.pairwise(children.items()):
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        if norm.num_features != conv.out_channels or not norm.track_running_stats:
            continue
        children[name] = fuse_conv_bn_eval(conv, norm)
        # timm's BatchNormAct2d holds the activation too
        rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
        children[following] = nn.Sequential(*rest) if rest else nn.Identity()
    children = {name: without_copies(child) for name, child in children.items()}
    result = copy.copy(module)
    result._modules = {**module._modules, **children}  # noqa: SLF001 (a copy that shares what is not folded)
    return result


def _agree(before: nn.Module, after: nn.Module, name: str, image: torch.Tensor) -> bool:
    with torch.inference_mode():
        pairs = zip(*(_maps(net.get_submodule(name)(image)) for net in (before, after)), strict=True)
        return all(float((a - b).abs().max()) <= TOLERANCE * max(1e-6, float(a.abs().max())) for a, b in pairs)


def _maps(output: torch.Tensor | list[torch.Tensor]) -> list[torch.Tensor]:
    return [output] if isinstance(output, torch.Tensor) else list(output)
