"""The priorities of the global stream as a georeferenced raster: expected objects per cell."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from geopdn.errors import OutputError
from geopdn.output.atomic import replacing
from geopdn.output.frames import map_transform

if TYPE_CHECKING:
    from geopdn.detections import RunResult

DESCRIPTION = "expected objects per cell"


def write_saliency(result: RunResult, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write `result.saliency` as a tiled float32 GeoTIFF on the scene's grid, NaN as nodata.

    One pixel is one cell of `cell_px x cell_px` scene pixels; the last row and column may reach past the scene.

    Returns:
        The path that was written.

    Raises:
        OutputError: the run has no saliency (a small scene takes the dense path), the file exists and `overwrite`
            is False, or it cannot be written.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    path = Path(path)
    if result.saliency is None or result.cell_px < 1:
        msg = f"{result.frame.name!r} was looked at whole, without a saliency map: there is none to write to {path}"
        raise OutputError(msg)
    if os.path.lexists(path) and not overwrite:
        msg = f"output {str(path)!r} exists: choose another name or pass --overwrite to replace it"
        raise OutputError(msg)
    height, width = result.saliency.shape
    crs = result.frame.crs
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": "float32",
        "nodata": float("nan"),
        "crs": None if crs is None else rasterio.crs.CRS.from_user_input(crs),
        "transform": _coarser(map_transform(result.frame), result.cell_px),
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": 3,
        "bigtiff": "if_safer",
    }
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(temporary, "w", **profile) as raster:
            raster.write(np.ascontiguousarray(result.saliency, dtype=np.float32), 1)
            raster.set_band_description(1, DESCRIPTION)
    return path


def _coarser(transform: Affine, step: int) -> Affine:
    """The transform of a grid whose pixels are `step x step` of these, from the same corner."""
    a, b, c, d, e, f = transform[:6]
    return Affine(a * step, b * step, c, d * step, e * step, f)
