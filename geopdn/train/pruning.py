"""A slim global stream from a trained one: the channels that say most are kept (He et al. 2017; Molchanov et al. 2017).

Only how wide blocks work inside changes, so that every map between blocks means what it meant. What is lost is learnt
again from the whole stream (`geopdn.train.overview_module`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geopdn.errors import ConfigError
from geopdn.model.efficientnet import DepthwiseSeparableConv, EfficientNetLite0, InvertedResidual
from geopdn.model.streams import GlobalStream


def fill_from(slim: GlobalStream, whole: GlobalStream, examples: Tensor) -> None:
    """Give a slim stream those channels of a whole one that say most on some overviews.

    A channel says as much as it adds to the map that its block returns: the mean square of its values times that of
    the filters that take it up.

    Args:
        slim: of the same backbone, with blocks as wide as the other's or narrower; its weights are replaced, but for a
            separable end of its neck, which starts anew.
        whole: trained; in evaluation mode.
        examples: overviews `[B, 3C + 2, H, W]`.

    Raises:
        ConfigError: they are of other backbones.
    """
    ours, theirs = (getattr(stream.backbone, "network", None) for stream in (slim, whole))
    if not isinstance(ours, EfficientNetLite0) or not isinstance(theirs, EfficientNetLite0):
        raise ConfigError("only a global stream of EfficientNet-Lite0 can be made slimmer")
    said = _said(theirs, whole, examples)
    blocks = dict(theirs.named_modules())
    stem = None
    for name, block in ours.named_modules():
        if isinstance(block, DepthwiseSeparableConv):
            stem = _fill(block, blocks[name], _most(said[name], block.conv_dw.out_channels))
        elif isinstance(block, InvertedResidual):
            _fill(block, blocks[name], _most(said[name], block.conv_dw.out_channels))
    _take(ours.conv_stem, theirs.conv_stem, out=stem)
    _take(ours.bn1, theirs.bn1, out=stem)
    for part in ("laterals", "out"):
        own, other = (getattr(stream.neck, part) for stream in (slim, whole))
        if [v.shape for v in own.state_dict().values()] == [v.shape for v in other.state_dict().values()]:
            own.load_state_dict(other.state_dict())
    slim.grid_out.load_state_dict(whole.grid_out.state_dict())


@torch.inference_mode()
def _said(network: EfficientNetLite0, stream: GlobalStream, examples: Tensor) -> dict[str, Tensor]:
    """What each wide channel adds to its block's map, by the name of the block."""
    said: dict[str, Tensor] = {}
    hooks = []
    for name, block in network.named_modules():
        if isinstance(block, DepthwiseSeparableConv | InvertedResidual):
            last = block.conv_pw if isinstance(block, DepthwiseSeparableConv) else block.conv_pwl

            def note(conv: nn.Conv2d, taken: tuple[Tensor], name: str = name) -> None:
                said[name] = taken[0].square().mean((0, 2, 3)) * conv.weight.square().sum((0, 2, 3))

            hooks.append(last.register_forward_pre_hook(note))
    stream(examples)
    for hook in hooks:
        hook.remove()
    return said


def _most(said: Tensor, n: int) -> Tensor:
    """The `n` channels that say most, in their order."""
    return said.argsort(descending=True)[:n].sort().values


def _fill(block: nn.Module, whole: nn.Module, kept: Tensor) -> Tensor:
    """Give a block the kept ones of another's wide channels; returns them."""
    narrows = ("conv_pw", "bn2") if isinstance(block, DepthwiseSeparableConv) else ("conv_pwl", "bn3")
    for name, own in block.named_children():
        if name not in narrows:
            _take(own, getattr(whole, name), out=kept)
        else:
            _take(own, getattr(whole, name), taken=kept if name == narrows[0] else None)
    return kept


def _take(own: nn.Module, whole: nn.Module, *, out: Tensor | None = None, taken: Tensor | None = None) -> None:
    """Copy some of the channels that a layer makes, and of those that it takes; None for all."""
    values = {}
    for key, value in whole.state_dict().items():
        part = value
        if part.ndim and out is not None:
            part = part[out]
        if part.ndim > 1 and taken is not None:
            part = part[:, taken]
        values[key] = part
    own.load_state_dict(values)
