"""Areas of interest: which pixels of a scene lie in a polygon of its map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from geopdn.geometry.ground import pixel_to_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from affine import Affine


def inside_polygon(polygon: shapely.Geometry, transform: Affine) -> Callable[[NDArray[np.float64]], NDArray[np.bool_]]:
    """A test of level-0 positions `[N, 2]` (column, row): which lie in a polygon in map units."""
    shapely.prepare(polygon)

    def inside(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        places = pixel_to_map(points, transform)
        return np.asarray(shapely.contains_xy(polygon, places[:, 0], places[:, 1]), np.bool_)

    return inside
