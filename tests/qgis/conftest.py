"""A small result on the sample scene's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from geopdn.detections import Detections, RunResult, SceneFrame, WindowRecord
from geopdn.geometry.window import Size, Window
from geopdn.output.write import write_result

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def saved_result(tmp_path: Path) -> Path:
    """A GeoPackage with three detections and four windows."""
    zeros = np.zeros(3, np.int64)
    boxes = np.array([[100, 100, 40, 30, 0], [700, 100, 40, 30, 0], [100, 700, 40, 30, 0]], float)
    place = Affine(0.5, 0, 431_000, 0, -0.5, 4_870_000)
    windows = tuple(
        WindowRecord(n, Window(0, 512 * n, 512, 512), Window(0, 512 * n, 512, 512), "512", "plan", 0, 1.0)
        for n in range(4)
    )
    result = RunResult(
        frame=SceneFrame("airport.tif", Size(4096, 4096), place, CRS.from_epsg(32631)),
        classes=("aircraft",),
        has_heading=False,
        detections=Detections(boxes, np.array([0.9, 0.8, 0.7]), zeros, zeros, zeros, np.zeros(3, bool)),
        windows=windows,
        facts={"model": "m", "pixel_size_m": 0.5},
    )
    return write_result(result, tmp_path / "result.gpkg")
