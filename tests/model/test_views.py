"""Several views of a window: what they say comes back to its place, and the answer does not depend on the way round."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopdn.config import ModelConfig, WindowKind
from geopdn.model.decoded import decode
from geopdn.model.head import HeadMaps
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.targets import window_targets
from geopdn.model.views import VIEWS, averaged

SIDE, STRIDE = 64, 4


def exact_maps(boxes):
    """What a perfect network says of a window with these boxes `[N, 5]`."""
    targets = window_targets(boxes, np.zeros(len(boxes), np.int64), side=SIDE, stride=STRIDE, n_classes=1)
    n = SIDE // STRIDE
    cells = np.arange(n) + 0.5
    x, y = targets.box[0] - cells[None, :], targets.box[1] - cells[:, None]
    turn = targets.box[4]
    regression = np.stack([x, y, targets.box[2], targets.box[3], np.cos(2 * turn), np.sin(2 * turn)])
    logits = torch.logit(torch.from_numpy(targets.heat), 1e-6)
    return HeadMaps(logits=logits[None], regression=torch.from_numpy(regression.astype(np.float32))[None])


def flipped(boxes, view):
    out = boxes.copy()
    if view.flip_cols:
        out[:, 0], out[:, 4] = SIDE - out[:, 0], -out[:, 4]
    if view.flip_rows:
        out[:, 1], out[:, 4] = SIDE - out[:, 1], -out[:, 4]
    return out


@pytest.mark.parametrize("view", VIEWS)
def test_what_a_view_says_comes_back_to_its_place(view) -> None:
    boxes = np.array([[21.0, 33.0, 20, 8, 0.5], [46.0, 13.0, 12, 6, -1.1]])
    maps = view.back(exact_maps(flipped(boxes, view)))
    found = decode(maps.logits.numpy(), maps.regression.numpy(), stride=STRIDE, has_heading=True, min_score=0.5)
    back = found.boxes[np.argsort(found.boxes[:, 0])]
    assert back[:, :4] == pytest.approx(boxes[:, :4], abs=1e-3)
    assert np.cos(2 * (back[:, 4] - boxes[:, 4])) == pytest.approx(1, abs=1e-5)
    assert torch.equal(view.of(view.of(maps.logits)), maps.logits)


def test_scores_are_means_and_boxes_are_weighted_by_them() -> None:
    first = HeadMaps(torch.logit(torch.full((1, 1, 2, 2), 0.6)), torch.zeros(1, 6, 2, 2))
    other = HeadMaps(torch.logit(torch.full((1, 1, 2, 2), 0.2)), torch.ones(1, 6, 2, 2))
    both = averaged(torch.zeros(1, 3, 8, 8), 2, lambda _: other, first=first)
    assert torch.sigmoid(both.logits) == pytest.approx(0.4 * np.ones((1, 1, 2, 2)), abs=1e-6)
    assert both.regression[0, 2] == pytest.approx(0.25 * np.ones((2, 2)), abs=1e-4)
    assert both.regression[0, 0] == pytest.approx(-0.25 * np.ones((2, 2)), abs=1e-4), "offsets turn with the window"
    assert averaged(torch.zeros(1, 3, 8, 8), 1, lambda _: other, first=first) is first


@pytest.mark.parametrize("n", [2, 4])
def test_the_network_says_the_same_of_a_window_whichever_way_round(n) -> None:
    torch.manual_seed(0)
    config = ModelConfig.model_validate(
        {
            "classes": ["ship"], "bands": ["a", "b"], "pixel_size_m": 10,
            "radiometry": {"kind": "fixed", "low": [0], "high": [1]},
            "kinds": [WindowKind(extent=256, level=0, halo=32)], "neck": 16, "grid": 16, "dim": 32, "views": n,
        }
    )  # fmt: skip
    net = PatchDriveNet(config=config).eval()
    windows, context = torch.rand(2, 2, 64, 64), torch.rand(2, 16)
    with torch.inference_mode():
        maps = net.inspect(windows, context)[1]
        for view in VIEWS[:n]:
            turned = view.back(net.inspect(view.of(windows), context)[1])
            assert torch.allclose(turned.logits, maps.logits, atol=1e-5)
            assert torch.allclose(turned.regression, maps.regression, atol=1e-5)
        single = PatchDriveNet(config=config.model_copy(update={"views": 1})).eval()
        single.load_state_dict(net.state_dict())
        assert not torch.allclose(single.inspect(windows, context)[1].logits, maps.logits, atol=1e-3)
