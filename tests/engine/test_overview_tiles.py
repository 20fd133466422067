"""A large overview is looked at in tiles: each pixel once, with what lies around, and the answers of one whole pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geopdn.engine import overview_pass
from geopdn.engine.overview_pass import HALO, TILE, look_at_overview, tiles_of
from geopdn.geometry.window import Size
from geopdn.model.network import network_of
from geopdn.model.weights import find_weights, load_weights
from geopdn.scene import Radiometry, Scene, resolve_stretch

SAMPLE = Path(__file__).parents[2] / "sample_scenes" / "airport.tif"


@pytest.mark.parametrize("size", [Size(1, 1), Size(16, 320), Size(320, 317), Size(TILE, TILE + 1), Size(4096, 5000)])
def test_cores_cover_the_overview_once_and_views_hold_them(size):
    looked = np.zeros((size.height + 16, size.width + 16), int)
    for tile in tiles_of(size, level=3):
        core, view = tile.core, tile.view
        looked[core.row : core.row_stop, core.col : core.col_stop] += 1
        assert core.height <= TILE
        assert core.width <= TILE
        assert view.height % 32 == 0
        assert view.width % 32 == 0
        assert core.row - view.row == core.col - view.col == HALO
        assert view.row_stop - core.row_stop >= HALO
        assert view.col_stop - core.col_stop >= HALO
    assert (looked[: size.height, : size.width] == 1).all()


def test_tiles_say_what_a_whole_pass_says(monkeypatch):
    model = load_weights(find_weights("aircraft-50cm"))
    net = network_of(model)
    maps = {}
    with Scene.open(SAMPLE, bands=net.config.bands) as scene:
        stretch = resolve_stretch(scene, Radiometry.from_dict(net.config.radiometry.model_dump()))
        for side in (512, 256, 128):
            monkeypatch.setattr(overview_pass, "TILE", side)
            maps[side] = look_at_overview(scene, net, stretch=stretch)
    whole = maps[512].rate.sum(0)
    # The network sees farther than a tile's surroundings, but hardly: tiles of 128 px differ by 0.058.
    for side, apart in ((256, 0.02), (128, 0.07)):  # 4 and 16 tiles; a search has them of 1,024 px
        rate = maps[side].rate.sum(0)
        assert np.abs(rate - whole).sum() < apart * whole.sum()
        assert np.array_equal(maps[side].valid, maps[512].valid)
        assert maps[512].grid is not None
        assert np.abs(maps[side].grid - maps[512].grid).mean(dtype=float) < apart * np.abs(maps[512].grid).mean(
            dtype=float
        )
