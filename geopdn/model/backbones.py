"""Backbones: images in, a list of feature maps of growing stride out. Dense ones of our own, others by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from geopdn.errors import ConfigError
from geopdn.model.compiler import without_compiler
from geopdn.model.efficientnet import STEM, EfficientNetLite0


class Backbone(Protocol):
    """What every backbone offers: `strides` and `channels` of the maps that calling it returns, finest first."""

    strides: tuple[int, ...]
    channels: tuple[int, ...]

    def __call__(self, x: Tensor) -> list[Tensor]:
        """`[B, n_in, H, W]` -> maps, finest first."""


def conv_block(n_in: int, n_out: int, *, stride: int = 1, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU: fuses into one operation at inference."""
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two dense 3x3 convolutions and a shortcut (He et al. 2016); dense beats depthwise on CPUs by far."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv_block(width, width),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[B, width, H, W]` -> the same shape."""
        return F.relu(x + self.body(x), inplace=True)


class DenseBackbone(nn.Module):
    """Dense 3x3 convolutions in stages, each halving the resolution.

    Args:
        n_in: input channels.
        widths: channels of each stage; stage i has stride `2**(i+1)`.
        depths: residual blocks of each stage.
        first: index of the first stage that is returned.
    """

    def __init__(self, n_in: int, widths: Sequence[int], depths: Sequence[int], *, first: int = 1) -> None:
        super().__init__()
        stages = []
        for width, depth in zip(widths, depths, strict=True):
            stages.append(nn.Sequential(conv_block(n_in, width, stride=2), *(Residual(width) for _ in range(depth))))
            n_in = width
        self.stages = nn.ModuleList(stages)
        self.first = first
        self.strides = tuple(2 ** (i + 1) for i in range(first, len(widths)))
        self.channels = tuple(widths[first:])

    def forward(self, x: Tensor) -> list[Tensor]:
        """`[B, n_in, H, W]` -> maps `[B, channels[i], H/strides[i], W/strides[i]]`."""
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i >= self.first:
                maps.append(x)
        return maps


class _FeatureBackbone(nn.Module):
    """A network that returns maps of every stride, behind the `Backbone` protocol: the finest wanted and coarser."""

    def __init__(self, network: nn.Module, *, reductions: Sequence[int], channels: Sequence[int], finest: int) -> None:
        super().__init__()
        self.network = network
        keep = [i for i, stride in enumerate(reductions) if stride >= finest]
        self.keep = keep
        self.strides = tuple(int(reductions[i]) for i in keep)
        self.channels = tuple(int(channels[i]) for i in keep)

    def forward(self, x: Tensor) -> list[Tensor]:
        """`[B, n_in, H, W]` -> the maps of the finest stride and coarser."""
        maps = self.network(x)
        return [maps[i] for i in self.keep]


class _FeatureInfo(Protocol):
    def reduction(self) -> list[int]: ...
    def channels(self) -> list[int]: ...


_DENSE: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    # name: widths, depths of the stages of stride 2, 4, 8, ...
    "dense-nano": ((16, 32, 80, 144, 208), (0, 1, 2, 2, 1)),
    "dense-small": ((24, 48, 112, 192, 256), (0, 1, 2, 3, 2)),
    "dense-global": ((24, 48, 96, 128), (0, 1, 2, 2)),
}
EFFICIENTNET = "timm:tf_efficientnet_lite0"  # built without timm, which takes a second to import
SLIM = "efficientnet-lite0-slim"
"""EfficientNet-Lite0 with half of its stem and of what its blocks widen maps to: for the overview, made from a trained
one (`geopdn.train.pruning`)."""


def make_backbone(name: str, *, n_in: int, finest: int = 4) -> nn.Module:
    """Build a backbone by name, without pretrained weights (nothing is downloaded).

    Args:
        name: `dense-nano`, `dense-small`, `dense-global`, `efficientnet-lite0-slim`, `timm:NAME` or `torchgeo:NAME`.
        n_in: input channels.
        finest: stride of the finest map, 2 or 4.

    Returns:
        A module that satisfies `Backbone`.

    Raises:
        ConfigError: unknown name, or a network without a map of the finest stride.
    """
    if name in _DENSE:
        widths, depths = _DENSE[name]
        return DenseBackbone(n_in, widths, depths, first=finest.bit_length() - 2)
    library, _, model = name.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", model) and library in ("timm", "torchgeo"):
        # `timm:hf-hub:...` would ask the network, `timm:local-dir:...` read files of the weights' choosing.
        raise ConfigError(f"backbone {name[:200]!r} is refused: expected the plain name of a network of {library}")
    if name in (EFFICIENTNET, SLIM):
        own = EfficientNetLite0(n_in, stem=STEM // 2, share=0.5) if name == SLIM else EfficientNetLite0(n_in)
        return _FeatureBackbone(own, reductions=own.reductions, channels=own.widths, finest=finest)
    try:
        if library == "timm":
            with without_compiler():
                import timm

            network = timm.create_model(model, features_only=True, in_chans=n_in, pretrained=False)
        elif library == "torchgeo":
            from torchgeo.models import get_model

            network = get_model(model, weights=None, features_only=True, in_chans=n_in)
        else:
            raise ConfigError(
                f"backbone {name!r} is unknown: expected one of {', '.join(_DENSE)}, {SLIM}, or timm:NAME, or "
                "torchgeo:NAME"
            )
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"backbone {name!r} cannot be built as a feature network: {error}") from error
    info = cast("_FeatureInfo", network.feature_info)
    backbone = _FeatureBackbone(network, reductions=info.reduction(), channels=info.channels(), finest=finest)
    if not backbone.strides or backbone.strides[0] != finest:
        raise ConfigError(f"backbone {name!r} has maps of strides {backbone.strides}, expected the finest: {finest}")
    return backbone


class Neck(nn.Module):
    """Top-down feature pyramid (Lin et al. 2017) that ends in one map of the finest stride.

    Args:
        channels: channels of the maps it takes, finest first.
        width: channels of the map it returns.
        separable: end in a depthwise and a pointwise convolution, with a ninth of the arithmetic of a dense one.
    """

    def __init__(self, channels: Sequence[int], width: int, *, separable: bool = False) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(n, width, 1) for n in channels)
        self.out = conv_block(width, width)
        if separable:
            self.out = nn.Sequential(conv_block(width, width, groups=width), conv_block(width, width, kernel=1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps `[B, channels[i], H_i, W_i]` -> `[B, width, H_0, W_0]`."""
        y: Tensor = self.laterals[-1](maps[-1])
        for lateral, x in zip(list(self.laterals)[-2::-1], maps[-2::-1], strict=True):
            y = lateral(x) + F.interpolate(y, size=x.shape[-2:], mode="nearest")
        out: Tensor = self.out(y)
        return out


def initialise(module: nn.Module) -> None:
    """Kaiming initialisation of every convolution (fan out), as dense networks from scratch want it."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                torch.nn.init.zeros_(part.bias)
