"""Shares of a bound: arithmetic."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopdn.errors import ConfigError, ResourceLimitError
from geopdn.geometry.window import Size
from geopdn.memory import LEAST_PART, MB, NEEDS, Maps, Storage, in_round_mb, least_memory, parse_size
from geopdn.memory import plan_memory as plan_with

TORCH = NEEDS["torch"]


def plan_memory(*arguments, needs=TORCH, **others):
    return plan_with(*arguments, needs=needs, **others)


TILED = Storage("a.tif", block=Size(512, 512), block_bytes=512 * 512 * 3, n_bands=3)
COMPUTED = Storage("a.tif", block=Size(512, 512), block_bytes=512 * 512 * 3, n_bands=3, part_bytes=LEAST_PART)


def maps(side, *, n_windows=20):
    return Maps(size=Size(side, side), cell_px=32, n_sizes=3, grid=64, n_kinds=3, n_windows=n_windows)


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [("2GB", 2 * 10**9), ("1500MB", 1500 * MB), ("1.5 GiB", 3 << 29), ("800m", 800 * MB), ("2000000000", 2 * 10**9)],
)
def test_sizes(text, n_bytes):
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize("text", ["", "much", "-2GB", "0", "2XB", "1GB2", "12"])
def test_no_sizes(text):
    with pytest.raises(ConfigError, match=r"--memory .*: expected a size of at least 1MB, such as 2GB"):
        parse_size(text)


@given(st.integers(600, 200_000), st.integers(1_000, 64_000), st.sampled_from([TILED, COMPUTED]))
def test_the_shares_stay_within_the_bound_and_the_least_that_is_named_works(side, bound_mb, storage):
    try:
        plan = plan_memory(bound_mb * MB, storage, maps(side))
    except ResourceLimitError as error:
        least = int(re.search(r"--memory (\d+)MB$", str(error))[1])
        assert bound_mb < least == in_round_mb(least_memory(storage, maps(side), needs=TORCH).peak)
        assert plan_memory(least * MB, storage, maps(side)).peak <= least * MB
        with pytest.raises(ResourceLimitError):
            plan_memory((least - 20) * MB, storage, maps(side))
    else:
        assert plan.peak <= bound_mb * MB
        assert min(plan.cache, plan.maps, plan.work) > 0


def test_maps_of_a_hundred_thousand_pixels_are_hundreds_of_megabytes():
    assert 300 * MB < maps(100_000).n_bytes < 500 * MB
    assert maps(16_384).n_bytes < 15 * MB


def test_what_the_program_takes_counts():
    with pytest.raises(ResourceLimitError, match="is too little for 16,384 x 16,384 px: the program"):
        plan_memory(1650 * MB, TILED, maps(16_384), base=1400 * MB)
    assert plan_memory(1650 * MB, TILED, maps(16_384)).base == TORCH.base


@pytest.mark.parametrize("needs", NEEDS.values())
def test_more_tiles_side_by_side_take_more(needs):
    plans = [plan_memory(4000 * MB, TILED, maps(16_384), needs=needs, workers=n) for n in (1, 2, 4)]
    assert [plan.workers for plan in plans] == [1, 2, 4]
    assert plans[0].work < plans[1].work < plans[2].work
    assert plan_memory(int(plans[0].peak), TILED, maps(16_384), needs=needs, workers=4).workers == 1 or needs.tile == 0
    assert least_memory(TILED, maps(600), needs=NEEDS["onnxruntime"]).peak < 1000 * MB


def test_a_larger_bound_is_used():
    small, large = (plan_memory(bound * MB, COMPUTED, maps(16_384), workers=2) for bound in (1650, 4000))
    assert (small.workers, large.workers) == (1, 2)
    assert small.cache < large.cache
    assert small.part < large.part
    assert small.kept < large.kept
    assert plan_memory(4000 * MB, TILED, maps(16_384)).part == 0


def test_huge_blocks_are_refused_with_the_command_that_rewrites_the_file():
    block = Storage("old one.tif", block=Size(8_000, 20_000), block_bytes=480 * MB, n_bands=3, part_bytes=480 * MB)
    with pytest.raises(ResourceLimitError) as refused:
        plan_memory(4_000 * MB, block, maps(40_000))
    said = str(refused.value)
    assert "in blocks of 20,000 x 8,000 px, and a thread that reads one holds 480 MB. Rewrite it once: " in said
    assert "`gdal_translate -of COG -co COMPRESS=DEFLATE -co BIGTIFF=IF_SAFER 'old one.tif' 'old one.cog.tif'`" in said
    least = int(re.search(r"--memory (\d+)MB,", said)[1])
    assert plan_memory(least * MB, block, maps(40_000)).peak <= least * MB
