"""TensorFlow's `same` padding without a padded copy of the image.

A convolution of stride 2 with `same` padding sees one more pixel after the image than before it. PyTorch pads both
sides alike, so that timm copies each image into a larger one first (`Conv2dSame`): a sixth of the network's time on
CPUs. A kernel with one more row and column of zeros before the others, padded alike, says the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
    """Whether a module is a convolution that `SameConv` can stand for."""
    if not isinstance(module, nn.Conv2d) or type(module) is nn.Conv2d:
        return False
    from timm.layers import Conv2dSame  # slow to import; a network that has one has imported it

    return (
        isinstance(module, Conv2dSame)
        and module.stride == (2, 2)
        and module.dilation == (1, 1)
        and all(side % 2 for side in module.kernel_size)
    )
