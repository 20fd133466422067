"""From sizes of objects to windows, levels and training: known cases, and laws for any sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopdn.config import ModelConfig, RadiometryConfig, TrainingConfig
from geopdn.survey.recipe import Sizes, levels, overview_scale, propose

ANY_SIZES = st.builds(
    lambda lengths, ratio: Sizes.of(np.stack([lengths, np.array(lengths) * ratio], 1)),
    st.lists(st.floats(1.5, 4000), min_size=1, max_size=30),
    st.floats(0.05, 1),
)


def model_of(recipe):
    return ModelConfig(
        classes=("x",),
        bands=("1",),
        pixel_size_m=1.0,
        radiometry=RadiometryConfig(kind="fixed", low=(0.0,), high=(1.0,)),
        global_scale=recipe.global_scale,
        size_edges_px=recipe.size_edges_px,
        kinds=recipe.kinds,
        head_stride=recipe.head_stride,
        neck=recipe.neck,
    )


def test_sizes_are_percentiles():
    sizes = Sizes.of(np.stack([np.arange(1.0, 102), np.full(101, 3.0)], 1))
    assert (sizes.short, sizes.middle, sizes.long, sizes.width) == (11, 51, 96, 3)
    assert (sizes.lower, sizes.upper) == pytest.approx((34.33, 67.67), abs=0.01)


def test_vessels_of_a_few_pixels():
    """As configs/vessels-sentinel2.yaml has them."""
    recipe = propose(Sizes(short=9, lower=11, middle=15, upper=21, long=36, width=7), scene_px=480, n_objects=92)
    assert recipe.global_scale == 0.25
    assert [(kind.extent, kind.level, kind.halo) for kind in recipe.kinds] == [(512, 0, 32), (256, 0, 32)]
    assert (recipe.head_stride, recipe.neck, recipe.match_iou) == (2, 32, 0.3)
    assert (recipe.region_px, recipe.window_px, recipe.level_shares, recipe.steps) == (512, 192, (1.0,), 2000)
    assert recipe.size_edges_px == (11, 21)


def test_aircraft_of_many_pixels():
    """As configs/aircraft-50cm.yaml has them, with halos for the longest."""
    recipe = propose(Sizes(short=64, lower=81, middle=94, upper=110, long=184, width=77), scene_px=2560, n_objects=1500)
    assert recipe.global_scale == 0.125
    assert [(kind.extent, kind.level) for kind in recipe.kinds] == [(1024, 1), (512, 1), (2048, 2)]
    assert (recipe.head_stride, recipe.neck, recipe.match_iou) == (4, 48, 0.5)
    assert (recipe.region_px, recipe.window_px, recipe.level_shares) == (2048, 320, (0.0, 0.65, 0.35))


@given(sizes=ANY_SIZES, scene_px=st.floats(10, 1e5), n=st.integers(1, 10**6))
def test_every_recipe_is_a_model_that_sees_its_objects(sizes, scene_px, n):
    recipe = propose(sizes, scene_px=scene_px, n_objects=n)
    model_of(recipe)  # what pydantic checks: cores, multiples, increasing edges
    TrainingConfig(
        region_px=recipe.region_px, window_px=recipe.window_px, level_shares=recipe.level_shares, steps=recipe.steps
    )
    fine, coarse = levels(sizes)
    assert 0 <= fine <= coarse <= 4
    assert {kind.level for kind in recipe.kinds} == set(range(fine, coarse + 1))
    assert fine == 0 or sizes.short / 2**fine >= 20
    assert coarse == 4 or 2 * sizes.long <= 512 << coarse  # the widest window holds the long objects
    for kind in recipe.kinds:
        assert kind.halo >= min(sizes.long / 2, kind.extent / 4, 1024)
    assert sum(recipe.level_shares) == pytest.approx(1)
    assert [share > 0 for share in recipe.level_shares] == [fine <= k for k in range(coarse + 1)]
    assert recipe.global_scale == overview_scale(sizes) == (0.25 if sizes.short < 16 else 0.125)
    assert all(reason and "\n" not in reason for reason in recipe.reasons.values())


@given(sizes=ANY_SIZES)
def test_twice_the_pixels_are_read_a_level_coarser(sizes):
    double = Sizes(*(2 * getattr(sizes, name) for name in ("short", "lower", "middle", "upper", "long", "width")))
    (fine, coarse), (fine2, coarse2) = levels(sizes), levels(double)
    assert fine <= fine2 <= fine + 1
    assert coarse <= coarse2 <= coarse + 1 or coarse2 == fine2
