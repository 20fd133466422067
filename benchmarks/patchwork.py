"""Dense scenes: squares of simulated airports of several seeds, since one layout leaves room around each airport."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import pandas as pd
import rasterio
import rasterio.shutil
from rasterio.windows import Window

SQUARE = 4096
PIXEL_M = 0.5
ORIGIN = (431_000.0, 4_870_000.0)
TRIES = 200


def patchwork(size: int, share: float, n_objects: int, path: Path, *, seed: int, cwd: Path) -> None:
    """Write a scene of `size` px, a multiple of `SQUARE`, and its truth beside it; one square is held at a time.

    Args:
        size: side in pixels.
        share: of the area, that clusters of objects take at most.
        n_objects: in all squares, each of which has as many as the others.
        path: a JPEG-compressed, tiled GeoTIFF with averaged overviews; the truth is `NAME.truth.gpkg`.
        seed: of the first square; seeds whose layout finds no place are left out.
        cwd: where `geopdn` is run.
    """
    n_side, rest = divmod(size, SQUARE)
    if rest:
        raise SystemExit(f"a dense scene of {size} px: expected a multiple of {SQUARE} px, or a share up to 0.12")
    each, tables = max(1, round(n_objects / n_side**2)), []
    profile = {
        "driver": "GTiff", "width": size, "height": size, "count": 3, "dtype": "uint8", "crs": "EPSG:32631",
        "transform": rasterio.Affine(PIXEL_M, 0, ORIGIN[0], 0, -PIXEL_M, ORIGIN[1]), "tiled": True,
        "blockxsize": 512, "blockysize": 512, "photometric": "RGB", "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    with TemporaryDirectory(prefix=".patchwork-", dir=path.parent) as folder:
        plain, square = Path(folder) / "plain.tif", Path(folder).resolve() / "square.tif"
        with rasterio.open(plain, "w", **profile) as target:
            for row in range(n_side):
                for col in range(n_side):
                    origin = (ORIGIN[0] + col * SQUARE * PIXEL_M, ORIGIN[1] - row * SQUARE * PIXEL_M)
                    seed = _simulated(square, share, each, origin, seed=seed, cwd=cwd) + 1
                    with rasterio.open(square) as scene:
                        target.write(scene.read(), window=Window(col * SQUARE, row * SQUARE, SQUARE, SQUARE))
                    tables.append(geopandas.read_file(square.with_suffix(".truth.gpkg"), layer="labels"))
        jpeg = {"COMPRESS": "JPEG", "QUALITY": 80, "OVERVIEW_QUALITY": 80, "OVERVIEW_RESAMPLING": "AVERAGE"}
        with rasterio.Env(GDAL_CACHEMAX=256):
            rasterio.shutil.copy(plain, path, driver="COG", BLOCKSIZE=256, BIGTIFF="IF_SAFER", **jpeg)
    pd.concat(tables).to_file(path.with_suffix(".truth.gpkg"), layer="labels")


def _simulated(path: Path, share: float, n: int, origin: tuple[float, float], *, seed: int, cwd: Path) -> int:
    """Simulate one square by the first seed from `seed` on that has a place for all objects; returns that seed."""
    for each in range(seed, seed + TRIES):
        command = ["-m", "geopdn.cli.main", "simulate", "airport", "-o", str(path), "--size", str(SQUARE), "--quiet"]
        command += ["--seed", str(each), "--objects", str(n), "--occupied-share", f"{share:g}", "--overwrite"]
        command += ["--origin", str(origin[0]), str(origin[1])]
        answer = subprocess.run([sys.executable, *command], check=False, cwd=cwd, capture_output=True, text=True)  # noqa: S603
        if answer.returncode == 0:
            return each
        if "found no place" not in answer.stderr:
            raise SystemExit(f"a square of the dense scene could not be simulated: {answer.stderr.strip()}")
    raise SystemExit(
        f"no layout of {n} objects in {share:.0%} of {SQUARE} px in {TRIES} seeds: ask for a smaller share"
    )
