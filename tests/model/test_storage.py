"""How weights are stored in a file."""

from __future__ import annotations

import numpy as np

from geopdn.model.storage import LARGE, SCALE, pack, unpack


def state() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "large.weight": random.standard_normal((512, 256, 1, 1), np.float32)
        * random.random((512, 1, 1, 1), np.float32),
        "small.weight": random.standard_normal((8, 8, 3, 3), np.float32),
        "head.calibration": np.array([[0.1234567, 1e-6]], np.float32),
        "norm.num_batches_tracked": np.array(12345),
    }


def test_large_convolutions_take_a_byte_an_element_and_stay_close():
    stored = pack(state())
    assert stored["large.weight"].dtype == np.int8
    assert stored["large.weight"].size >= LARGE
    back = unpack(stored)["large.weight"]
    step = np.abs(state()["large.weight"]).max((1, 2, 3), keepdims=True) / 127
    assert (np.abs(back - state()["large.weight"]) <= 0.51 * step).all()


def test_the_rest_is_kept_as_float16_or_exactly():
    stored = pack(state())
    assert stored["small.weight"].dtype == np.float16
    assert np.array_equal(stored["head.calibration"], state()["head.calibration"])
    assert stored["norm.num_batches_tracked"].shape == ()
    assert stored["norm.num_batches_tracked"].item() == 12345
    assert set(unpack(stored)) == set(state())


def test_what_was_stored_once_is_stored_the_same_again():
    once = pack(state())
    again = pack(unpack(once))
    assert all(np.array_equal(once[key], again[key]) for key in once if not key.endswith(SCALE))


def test_a_channel_of_zeros_stays_zero():
    weight = np.ones((512, 256, 1, 1), np.float32)
    weight[3] = 0
    assert not unpack(pack({"w": weight}))["w"][3].any()
