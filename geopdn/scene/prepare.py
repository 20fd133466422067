"""Write a scene's sidecar: its overview with minimum and maximum beside the mean, once."""

from __future__ import annotations

import json
import os
import secrets
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterWindow

from geopdn.errors import OutputError, SceneReadError
from geopdn.scene.cells import Cells, stream
from geopdn.scene.handles import cause, environment
from geopdn.scene.sidecar import LEVELS, TAG, TILE, VERSION, fingerprint, masks_by_band, sidecar_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from geopdn.scene.reader import Scene

__all__ = ["prepare", "sidecar_path"]


def prepare(
    scene: Scene,
    *,
    destination: Path | None = None,
    level: int = 2,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the statistics of a scene's cells, from one pass over its full resolution.

    The sidecar is a tiled GeoTIFF in the scene's dtype: mean (rounded), minimum and maximum of each band, then the
    number of valid pixels under each cell. Coarser levels are derived from it on reading. It exists complete or not
    at all; the scene is not written to.

    Args:
        scene: an open scene; its selected bands are stored.
        destination: where to; None for `sidecar_path`, where it is found by itself.
        level: 1, 2 or 3 for cells of 2, 4 or 8 scene pixels.
        overwrite: replace a file that is there.
        progress: called with the scene pixels done and in all.

    Returns:
        The path of the sidecar.

    Raises:
        OutputError: it exists already, it would replace the scene, or it cannot be written.
        SceneReadError: a block of the scene cannot be read, or the scene changed meanwhile.
        ValueError: a level that cannot be stored.
    """
    if level not in LEVELS:
        msg = f"an overview is stored at level 1, 2 or 3, got {level}"
        raise ValueError(msg)
    if "://" in scene.path:
        raise OutputError(f"{scene.path} is an URL, nothing can lie beside it: download the scene first")
    path = sidecar_path(scene.path) if destination is None else destination
    if path.exists() and (not overwrite or path.samefile(scene.path) or not path.is_file()):
        raise OutputError(
            f"{path} exists already: choose another destination, or replace a former one with --overwrite"
        )
    try:
        record = {
            "version": VERSION,
            "level": level,
            "bands": scene.band_names,
            "masks_by_band": masks_by_band(scene),
            "scene": fingerprint(scene),
        }
        with _replacing(path) as temporary:
            _write(scene, temporary, level=level, record=json.dumps(record), progress=progress)
            _check(temporary)
            if scene.changed():
                raise SceneReadError(f"{scene.name} was changed while it was read: open it and prepare it again")
    except (OSError, RasterioError) as error:
        raise OutputError(
            f"{path} cannot be written: {cause(error)}; check the folder, its permissions and free space"
        ) from error
    return path


def _write(scene: Scene, path: Path, *, level: int, record: str, progress: Callable[[int, int], None] | None) -> None:
    """Write all cells to a new GeoTIFF."""
    size, step = scene.size.at_level(level), 1 << level
    names = scene.band_names
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": size.height,
        "width": size.width,
        "count": 3 * len(names) + 1,
        "dtype": scene.dtype.name,
        "crs": None if scene.crs is None else rasterio.crs.CRS.from_wkt(scene.crs.to_wkt()),
        "transform": scene.transform @ Affine.scale(step),
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "interleave": "band",
        "compress": "deflate",
        "predictor": 3 if scene.dtype.kind == "f" else 2,
        "BIGTIFF": "IF_SAFER",
    }
    with environment(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.update_tags(**{TAG: record})
            texts = [f"{what} {name}" for what in ("mean", "minimum", "maximum") for name in names]
            for number, text in enumerate([*texts, "valid pixels"], start=1):
                dataset.set_band_description(number, text)
            for window, cells in stream(scene, level=level, progress=progress):
                place = RasterWindow(window.col, window.row, window.width, window.height)
                dataset.write(_bands(cells), window=place)


def _check(path: Path) -> None:
    """Decode every block once: where the disk is full GDAL reports nothing when it writes and closes.

    Raises:
        rasterio.errors.RasterioError: a block is missing or damaged.
    """
    with environment(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, driver="GTiff") as dataset:
            for _, window in dataset.block_windows(1):
                dataset.read(window=window)


def _bands(cells: Cells) -> NDArray[Any]:
    """`[3 C + 1, h, w]` in the scene's dtype: means, minima, maxima, counts."""
    dtype = cells.low.dtype
    mean = cells.mean if dtype.kind == "f" else np.floor(cells.mean + 0.5)
    if dtype.kind != "f" and dtype.itemsize == 8:  # float64 cannot hold the upper limits of 64-bit integers
        mean = np.clip(mean, float(np.iinfo(dtype).min), np.nextafter(float(np.iinfo(dtype).max), 0))
    return np.concatenate([mean.astype(dtype), cells.low, cells.high, cells.count[None].astype(dtype)])


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that takes the place of `path` when the block ends well."""
    temporary = path.with_name(f".{path.name[:48]}.{os.getpid()}-{secrets.token_hex(4)}.tmp.tif")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
