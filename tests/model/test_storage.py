"""How tensors are stored in a weights file."""

from __future__ import annotations

import torch

from geopdn.model.storage import LARGE, SCALE, pack, unpack


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "large.weight": torch.randn(512, 256, 1, 1) * torch.rand(512, 1, 1, 1),
        "small.weight": torch.randn(8, 8, 3, 3),
        "head.calibration": torch.tensor([[0.1234567, 1e-6]]),
        "norm.num_batches_tracked": torch.tensor(12345),
    }


def test_large_convolutions_take_a_byte_an_element_and_stay_close():
    stored = pack(state())
    assert stored["large.weight"].dtype == torch.int8
    assert stored["large.weight"].numel() >= LARGE
    back = unpack(stored)["large.weight"]
    step = state()["large.weight"].abs().amax((1, 2, 3), keepdim=True) / 127
    assert bool(((back - state()["large.weight"]).abs() <= 0.51 * step).all())


def test_the_rest_is_kept_as_float16_or_exactly():
    stored = pack(state())
    assert stored["small.weight"].dtype == torch.float16
    torch.testing.assert_close(stored["head.calibration"], state()["head.calibration"], rtol=0, atol=0)
    assert stored["norm.num_batches_tracked"].item() == 12345
    assert set(unpack(stored)) == set(state())


def test_what_was_stored_once_is_stored_the_same_again():
    once = pack(state())
    again = pack(unpack(once))
    assert all(torch.equal(once[key], again[key]) for key in once if not key.endswith(SCALE))


def test_a_channel_of_zeros_stays_zero():
    weight = torch.randn(512, 256, 1, 1)
    weight[3] = 0
    assert not unpack(pack({"w": weight}))["w"][3].any()
