"""Objects take other colours; what lies around them does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geopdn.train.radiance import recoloured


@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_only_objects_change_and_about_half_of_them(angle):
    pixels = torch.full((3, 200, 200), 0.5)
    boxes = np.array([[20 + 40 * (k % 5), 20 + 40 * (k // 5), 20.0, 8.0, angle] for k in range(25)])
    changed = recoloured(pixels, boxes, strength=0.4, rng=np.random.default_rng(3))
    centres = changed[:, boxes[:, 1].astype(int), boxes[:, 0].astype(int)]  # [3, 25]
    other = (centres != 0.5).any(0)
    assert 8 <= int(other.sum()) <= 17
    assert torch.equal(changed[:, 0:8], pixels[:, 0:8])  # no object reaches there
    assert torch.equal(changed[:, 38:42], pixels[:, 38:42])
    ratio = centres[:, other] / 0.5
    assert float(ratio.min()) >= np.exp(-1) - 1e-6
    assert float(ratio.max()) <= np.e + 1e-6
    assert float(ratio.std(0).mean()) > 0.05  # bands change apart: colours, not brightness alone


def test_no_object_no_change():
    pixels = torch.rand(2, 16, 16)
    assert torch.equal(recoloured(pixels, np.zeros((0, 5)), strength=0.4, rng=np.random.default_rng(0)), pixels)
