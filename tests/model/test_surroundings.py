"""Rates are worth what is expected around them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from geopdn.model import surroundings
from geopdn.model.saliency import AROUND_KNOTS, SaliencyHead
from geopdn.model.surroundings import REACH, SIGMA_CELLS, correct, log_around


def test_what_is_around_counts_objects_in_a_gaussian_window():
    total = np.full((120, 140), 0.01, np.float32)
    valid = np.ones(total.shape, np.bool_)
    expected = 0.01 * 2 * math.pi * SIGMA_CELLS**2
    np.testing.assert_allclose(np.exp(log_around(total, valid)), expected, rtol=1e-3)  # at the edges, too
    valid[:, 70:] = False
    total[:, 70:] = 0
    np.testing.assert_allclose(np.exp(log_around(total, valid))[:, :70], expected, rtol=1e-3)
    one = np.zeros((80, 80), np.float32)
    one[40, 40] = 1.0
    assert math.exp(log_around(one, np.ones(one.shape, np.bool_))[40, 40]) == pytest.approx(1.0, rel=1e-3)


def test_no_values_change_nothing_and_values_are_factors():
    rng = np.random.default_rng(0)
    rate = rng.gamma(0.05, 0.2, (3, 90, 70)).astype(np.float32)
    valid = rng.random((90, 70)) < 0.9
    rate *= valid
    same = rate.copy()
    correct(same, valid, np.zeros(len(AROUND_KNOTS)))
    np.testing.assert_array_equal(same, rate)
    halved = rate.copy()
    correct(halved, valid, np.full(len(AROUND_KNOTS), math.log(0.5)))
    np.testing.assert_allclose(halved, rate / 2, rtol=1e-6)


def test_lonely_rates_lose_and_company_keeps():
    values = np.interp(AROUND_KNOTS, [math.log(0.1), math.log(10)], [-3.0, 0.0])
    rate = np.zeros((1, 200, 100), np.float32)
    rate[0, 30, 50] = 0.1
    rate[0, 150:160, 45:55] = 0.1
    correct(rate, np.ones((200, 100), np.bool_), values)
    assert rate[0, 30, 50] == pytest.approx(0.1 * math.exp(-3), rel=0.05)
    assert rate[0, 155, 50] > 0.08


def test_strips_say_what_the_whole_says(monkeypatch):
    rng = np.random.default_rng(1)
    rate = rng.gamma(0.05, 0.2, (2, 4 * REACH + 7, 50)).astype(np.float32)
    valid = np.ones(rate.shape[1:], np.bool_)
    values = np.array([-4.0, -3.0, -2.0, -0.5, 0.0, 0.3])
    whole, parts = rate.copy(), rate.copy()
    correct(whole, valid, values)
    monkeypatch.setattr(surroundings, "STRIP_CELLS", 50)
    correct(parts, valid, values)
    np.testing.assert_allclose(parts, whole, rtol=1e-5)


def test_a_new_head_corrects_nothing():
    assert not SaliencyHead(8, n_sizes=3).surroundings.any()
    assert SaliencyHead(8, n_sizes=3).surroundings.dtype == torch.float32
