"""Values: what detectors are fed is what they say they take."""

from __future__ import annotations

import numpy as np
import pytest

from geopdn.detectors.values import BYTES, PHYSICAL, STORED, Scaling, parse_values
from geopdn.errors import ConfigError


def scaled(scaling, values, *, scales=(1.0,), offsets=(0.0,)):
    limits = scaling.limits_of(scales=scales, offsets=offsets)
    return scaling.bind(scales=scales, offsets=offsets, limits=limits).apply(np.asarray(values)[:, None, None])[:, 0, 0]


def test_bytes_become_zero_to_one_whatever_scale_the_file_states():
    assert scaled(BYTES, np.array([51], np.uint8), scales=(2.0,), offsets=(7.0,)) == pytest.approx([0.2])


def test_standardization_follows_the_scaling_band_by_band():
    scaling = Scaling("stored", (0.0,), (255.0,), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    values = np.array([0, 128, 255], np.uint8)
    expected = (values / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert scaled(scaling, values, scales=(1.0,) * 3, offsets=(0.0,) * 3) == pytest.approx(expected, rel=1e-6)


def test_physical_values_use_scale_and_offset_of_the_file():
    stored = np.array([1500], np.uint16)
    assert scaled(PHYSICAL, stored, scales=(1e-4,), offsets=(-0.1,)) == pytest.approx([0.05])
    assert scaled(STORED, stored, scales=(1e-4,), offsets=(-0.1,)) == pytest.approx([1500])
    assert scaled(parse_values("0..0.2"), stored, scales=(1e-4,), offsets=(-0.1,)) == pytest.approx([0.25])


def test_limits_of_the_options_clip_and_may_end_at_255():
    assert scaled(parse_values("100..300:255"), np.array([50], np.uint16)) == pytest.approx([0.0])
    assert scaled(parse_values("100..300:255"), np.array([200], np.uint16)) == pytest.approx([127.5])
    assert scaled(parse_values("-10..10"), np.array([40.0], np.float32)) == pytest.approx([1.0])


def test_what_is_not_finite_becomes_finite_and_flat_bands_zero():
    assert scaled(STORED, np.array([np.nan], np.float32)) == pytest.approx([0.0])
    line = parse_values("2%..98%").bind(scales=(1.0,), offsets=(0.0,), limits=(np.array([5.0]), np.array([5.0])))
    assert line.apply(np.full((1, 2, 2), 5, np.uint16)) == pytest.approx(np.zeros((1, 2, 2)))


def test_large_integers_lose_nothing_before_they_are_scaled():
    scaling = Scaling("stored", (2.0**31,), (2.0**31 + 10,))
    assert scaled(scaling, np.array([2**31 + 5], np.uint32)) == pytest.approx([0.5])


@pytest.mark.parametrize("text", ["", "3000", "0..", "5..1", "2%..98", "-5%..98%", "0..3000:7", "nan..1", "raw:255"])
def test_values_that_mean_nothing_are_refused(text):
    with pytest.raises(ConfigError, match="--detector-values"):
        parse_values(text)


@pytest.mark.parametrize(
    "changes",
    [{"low": (1.0,), "high": (1.0,)}, {"std": (0.0,)}, {"mean": (0.0, 0.0), "std": (1.0,) * 3}, {"top": float("nan")}],
)
def test_scalings_that_cannot_be_are_refused(changes):
    with pytest.raises(ConfigError, match="detector's values"):
        Scaling(**{"kind": "stored", "low": (0.0,), "high": (1.0,), **changes})


@pytest.mark.parametrize(
    ("scaling", "text"),
    [
        (BYTES, "stored values 0 to 255 as 0..1"),
        (PHYSICAL, "physical values"),
        (parse_values("2%..98%:255"), "percentiles 2 to 98 of each band to 0..255"),
    ],
)
def test_a_scaling_is_said_in_words(scaling, text):
    assert str(scaling) == text
