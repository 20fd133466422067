"""Areas of interest: polygons of any system as a test of scene pixels."""

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopdn.errors import GeoreferenceError, LabelError

if TYPE_CHECKING:
    import numpy as np
    from geopandas import GeoDataFrame
    from numpy.typing import NDArray
    from pyproj import CRS

    from geopdn.scene import PixelSource

PIECES = 128
"""Edges are cut into pieces of this fraction of the area's extent, so that they stay straight in another system."""


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """One (multi)polygon.

    Attributes:
        name: the file.
        geometry: valid, in map units of `crs`.
        crs: its system.
    """

    name: str
    geometry: Any
    crs: "CRS"


def read_area(area: "str | PathLike[str] | GeoDataFrame") -> Area:
    """The union of the polygons of a file or a table.

    Raises:
        LabelError: the file cannot be read, or it has no polygon or no CRS.
    """
    import numpy as np
    import shapely
    from pyproj import CRS

    from geopdn.evaluate.layers import read_layer

    is_file = isinstance(area, str | PathLike)
    name = fspath(area) if is_file else "table"
    table: Any = read_layer(Path(area), preferred="aoi") if is_file else area
    if table.crs is None:
        raise LabelError(f"--aoi {name} has no CRS: assign one")
    shapes = np.asarray(table.geometry.values, object)
    shapes = shapes[~shapely.is_missing(shapes)]
    polygons = shapely.make_valid(shapely.force_2d(shapes[shapely.get_dimensions(shapes) == 2]))
    whole = shapely.union_all(polygons)
    if whole.is_empty or whole.area == 0:
        raise LabelError(f"--aoi {name} has no polygon: draw the area as polygons")
    return Area(name=name, geometry=whole, crs=CRS.from_user_input(table.crs))


def area_of(area: Area, source: "PixelSource") -> Any:
    """The area as a polygon in map units of a scene.

    Raises:
        GeoreferenceError: the scene has no CRS, or the area does not touch the scene or cannot be brought to its CRS.
    """
    import numpy as np
    import shapely

    from geopdn.geometry.ground import pixel_to_map, transformer

    if source.crs is None:
        raise GeoreferenceError(f"{source.name} has no CRS, so --aoi {area.name} has no place in it: leave it out")
    geometry = area.geometry
    if area.crs != source.crs:
        x0, y0, x1, y1 = geometry.bounds
        geometry = shapely.segmentize(geometry, max(x1 - x0, y1 - y0) / PIECES)
        operation = transformer(area.crs, source.crs)

        def move(points: "NDArray[np.float64]") -> "NDArray[np.float64]":
            return np.stack(operation.transform(points[:, 0], points[:, 1]), -1)

        geometry = shapely.transform(geometry, move)
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            raise GeoreferenceError(
                f"--aoi {area.name} reaches outside the domain of {source.crs.name!r}, the CRS of {source.name}: cut it"
            )
        geometry = shapely.make_valid(geometry)
    height, width = source.size.height, source.size.width
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    if not shapely.intersects(geometry, shapely.Polygon(pixel_to_map(corners, source.transform))):
        raise GeoreferenceError(f"--aoi {area.name} does not touch {source.name}: check the area's CRS and the scene")
    return geometry
