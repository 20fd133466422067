"""Simulated scenes with truth: huge, sparse and georeferenced, written tile by tile in bounded memory."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
import rasterio.shutil
import shapely
from numpy.typing import NDArray

from geopdn.errors import OutputError
from geopdn.geometry.ground import pixel_to_map
from geopdn.geometry.window import Size, Window
from geopdn.scene.simulation import Simulation, TrueObject

TILE_PX = 512  # scenes are always rendered on this grid, so pixels depend on the seed alone


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
        with (
            tempfile.TemporaryDirectory(prefix=".simulate-", dir=path.parent) as folder,
            tempfile.TemporaryDirectory(prefix=".simulate-", dir=truth.parent) as truth_folder,
        ):
            plain, finished = (Path(folder) / name for name in ("plain.tif", "scene.tif"))
            labels = Path(truth_folder) / "truth.gpkg"
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
            height, width = min(TILE_PX, size.height - row), min(TILE_PX, size.width - col)
            pixels = scene.render(Window(row, col, height, width))
            target.write(pixels, window=rasterio.windows.Window(col, row, width, height))
            if progress is not None:
                progress(done, len(tiles))


def _write_truth(simulation: Simulation, objects: Sequence[TrueObject], path: Path) -> None:
    import geopandas
    import pyogrio

    corners = [pixel_to_map(item.corners(), simulation.transform) for item in objects]
    step = [points[1] - points[0] for points in corners]
    outlines = [pixel_to_map(item.outline(), simulation.transform) for item in objects]
    table = {
        "label": [item.label for item in objects],
        "length_m": [round(item.length * simulation.pixel_size_m, 2) for item in objects],
        "heading_deg": [round(float(np.degrees(np.arctan2(x, y))) % 360, 2) for x, y in step],
    }
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2026-01-01T00:00:00.000Z"})  # the same bytes every time
    try:
        for layer, rings in (("labels", outlines), ("boxes", corners)):
            geometry = [shapely.Polygon(np.round(points, 3)) for points in rings]
            frame = geopandas.GeoDataFrame(table, geometry=geometry, crs=f"EPSG:{simulation.epsg}")
            frame.to_file(path, layer=layer, driver="GPKG", engine="pyogrio", geometry_type="Polygon", VERSION="1.3")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


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
    parser.add_argument("--reflectance-step", type=int, default=4, help="harbours: coarser values, smaller file")
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
        reflectance_step=options.reflectance_step,
    )

    def show(done: int, total: int) -> None:
        sys.stderr.write(f"\r{done}/{total} tiles" + ("\n" if done == total else ""))

    simulate(simulation, options.output, truth=options.output.with_suffix(".truth.gpkg"), progress=show)


if __name__ == "__main__":
    main()
