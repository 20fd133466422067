"""TensorFlow's SAME padding made fixed, for tracing: as timm computes it, it follows the size of every map."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def with_fixed_padding(module: AnyModule) -> AnyModule:
    """A network that says the same for images whose sides divide by the strides of all its convolutions.

    There SAME padding is `max(reach - stride, 0)` whatever the size, the odd pixel to the right and below. With sizes
    left open, tracing it would take the better part of an hour.

    Args:
        module: it stays as it is, and everything that is not replaced is shared with it.
    """
    if isinstance(module, nn.Conv2d) and type(module).__name__ == "Conv2dSame":  # timm's, not imported for its name
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
