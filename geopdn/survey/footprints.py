"""Where scenes lie relative to each other on the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import CRS

from geopdn.geometry import ground

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geopdn.survey.survey import SurveyedScene

# Points along each edge: edges that are straight in the scene's system are curved in another.
EDGE_POINTS = 8
# Scenes that share less of the smaller one's area than this only touch.
SHARED_AREA = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Pairs of scenes that are near each other.

    Attributes:
        first: `[P]` indices, below `second`.
        second: `[P]` indices.
        shared: `[P]` area that both show, as a share of the smaller scene.
        distance: `[P]` gap between the two, as a share of the longer side of the larger scene; 0 where they touch.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    shared: NDArray[np.float64]
    distance: NDArray[np.float64]


def neighbours(scenes: Sequence[SurveyedScene], *, within: float = 0.0) -> Neighbours:
    """The pairs of scenes that overlap or lie near each other.

    Args:
        scenes: with CRS.
        within: the largest gap, as a share of the longer side of the larger scene.
    """
    outlines = [_lon_lat_outline(scene) for scene in scenes]
    sides = np.array([max(s.frame.size.height, s.frame.size.width) * s.pixel_m for s in scenes])
    first, second = np.triu_indices(len(scenes), k=1)
    centres = np.array([outline.mean(0) for outline in outlines]).reshape(-1, 2)
    apart = ground.GEOD.inv(*centres[first].T, *centres[second].T)[2]
    # a scene reaches at most 0.71 of its longer side from its centre
    near = apart <= (0.72 + within) * (sides[first] + sides[second])
    first, second = first[near], second[near]
    shared, distance = np.zeros(len(first)), np.zeros(len(first))
    for k, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        local = CRS.from_proj4(f"+proj=laea +lon_0={centres[a][0]} +lat_0={centres[a][1]} +datum=WGS84 +units=m")
        to_local = ground.transformer(ground.LON_LAT, local).transform
        one, other = (shapely.Polygon(np.stack(to_local(*outlines[i].T), -1)) for i in (a, b))
        shared[k] = one.intersection(other).area / min(one.area, other.area)
        distance[k] = one.distance(other) / max(sides[a], sides[b])
    keep = distance <= within
    return Neighbours(first[keep], second[keep], shared[keep], distance[keep])


def _lon_lat_outline(scene: SurveyedScene) -> NDArray[np.float64]:
    """Longitudes and latitudes `[N, 2]` along the scene's outline."""
    height, width = scene.frame.size.height, scene.frame.size.width
    t = np.linspace(0, 1, EDGE_POINTS, endpoint=False)
    zero, one = np.zeros_like(t), np.ones_like(t)
    ring = np.concatenate([np.stack(p, 1) for p in ((t, zero), (one, t), (1 - t, one), (zero, 1 - t))])
    pixels = ring * np.array([width, height], np.float64)
    assert scene.frame.crs is not None  # the survey refuses scenes without
    return ground.to_lon_lat(ground.pixel_to_map(pixels, scene.frame.transform), scene.frame.crs)
