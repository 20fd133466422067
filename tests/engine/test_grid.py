"""Where windows lie on the global grid: what the network itself says, in arrays."""

from __future__ import annotations

import numpy as np
import torch

from geopdn.coverage import Planned
from geopdn.engine.grid import places_of, sampled, token_places
from geopdn.geometry.window import Window
from geopdn.model.fusion import sample_grid
from geopdn.model.patchdrivenet import PatchDriveNet


def planned(row, col, extent, level):
    side = extent >> level
    window = Window(row >> level, col >> level, side, side, level)
    return Planned(kind=0, core=window.at_full_resolution(), window=window, gain=0.0)


def test_places_and_vectors_are_those_of_the_network():
    net = PatchDriveNet().eval()
    items = [planned(0, 0, 512, 0), planned(-128, 2048, 1024, 1), planned(4000, 3600, 2048, 2)]
    places = places_of(items)
    assert places.tolist() == [[0, 0, 512], [-128, 2048, 1024], [4000, 3600, 2048]]
    row, col, extent = torch.from_numpy(places).unbind(1)
    ours = token_places(places, grid_px=net.grid_px)
    np.testing.assert_allclose(ours, net.token_places(row, col, extent).numpy(), rtol=1e-6)
    grid = np.random.default_rng(0).standard_normal((5, 31, 29)).astype(np.float16)
    theirs = sample_grid(
        torch.from_numpy(grid), (col + extent / 2) / net.grid_px, (row + extent / 2) / net.grid_px
    ).numpy()
    assert theirs.shape == (3, 5)
    np.testing.assert_allclose(sampled(grid, places, grid_px=net.grid_px), theirs, atol=1e-5)
