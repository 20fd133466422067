"""The picture: what is light, what is dark, where the outlines are, equal bytes."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

from geopdn.output.picture import _round_length, _seen, render


def backdrop(height=128, width=256, value=200):
    return np.full((height, width, 3), value, np.uint8)


def draw(result, path, **options):
    render(result, backdrop(), backdrop_step=8, path=path, title="airport.tif", **options)
    return np.round(matplotlib.image.imread(path)[..., :3] * 255).astype(int)


def test_what_was_not_read_is_dark(make_result, tmp_path) -> None:
    """Windows 0-2 of the upper half were read, window 3 failed, the lower half was not chosen."""
    seen = _seen(make_result(0), (128, 256), 8)
    assert seen[:64, :192].all()
    assert not seen[64:].any()
    assert not seen[:, 192:].any()
    image = draw(make_result(0), tmp_path / "a.png")
    light, dark = (image == 200).all(-1), (image == 76).all(-1)  # 0.38 of 200
    rows = np.flatnonzero(light.any(1))
    assert 0.33 < light.sum() / (light | dark).sum() < 0.40  # 3/8 less the outlines
    assert np.flatnonzero(dark.any(1)).max() > rows.max()


def test_detections_are_drawn_at_their_places(make_result, tmp_path) -> None:
    bare = draw(make_result(0), tmp_path / "bare.png")
    image = draw(make_result(boxes=[[300, 700, 160, 80, 0.3], [1500, 900, 8, 4, 0]]), tmp_path / "boxes.png")
    scene = np.flatnonzero((bare == 76).all(-1).any(0))
    rows = np.flatnonzero((bare == 76).all(-1).any(1))
    left, right, bottom = scene.min(), scene.max() + 1, rows.max() + 1
    scale = (right - left) / 2048  # picture pixels per scene pixel
    top = bottom - 1024 * scale
    changed = (image != bare).any(-1)
    changed[: int(top)] = False  # the head tells the count
    changed[int(np.ceil(bottom)) :] = False  # the legend
    row, col = np.nonzero(changed)
    x, y = (col + 0.5 - left) / scale, (row + 0.5 - top) / scale
    large = x < 900
    assert (x[large].min() + x[large].max()) / 2 == pytest.approx(300, abs=4)
    assert (y[large].min() + y[large].max()) / 2 == pytest.approx(700, abs=4)
    assert np.ptp(x[large]) == pytest.approx(160 * np.cos(0.3) + 80 * np.sin(0.3), abs=8)
    assert (x[~large].min() + x[~large].max()) / 2 == pytest.approx(1500, abs=4)
    assert (y[~large].min() + y[~large].max()) / 2 == pytest.approx(900, abs=4)


def test_equal_runs_give_equal_bytes_without_a_date(make_result, tmp_path) -> None:
    chip = (backdrop(40, 40, 90), np.array([[20, 20, 20, 8, 0.5]]))
    for name in ("a.png", "bb.png"):
        draw(make_result(20), tmp_path / name, chips=[chip] * 8)
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "bb.png").read_bytes()
    assert b"Software" not in content
    assert b"tIME" not in content
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(("shape", "crs"), [((8, 400), "scene's"), ((400, 8), None)])
def test_extreme_shapes_fit_the_page(make_result, tmp_path, shape, crs) -> None:
    result = make_result(5)
    if crs is None:
        result = replace(result, frame=replace(result.frame, crs=None))
    chips = [(backdrop(20, 20), np.zeros((0, 5)))] * 4
    path = render(result, backdrop(*shape), backdrop_step=8, path=tmp_path / "a.png", title="$x_1", chips=chips)
    height, width = matplotlib.image.imread(path).shape[:2]
    assert 1200 <= width <= 1800
    assert height <= 1600


def test_round_lengths() -> None:
    assert [_round_length(x) for x in (1, 1.99, 2, 4.9, 5, 9.9, 10, 730, 0.3)] == [1, 1, 2, 2, 5, 5, 10, 500, 0.2]
