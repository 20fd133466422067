"""Which labels lie in which scene; and, where none does, in which system they would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import CRS

from geopdn.errors import GeoreferenceError, LabelError
from geopdn.geometry import ground

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geopdn.detections import SceneFrame

    Mask = NDArray[np.bool_]
    Bounds = NDArray[np.float64]

# Labels that fall into the scenes by this share under another reading of their coordinates show what went wrong.
TELLING_SHARE = 0.5
WEB_MERCATOR = CRS.from_epsg(3857)
MOST_POINTS = 2_000


def touching(geometries: NDArray[np.object_], crs: CRS, frame: SceneFrame) -> Mask:
    """`[F]` True for the geometries whose bounds in the scene's pixels touch the scene.

    Args:
        geometries: `[F]` map geometries, possibly None or empty: these touch nothing.
        crs: their system.
        frame: the scene, with a CRS.

    Raises:
        LabelError: no operation leads from one system to the other.
    """
    points, owner = shapely.get_coordinates(geometries, return_index=True)
    pixels = _pixels(points, crs, frame)
    known = np.isfinite(pixels).all(1)
    low = np.full((len(geometries), 2), np.inf)
    high = np.full((len(geometries), 2), -np.inf)
    np.minimum.at(low, owner[known], pixels[known])
    np.maximum.at(high, owner[known], pixels[known])
    limits = np.array([frame.size.width, frame.size.height])
    inside: Mask = (low < limits) & (high > 0)
    touches: Mask = np.asarray(inside.all(1), np.bool_)
    touches[owner[~known]] = False
    return touches


def other_reading(geometries: NDArray[np.object_], crs: CRS | None, frames: Sequence[SceneFrame]) -> str:
    """Under which other system, or with x and y swapped, the labels would lie in the scenes; empty if under none.

    Args:
        geometries: `[F]` map geometries that touch no scene as they are.
        crs: their declared system, None where there is none.
        frames: the scenes, with CRS.
    """
    shown = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    if not shown.any():
        return ""
    centres = shapely.get_coordinates(shapely.centroid(geometries[shown]))
    centres = centres[:: max(1, len(centres) // MOST_POINTS)]
    systems = [] if crs is None else [crs]
    for system in (*(frame.crs for frame in frames), ground.LON_LAT, WEB_MERCATOR):
        if system is not None and system not in systems:
            systems.append(system)
    for system in systems:
        for swapped in (False, True):
            if system == crs and not swapped:
                continue
            inside = _share_inside(centres[:, ::-1] if swapped else centres, system, frames)
            if inside >= TELLING_SHARE:
                turned = " with x and y swapped" if swapped else ""
                same = " as declared" if system == crs else ""
                return f"read as {name_of(system)}{same}{turned}, {inside:.0%} of them would lie there"
    return ""


def name_of(crs: CRS | None) -> str:
    """Code and name of a system."""
    if crs is None:
        return "no CRS"
    code = crs.to_authority()
    return crs.name if code is None else f"{':'.join(code)} ({crs.name})"


def _share_inside(points: NDArray[np.float64], crs: CRS, frames: Sequence[SceneFrame]) -> float:
    """Share of map points `[N, 2]` that lie in any scene."""
    inside = np.zeros(len(points), np.bool_)
    for frame in frames:
        try:
            pixels = _pixels(points, crs, frame)
        except LabelError:
            continue
        limits = np.array([frame.size.width, frame.size.height])
        inside |= ((pixels >= 0) & (pixels < limits)).all(1)  # False where not finite
    return float(inside.mean())


def _pixels(points: NDArray[np.float64], crs: CRS, frame: SceneFrame) -> NDArray[np.float64]:
    """Pixels `[N, 2]` of map points; not finite outside the domain of the scene's CRS."""
    if frame.crs is not None and crs != frame.crs:
        try:
            points = np.stack(ground.transformer(crs, frame.crs).transform(points[:, 0], points[:, 1]), -1)
        except GeoreferenceError as error:
            raise LabelError(f"labels cannot be brought to the CRS of {frame.name}: {error}") from error
    with np.errstate(invalid="ignore"):  # infinite outside the domain
        return ground.map_to_pixel(points.reshape(-1, 2), frame.transform)
