"""QGIS projects of results: how the scene and the expected counts look in them is read from their files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geopdn.errors import BandError, SceneReadError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geopdn.output.project_rasters import Raster
    from geopdn.scene import PixelSource, Scene

LONGEST_PX = 1024
"""Side of the view from which contrast is taken."""
TILE = 512
CUT = (2, 98)
"""Percentiles that become black and white where values are not bytes."""


def write_project_of(
    result: Path,
    path: Path,
    *,
    scene: str | None,
    saliency: Path | None = None,
    allow_vrt: bool = False,
    allow_hosts: Sequence[str] = (),
) -> Path:
    """Write a project of a result, with the scene and the expected counts below it where they are given.

    Raises:
        ResultError: the result is not one that geopdn wrote.
        SceneError: a raster cannot be opened.
        OutputError: the project cannot be written.
    """
    from geopdn.output.mapped import read_mapped
    from geopdn.output.project import write_project

    mapped, _ = read_mapped(result)
    rasters = []
    if saliency is not None:
        rasters.append(saliency_raster(saliency))
    if scene is not None:
        rasters.append(scene_raster(scene, allow_vrt=allow_vrt, allow_hosts=allow_hosts))
    return write_project(mapped, path, rasters=rasters)


def scene_beside(result: Path) -> Path | None:
    """The scene of a result where it lies beside it or in the working folder, by the name the result keeps of it.

    Raises:
        ResultError: the result is not one that geopdn wrote.
    """
    from geopdn.output.mapped import read_mapped

    name = Path(read_mapped(result)[1]).name
    found = (folder / name for folder in (result.parent, Path()) if name)
    return next((path for path in found if path.is_file()), None)


def scene_raster(path: str, *, allow_vrt: bool = False, allow_hosts: Sequence[str] = ()) -> "Raster":
    """A scene in natural colours where it has them, else its first three bands or its only one."""
    from geopdn.output.project_rasters import Raster
    from geopdn.scene import Scene

    title = Path(path.partition("?")[0] if "://" in path else path).name
    with Scene.open(path, allow_vrt=allow_vrt, allow_hosts=allow_hosts) as scene:
        crs = scene.crs
        if scene.is_palette:
            return Raster(path, title, crs, limits=(), bands=())
        bands = shown_bands(scene)
    with Scene.open(path, bands=bands, allow_vrt=allow_vrt, allow_hosts=allow_hosts) as scene:
        limits = tuple((0.0, 255.0) if scene.dtype == np.uint8 else contrast(scene, n) for n in range(len(bands)))
    return Raster(path, title, crs, limits=limits, bands=bands)


def shown_bands(scene: "Scene") -> tuple[int, ...]:
    """Bands in natural colours, else the first three, else the only one."""
    from geopdn.scene import select_bands

    try:
        return tuple(select_bands(scene.all_band_names, ("red", "green", "blue")))
    except BandError:
        return tuple(scene.band_indexes[:3]) if len(scene.band_indexes) >= 3 else tuple(scene.band_indexes[:1])


def saliency_raster(path: Path) -> "Raster":
    """A raster of expected counts in a ramp from zero to its largest value."""
    from geopdn.output.project_rasters import Raster
    from geopdn.scene import Scene

    with Scene.open(path) as scene:
        highest = max((float(values.max()) for values in _tiles(scene, 0, level=0) if values.size), default=0.0)
        limits = (0.0, highest if highest > 0 else 1.0)
        return Raster(path, "expected objects", scene.crs, limits=(limits,), bands=(1,), is_ramp=True)


def contrast(scene: "PixelSource", band: int) -> tuple[float, float]:
    """Two percentiles of a band's physical values, as QGIS shows them."""
    level = 0
    while max(scene.size.at_level(level).height, scene.size.at_level(level).width) > LONGEST_PX:
        level += 1
    values = np.concatenate([np.zeros(0), *_tiles(scene, band, level=level)])
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values * scene.scales[band] + scene.offsets[band], CUT).tolist()
    return float(low), float(high) if high > low else float(low) + 1


def _tiles(scene: "PixelSource", band: int, *, level: int) -> Iterator["NDArray[np.float64]"]:
    """Valid values of a band, tile by tile; damaged blocks are left out."""
    from geopdn.geometry.window import Window

    size = scene.size.at_level(level)
    for row in range(0, size.height, TILE):
        for col in range(0, size.width, TILE):
            tile = Window(row, col, min(TILE, size.height - row), min(TILE, size.width - col), level)
            try:
                pixels = scene.read(tile)
            except SceneReadError:
                continue
            yield pixels.values[band][pixels.valid].astype(np.float64)
