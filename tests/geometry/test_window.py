"""Windows and sizes: arithmetic against sets of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geopdn.geometry.window import Size, Window

windows = st.builds(
    Window, st.integers(-20, 20), st.integers(-20, 20), st.integers(1, 15), st.integers(1, 15), st.just(0)
)


def painted(window: Window) -> np.ndarray:
    """The window on a canvas that starts at row -64, column -64."""
    canvas = np.zeros((192, 192), bool)
    canvas[window.row + 64 : window.row_stop + 64, window.col + 64 : window.col_stop + 64] = True
    return canvas


@settings(deadline=None)
@given(windows, windows)
def test_intersection_is_that_of_the_pixels(a: Window, b: Window) -> None:
    both = painted(a) & painted(b)
    common = a.intersection(b)
    assert common == b.intersection(a)
    if common is None:
        assert not both.any()
    else:
        np.testing.assert_array_equal(painted(common), both)


@settings(deadline=None)
@given(windows, st.integers(1, 10), st.integers(1, 10))
def test_clip_is_idempotent_and_inside(window: Window, height: int, width: int) -> None:
    clipped = window.clip(Size(height, width))
    if clipped is None:
        assert window.row >= height or window.col >= width or window.row_stop <= 0 or window.col_stop <= 0
    else:
        assert clipped.clip(Size(height, width)) == clipped
        assert clipped.row >= 0
        assert clipped.col >= 0
        assert clipped.row_stop <= height
        assert clipped.col_stop <= width


@settings(deadline=None)
@given(windows, st.integers(0, 4))
def test_full_resolution_repeats_every_pixel(window: Window, level: int) -> None:
    full = Window(window.row, window.col, window.height, window.width, level).at_full_resolution()
    assert full.level == 0
    assert full.area == window.area * 4**level
    assert (full.row, full.col) == (window.row * 2**level, window.col * 2**level)


@settings(deadline=None)
@given(windows, st.integers(0, 9))
def test_expand_grows_each_side(window: Window, margin: int) -> None:
    grown = window.expand(margin)
    assert (grown.row, grown.col) == (window.row - margin, window.col - margin)
    assert (grown.row_stop, grown.col_stop) == (window.row_stop + margin, window.col_stop + margin)


def test_levels_do_not_mix() -> None:
    with pytest.raises(ValueError, match="levels 0 and 1"):
        Window(0, 0, 2, 2).intersection(Window(0, 0, 2, 2, 1))


@pytest.mark.parametrize("values", [(0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 1, 1, -1)])
def test_bad_windows_are_refused(values: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="height, width >= 1"):
        Window(*values)


def test_half_pixels_are_refused() -> None:
    with pytest.raises(TypeError, match="whole pixels"):
        Window(0.5, 0, 1, 1)  # type: ignore[arg-type]


def test_size_of_levels_counts_partial_pixels() -> None:
    assert Size(1001, 999).at_level(0) == Size(1001, 999)
    assert Size(1001, 999).at_level(3) == Size(126, 125)
    assert Size(1, 100_000).at_level(4) == Size(1, 6250)
    assert Size(3, 5).area == 15


def test_size_needs_a_pixel() -> None:
    with pytest.raises(ValueError, match="at least 1 x 1"):
        Size(0, 4)
