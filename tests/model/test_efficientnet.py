"""EfficientNet-Lite0 is timm's, layer by layer."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from geopdn.model.backbones import make_backbone
from geopdn.model.efficientnet import EfficientNetLite0


@pytest.fixture(scope="module")
def both():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0", features_only=True, in_chans=5, pretrained=False)
    for name, buffer in theirs.named_buffers():  # norms that do something
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    ours = EfficientNetLite0(5)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def test_names_and_their_order_are_those_of_timm(both):
    ours, theirs = both
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.reductions == tuple(theirs.feature_info.reduction())
    assert ours.widths == tuple(theirs.feature_info.channels())


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (50, 70)])
@pytest.mark.parametrize("training", [False, True])
def test_maps_are_those_of_timm(both, size, training):
    ours, theirs = both
    x = torch.rand(2, 5, *size)
    for a, b in zip(ours.train(training)(x), theirs.train(training)(x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    ours.eval()
    theirs.eval()


def test_gradients_reach_every_parameter():
    net = EfficientNetLite0(3).train()
    sum(level.mean() for level in net(torch.rand(2, 3, 64, 64))).backward()
    assert all(part.grad is not None for part in net.parameters())


def test_timm_is_not_imported_for_it():
    code = (
        "import sys; from geopdn.model.backbones import make_backbone; "
        "make_backbone('timm:tf_efficientnet_lite0', n_in=3); sys.exit('timm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_finest_map_is_chosen():
    assert make_backbone("timm:tf_efficientnet_lite0", n_in=3, finest=2).strides == (2, 4, 8, 16, 32)
    assert make_backbone("timm:tf_efficientnet_lite0", n_in=3).channels == (24, 40, 112, 320)
