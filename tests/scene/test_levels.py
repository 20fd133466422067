import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geopdn.scene.levels import block_mean

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]


def slow_mean(values, valid, step):
    """One block at a time."""
    _, height, width = values.shape
    out = np.zeros((len(values), -(-height // step), -(-width // step)), values.dtype)
    mask = np.zeros(out.shape[1:], bool)
    for row, col in np.ndindex(mask.shape):
        part = np.s_[row * step : (row + 1) * step, col * step : (col + 1) * step]
        inside = valid[part]
        mask[row, col] = inside.mean() >= 0.5
        if mask[row, col]:
            mean = values[:, *part][:, inside].astype(np.float64).mean(1)
            out[:, row, col] = mean if values.dtype.kind == "f" else np.floor(mean + 0.5)
    return out, mask


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(DTYPES),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([1, 2, 4, 8]),
    st.floats(0, 1),
    st.integers(0, 99),
)
def test_block_mean_is_the_mean_of_valid_pixels(dtype, height, width, step, share, seed):
    rng = np.random.default_rng(seed)
    valid = rng.random((height, width)) >= share
    values = (
        rng.integers(-100, 100, (2, height, width)) if dtype[0] != "u" else rng.integers(0, 200, (2, height, width))
    )
    values = np.where(valid, values, 0).astype(dtype)
    mean, mask = block_mean(values, valid, step)
    expected, kept = slow_mean(values, valid, step)
    assert mean.dtype == values.dtype
    np.testing.assert_array_equal(mask, kept)
    np.testing.assert_allclose(mean.astype(float), expected.astype(float), rtol=1e-6)
    if valid.all():
        np.testing.assert_array_equal(block_mean(values, None, step)[0], mean)


@pytest.mark.parametrize("dtype", DTYPES[:6])
@pytest.mark.parametrize("step", [2, 256, 512])
def test_extremes_do_not_overflow(dtype, step):
    for value in (np.iinfo(dtype).max, np.iinfo(dtype).min):
        mean, valid = block_mean(np.full((1, step, step), value, dtype), None, step)
        assert mean.tolist() == [[[value]]]
        assert valid is None
