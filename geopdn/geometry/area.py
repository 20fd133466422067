"""Areas of interest: which pixels of a scene lie in a polygon of its map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from geopdn.geometry.ground import map_to_pixel, pixel_to_map

if TYPE_CHECKING:
    from affine import Affine

STEPS = 4
"""Points on the polygon's edge for every side of a cell."""


class InsidePolygon:
    """A test of level-0 positions: which lie in a polygon.

    Args:
        polygon: in map units.
        transform: level-0 pixels to map.
    """

    def __init__(self, polygon: shapely.Geometry, transform: Affine) -> None:
        shapely.prepare(polygon)
        self._polygon, self._transform = polygon, transform

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """`[N]` True where positions `[N, 2]` (column, row) lie in the polygon."""
        places = pixel_to_map(points, self._transform)
        return np.asarray(shapely.contains_xy(self._polygon, places[:, 0], places[:, 1]), np.bool_)

    def edge_cells(self, shape: tuple[int, ...], cell_px: int) -> NDArray[np.bool_]:
        """`[h, w]` True for the cells of a grid that the polygon's edge runs through.

        Parts narrower than a cell have neither its corners nor its centre in them, only their edge.
        """
        h, w = shape
        mask = np.zeros((h, w), np.bool_)
        edge = shapely.transform(shapely.boundary(self._polygon), lambda xy: map_to_pixel(xy, self._transform))
        edge = shapely.intersection(edge, shapely.box(0, 0, w * cell_px, h * cell_px))  # of large areas little is left
        cells = shapely.get_coordinates(shapely.segmentize(edge, cell_px / STEPS)) // cell_px
        col, row = cells.astype(np.int64).T
        known = (col >= 0) & (col < w) & (row >= 0) & (row < h)
        mask[row[known], col[known]] = True
        return mask
