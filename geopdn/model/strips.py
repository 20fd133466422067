"""Blocks of a backbone worked out in strips of rows: the same maps, with the wide ones between never held whole.

An inverted residual block (Sandler et al. 2018) widens its map sixfold before it narrows it again. On tiles of the
overview the wide map takes 150 MB, which a processor's cache does not hold and the system hands out page by page, each
time anew: half of the tile's time. A strip needs a few rows around it, and its wide map some megabytes.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

WIDEST = 8_000_000  # bytes of the widest map of a strip; 4 to 16 MB are alike on two cores that share 32 MB of cache
BLOCKS = ("InvertedResidual", "DepthwiseSeparableConv")  # our own and timm's, which is not imported for them

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class InStrips(nn.Module):
    """A block of convolutions, one after the other, on one image in strips of rows.

    Args:
        block: convolutions and what works on each position by itself; nothing that sees the whole map.
        widest: bytes of the widest map of a strip, about.
    """

    def __init__(self, block: nn.Module, *, widest: int = WIDEST) -> None:
        super().__init__()
        self.block, self.widest = block, widest
        self.stride, reach = 1, 0
        for conv in _convolutions(block):
            reach += conv.dilation[0] * (conv.kernel_size[0] // 2) * self.stride
            self.stride *= conv.stride[0]
        self.halo = -(-reach // self.stride) * self.stride  # rows that a strip sees of its neighbours
        self.channels = max(conv.out_channels for conv in _convolutions(block))

    def forward(self, x: Tensor) -> Tensor:
        """What the block makes of `[B, C, H, W]`; batches and odd sizes as a whole."""
        n, _, h, w = x.shape
        step = 2 * self.stride
        tall = max(step, self.widest // (4 * self.channels * w) // step * step)
        if n > 1 or h % self.stride or tall + 2 * self.halo >= h:
            whole: Tensor = self.block(x)
            return whole
        out: Tensor | None = None
        for top in range(0, h, tall):
            bottom = min(h, top + tall)
            first, last = max(0, top - self.halo), min(h, bottom + self.halo)
            strip = self.block(x[:, :, first:last])
            if out is None:
                shape = (1, strip.shape[1], h // self.stride, strip.shape[3])
                out = torch.empty(shape, dtype=strip.dtype, memory_format=torch.channels_last)
            rows = slice((top - first) // self.stride, (bottom - first) // self.stride)
            out[:, :, top // self.stride : bottom // self.stride] = strip[:, :, rows]
        assert out is not None
        return out


def in_strips(module: AnyModule, *, widest: int = WIDEST) -> AnyModule:
    """A network whose inverted residual blocks work in strips; it shares everything else with the one given.

    Blocks that squeeze (Hu et al. 2018) see the whole map and stay as they are.
    """
    if type(module).__name__ in BLOCKS:
        squeezes = getattr(module, "se", None) is not None and not isinstance(module.se, nn.Identity)
        return module if squeezes else InStrips(module, widest=widest)  # type: ignore[return-value]
    children = {name: in_strips(child, widest=widest) for name, child in module.named_children()}
    if all(child is module.get_submodule(name) for name, child in children.items()):
        return module
    result = copy.copy(module)
    result._modules = {**module._modules, **children}  # noqa: SLF001 (a copy that shares what is not replaced)
    return result


def _convolutions(block: nn.Module) -> list[nn.Conv2d]:
    return [part for part in block.modules() if isinstance(part, nn.Conv2d)]
