"""Simulated scenes with truth: huge, sparse and georeferenced, written tile by tile in bounded memory."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from numpy.typing import NDArray

from geopdn.errors import OutputError
from geopdn.geometry.ground import pixel_to_map
from geopdn.geometry.window import Size, Window

Kind = Literal["airport", "harbour"]

TILE_PX = 512  # scenes are always rendered on this grid, so pixels depend on the seed alone


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to simulate; the same values give the same pixels.

    Attributes:
        kind: `airport` (uint8 red, green, blue) or `harbour` (uint16 reflectance x 10,000 of B04 B03 B02 B08 B11).
        size: the scene in pixels.
        seed: selects the scene.
        n_objects: labelled objects in the scene, at least 0.
        pixel_size_m: side of a pixel in metres; 0.5 m and 10 m are what the two kinds are drawn for.
        epsg: code of the scene's system, a projected one in metres.
        origin: map coordinates (x, y) of the scene's upper left corner.
        clouds: share of the area under clouds, 0 to 0.9.
        occupied_share: clusters (aprons' hulls, anchorages) take at most this share of the area.
    """

    kind: Kind
    size: Size
    seed: int = 0
    n_objects: int = 50
    pixel_size_m: float = 0.5
    epsg: int = 32631
    origin: tuple[float, float] = (431_000.0, 4_870_000.0)
    clouds: float = 0.0
    occupied_share: float = 0.05

    @property
    def transform(self) -> Affine:
        """Pixel to map."""
        return Affine(self.pixel_size_m, 0, self.origin[0], 0, -self.pixel_size_m, self.origin[1])


@dataclass(frozen=True, slots=True)
class TrueObject:
    """One object of the truth, in pixels: centre, length and width, direction of bow or nose in radians (+x to +y)."""

    label: str
    x: float
    y: float
    length: float
    width: float
    direction: float

    def corners(self) -> NDArray[np.float64]:
        """Corners `[4, 2]`; the first edge runs along the length, from stern to bow."""
        along = np.array([np.cos(self.direction), np.sin(self.direction)]) * self.length / 2
        across = np.array([-np.sin(self.direction), np.cos(self.direction)]) * self.width / 2
        centre = np.array([self.x, self.y])
        points: NDArray[np.float64] = np.array(
            [centre + a * along + b * across for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        )
        return points


    def outline(self) -> NDArray[np.float64]:
        """The object's hull `[n, 2]`: nose, wing tips and tail of an aircraft, the box of anything else."""
        if self.label != "aircraft":
            return self.corners()
        along = np.array([np.cos(self.direction), np.sin(self.direction)]) * self.length / 2
        across = np.array([-np.sin(self.direction), np.cos(self.direction)]) * self.width / 2
        centre = np.array([self.x, self.y])
        hull = ((1, 0.06), (1, -0.06), (-0.1, -1), (-0.3, -1), (-1, -0.38), (-1, 0.38), (-0.3, 1), (-0.1, 1))
        points: NDArray[np.float64] = np.array([centre + a * along + b * across for a, b in hull])
        return points


class Renderer(Protocol):
    """A laid-out scene that can be drawn window by window."""

    profile: dict[str, Any]
    bands: tuple[str, ...]
    scale: float
    objects: list[TrueObject]

    def render(self, window: Window) -> NDArray[Any]:
        """Pixels `[C, height, width]` of a window, which may reach outside the scene."""
        ...


def renderer(simulation: Simulation) -> Renderer:
    """Lay a scene out, ready to be drawn.

    Raises:
        ConfigError: the objects find no place in the scene.
    """
    if simulation.kind == "airport":
        from geopdn.scene.simulated_airport_scene import AirportScene

        return AirportScene(simulation)
    from geopdn.scene.simulated_harbour_scene import HarbourScene

    return HarbourScene(simulation)


def simulate(
    simulation: Simulation,
    path: Path | str,
    *,
    truth: Path | str,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a simulated scene as a cloud-optimised GeoTIFF with averaged overviews, and its truth as a GeoPackage.

    The scene is drawn tile by tile; memory does not grow with its size. Both files appear complete or not at all.
    The truth's layer `labels` holds outlines (hulls of aircraft, boxes of vessels), its layer `boxes` oriented boxes
    (first edge along the length, towards bow or nose); both with the fields `label`, `length_m` and `heading_deg`
    (of the bow or nose, clockwise from the grid's north).

    Args:
        simulation: what to simulate.
        path: the GeoTIFF to write; replaced if it exists.
        truth: the GeoPackage to write; replaced if it exists.
        progress: called with tiles done and tiles in all.

    Raises:
        ConfigError: the objects find no place in the scene.
        OutputError: a file cannot be written.
    """
    path, truth = Path(path), Path(truth)
    scene = renderer(simulation)
    try:
        with tempfile.TemporaryDirectory(prefix=".simulate-", dir=path.parent) as folder:
            plain, finished, labels = (Path(folder) / name for name in ("plain.tif", "scene.tif", "truth.gpkg"))
            with rasterio.Env(GDAL_CACHEMAX=64, GDAL_NUM_THREADS="2"):
                _write_plain(simulation, scene, plain, progress)
                rasterio.shutil.copy(
                    plain,
                    finished,
                    driver="COG",
                    BLOCKSIZE=TILE_PX // 2,
                    BIGTIFF="IF_SAFER",
                    OVERVIEW_RESAMPLING="AVERAGE",
                    **scene.profile,
                )
            _write_truth(simulation, scene.objects, labels)
            labels.replace(truth)
            finished.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} or {truth} cannot be written: {error}; choose a folder with room and permission"
        ) from error


def _write_plain(
    simulation: Simulation, scene: Renderer, path: Path, progress: Callable[[int, int], None] | None
) -> None:
    size = simulation.size
    sample = scene.render(Window(0, 0, 1, 1))
    profile = {
        "driver": "GTiff", "height": size.height, "width": size.width, "count": len(scene.bands), "dtype": sample.dtype,
        "crs": f"EPSG:{simulation.epsg}", "transform": simulation.transform, "tiled": True,
        "blockxsize": TILE_PX, "blockysize": TILE_PX, "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    if len(scene.bands) == 3:
        profile["photometric"] = "RGB"
    tiles = [(row, col) for row in range(0, size.height, TILE_PX) for col in range(0, size.width, TILE_PX)]
    with rasterio.open(path, "w", **profile) as target:
        for index, name in enumerate(scene.bands, 1):
            target.set_band_description(index, name)
        if scene.scale != 1:
            target.scales = (scene.scale,) * len(scene.bands)
        for done, (row, col) in enumerate(tiles, 1):
            pixels = scene.render(Window(row, col, TILE_PX, TILE_PX))
            height, width = min(TILE_PX, size.height - row), min(TILE_PX, size.width - col)
            target.write(pixels[:, :height, :width], window=rasterio.windows.Window(col, row, width, height))
            if progress is not None:
                progress(done, len(tiles))


def _write_truth(simulation: Simulation, objects: Sequence[TrueObject], path: Path) -> None:
    import geopandas

    corners = [pixel_to_map(item.corners(), simulation.transform) for item in objects]
    step = [points[1] - points[0] for points in corners]
    outlines = [pixel_to_map(item.outline(), simulation.transform) for item in objects]
    table = {
        "label": [item.label for item in objects],
        "length_m": [round(item.length * simulation.pixel_size_m, 2) for item in objects],
        "heading_deg": [round(float(np.degrees(np.arctan2(x, y))) % 360, 2) for x, y in step],
    }
    for layer, rings in (("labels", outlines), ("boxes", corners)):
        geometry = [shapely.Polygon(np.round(points, 3)) for points in rings]
        frame = geopandas.GeoDataFrame(table, geometry=geometry, crs=f"EPSG:{simulation.epsg}")
        with rasterio.Env(OGR_CURRENT_DATE="2026-01-01T00:00:00.000Z"):
            frame.to_file(path, layer=layer, driver="GPKG", engine="pyogrio", geometry_type="Polygon", VERSION="1.3")


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate one scene from the command line: `python -m geopdn.scene.simulate airport -o scene.tif`."""
    parser = argparse.ArgumentParser(prog="python -m geopdn.scene.simulate", description=main.__doc__)
    parser.add_argument("kind", choices=("airport", "harbour"))
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="GeoTIFF; the truth goes beside it as NAME.truth.gpkg"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=4096, help="side in pixels")
    parser.add_argument("--objects", type=int, default=50)
    parser.add_argument("--clouds", type=float, default=0.0, help="share of the area under clouds")
    parser.add_argument("--occupied-share", type=float, default=0.05)
    parser.add_argument("--epsg", type=int, default=32631)
    options = parser.parse_args(arguments)
    simulation = Simulation(
        kind=options.kind,
        size=Size(options.size, options.size),
        seed=options.seed,
        n_objects=options.objects,
        pixel_size_m=0.5 if options.kind == "airport" else 10.0,
        epsg=options.epsg,
        clouds=options.clouds,
        occupied_share=options.occupied_share,
    )

    def show(done: int, total: int) -> None:
        sys.stderr.write(f"\r{done}/{total} tiles" + ("\n" if done == total else ""))

    simulate(simulation, options.output, truth=options.output.with_suffix(".truth.gpkg"), progress=show)


if __name__ == "__main__":
    main()
