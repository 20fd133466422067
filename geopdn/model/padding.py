"""TensorFlow's SAME padding, which follows the size of every map: without copies for speed, made fixed for tracing.

A convolution of stride 2 with SAME padding sees one more pixel after an image of even sides than before it. PyTorch
pads both sides alike, so that timm copies each image into a larger one first (`Conv2dSame`): a sixth of the network's
time on CPUs. A kernel with one more row and column of zeros before the others, padded alike, says the same.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class SameConv(nn.Module):
    """A convolution of stride 2 and an odd kernel with `same` padding.

    Args:
        conv: what it stands for; its weights are shared where sides are odd, and copied where they are even.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.register_buffer("wide", F.pad(conv.weight.detach(), (1, 0, 1, 0)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` -> `[B, n_out, ceil(H/2), ceil(W/2)]`."""
        conv = self.conv
        if x.shape[-2] % 2 or x.shape[-1] % 2:
            out: Tensor = conv(x)
            return out
        padding = (conv.kernel_size[0] // 2, conv.kernel_size[1] // 2)
        return torch.conv2d(x, self.get_buffer("wide"), conv.bias, conv.stride, padding, groups=conv.groups)


def is_same_padded(module: nn.Module) -> bool:
    """Whether a module is a convolution with SAME padding, our own or timm's, which is not imported for its name."""
    return isinstance(module, nn.Conv2d) and type(module).__name__ == "Conv2dSame"


def without_copies(module: nn.Module) -> nn.Module:
    """A `SameConv` for a convolution that it can stand for; any other module as it is."""
    if (
        is_same_padded(module)
        and isinstance(module, nn.Conv2d)
        and module.stride == (2, 2)
        and module.dilation == (1, 1)
        and all(side % 2 for side in module.kernel_size)
    ):
        return SameConv(module)
    return module


def with_fixed_padding(module: AnyModule) -> AnyModule:
    """A network that says the same for images whose sides divide by the strides of all its convolutions.

    There SAME padding is `max(reach - stride, 0)` whatever the size, the odd pixel to the right and below. With sizes
    left open, tracing it would take the better part of an hour.

    Args:
        module: it stays as it is, and everything that is not replaced is shared with it.
    """
    if isinstance(module, SameConv):
        return _fixed(module.conv)  # type: ignore[return-value]
    if isinstance(module, nn.Conv2d) and is_same_padded(module):
        return _fixed(module)  # type: ignore[return-value]
    children = {name: with_fixed_padding(child) for name, child in module.named_children()}
    if all(child is module.get_submodule(name) for name, child in children.items()):
        return module
    result = copy.copy(module)
    result._modules = {**module._modules, **children}  # noqa: SLF001 (a copy that shares what is not replaced)
    return result


def _fixed(conv: nn.Conv2d) -> nn.Sequential:
    pads = []
    for kernel, stride, dilation in zip(conv.kernel_size[::-1], conv.stride[::-1], conv.dilation[::-1], strict=True):
        whole = max((kernel - 1) * dilation + 1 - stride, 0)
        pads += [whole // 2, whole - whole // 2]  # left, right; then top, bottom
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        (conv.kernel_size[0], conv.kernel_size[1]),
        (conv.stride[0], conv.stride[1]),
        dilation=(conv.dilation[0], conv.dilation[1]),
        groups=conv.groups,
        bias=conv.bias is not None,
        device="meta",
    )
    plain.weight, plain.bias = conv.weight, conv.bias
    return nn.Sequential(nn.ZeroPad2d((pads[0], pads[1], pads[2], pads[3])), plain)
