"""Shares of a bound: arithmetic."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geopdn.errors import ConfigError, ResourceLimitError
from geopdn.geometry.window import Size
from geopdn.memory import BASE, MB, Maps, Storage, check_block, parse_size, plan_memory

TILED = Storage("a.tif", block=Size(512, 512), block_bytes=512 * 512 * 3, n_bands=3)


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


@given(st.integers(600, 200_000), st.integers(1_000, 64_000), st.booleans())
def test_the_shares_stay_within_the_bound_and_the_least_that_is_named_works(side, bound_mb, computed):
    try:
        plan = plan_memory(bound_mb * MB, TILED, maps(side), computed=computed)
    except ResourceLimitError as error:
        least = int(re.search(r"--memory (\d+)MB$", str(error))[1])
        assert least > bound_mb
        assert plan_memory(least * MB, TILED, maps(side), computed=computed).peak <= least * MB
        with pytest.raises(ResourceLimitError):
            plan_memory((least - 20) * MB, TILED, maps(side), computed=computed)
    else:
        assert plan.peak <= bound_mb * MB
        assert min(plan.cache, plan.maps, plan.work) > 0


def test_maps_of_a_hundred_thousand_pixels_are_hundreds_of_megabytes():
    assert 300 * MB < maps(100_000).n_bytes < 500 * MB
    assert maps(16_384).n_bytes < 15 * MB


def test_what_the_program_takes_counts():
    with pytest.raises(ResourceLimitError, match="is too little for 16,384 x 16,384 px: the program"):
        plan_memory(1200 * MB, TILED, maps(16_384), base=1100 * MB)
    assert plan_memory(1300 * MB, TILED, maps(16_384)).base == BASE


def test_huge_blocks_are_refused_with_the_command_that_rewrites_the_file():
    strip = Storage("old.tif", block=Size(20_000, 20_000), block_bytes=1200 * MB, n_bands=3)
    with pytest.raises(ResourceLimitError) as refused:
        check_block(strip, 4_000 * MB)
    assert "`gdal_translate -co TILED=YES -co BLOCKXSIZE=512 -co BLOCKYSIZE=512" in str(refused.value)
    assert "old.tif old.tiled.tif && gdaladdo -r average old.tiled.tif 2 4 8 16`" in str(refused.value)
    check_block(strip, 64_000 * MB)
