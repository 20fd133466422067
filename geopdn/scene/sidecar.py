"""Sidecars: the statistics of a scene's cells, stored once beside it in a GeoTIFF of geopdn's own."""

from __future__ import annotations

import dataclasses
import json
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from geopdn.errors import SceneReadError, SidecarWarning
from geopdn.geometry.window import Window
from geopdn.scene.cells import Cells, coarsen
from geopdn.scene.handles import Handles, cause, environment

if TYPE_CHECKING:
    from os import PathLike

    from geopdn.scene.reader import Scene

VERSION = 1
TAG = "GEOPDN_OVERVIEW"
"""The tag with the record of what the sidecar was made from, as JSON."""
TILE = 256
LEVELS = (1, 2, 3)
"""Levels that can be stored: the numbers of pixels under a cell, at most 64, fit every dtype."""


ENDING = ".geopdn-overview.tif"


def sidecar_path(scene_path: str | PathLike[str]) -> Path:
    """Where the sidecar of a scene lies: `<stem>.geopdn-overview.tif` in the same folder."""
    path = Path(scene_path)
    return path.with_name(f"{path.stem}{ENDING}")


def is_sidecar(path: Path) -> bool:
    """Whether a file is by its name a sidecar, which lies among the scenes of a folder but is none."""
    return path.name.endswith(ENDING)


def fingerprint(scene: Scene) -> dict[str, Any]:
    """What tells one version of a scene from another; of a VRT's sources too.

    Raises:
        OSError: a file cannot be looked up.
        rasterio.errors.RasterioError: the scene cannot be opened.
    """
    files = [scene.path]
    if scene.driver == "VRT":
        handles = Handles(str(Path(scene.path).absolute()), drivers=[scene.driver])
        with environment(), closing(handles):
            files = sorted(handles.get().files)
    stats = [Path(file).stat() for file in files]
    return {
        "bytes": [stat.st_size for stat in stats],
        "mtime_ns": [stat.st_mtime_ns for stat in stats],
        "width": scene.size.width,
        "height": scene.size.height,
        "count": len(scene.all_band_names),
        "dtype": scene.dtype.name,
    }


def masks_by_band(scene: Scene) -> bool:
    """Whether other bands of the scene could have other valid pixels."""
    return scene.dtype.kind == "f" or any(nodata is not None for nodata in scene.nodata)


class Sidecar:
    """A sidecar that fits a scene, held open; any number of threads may read. Make one with `Sidecar.find`.

    Args:
        path: the sidecar.
        scene: the scene it lies beside.

    Raises:
        ValueError: it does not fit, or is none; the message says why.
        rasterio.errors.RasterioError: it cannot be opened.
    """

    def __init__(self, path: Path, scene: Scene) -> None:
        self.path = path
        self._handles = Handles(str(path.absolute()), drivers=["GTiff"])
        try:
            with environment():
                self._describe(self._handles.get(), scene)
        except BaseException:
            self.close()
            raise

    @classmethod
    def find(cls, scene: Scene, *, level: int, path: Path | None = None) -> Self | None:
        """The sidecar of a scene if there is one of this level or a finer one, else None.

        Warns where a file is there and does not fit.

        Args:
            scene: an open scene.
            level: the level that is wanted.
            path: where it lies; None for beside the scene.
        """
        if "://" in scene.path:
            return None
        where = sidecar_path(scene.path) if path is None else path
        if path is None and not where.is_file():
            return None
        try:
            sidecar = cls(where, scene)
        except (ValueError, KeyError, TypeError, OSError, RasterioError) as error:
            warnings.warn(
                f"{where} is ignored: {error or type(error).__name__}; "
                f"write it again with `geopdn prepare --overwrite {scene.path}`",
                SidecarWarning,
                stacklevel=3,
            )
            return None
        if sidecar.level > level:
            sidecar.close()
            return None
        return sidecar

    def _describe(self, dataset: Any, scene: Scene) -> None:
        """Compare what it says about itself with the scene."""
        record = json.loads(dataset.tags().get(TAG, "null"))
        if not isinstance(record, dict) or record.get("version") != VERSION or record.get("level") not in LEVELS:
            raise ValueError(f"it is not an overview of version {VERSION} made by geopdn")
        made_from, now = record["scene"], fingerprint(scene)
        for key, value in now.items():
            if made_from[key] != value:
                raise ValueError(
                    f"it was made from another version of {scene.name} ({key} {made_from[key]}, now {value})"
                )
        self.level: int = record["level"]
        names = list(record["bands"])
        missing = sorted(set(scene.band_names) - set(names))
        if missing:
            raise ValueError(f"it lacks the bands {', '.join(missing)}")
        if set(names) != set(scene.band_names) and (record["masks_by_band"] or masks_by_band(scene)):
            raise ValueError(f"its valid pixels are those of the bands {', '.join(names)} together")
        self.size = scene.size.at_level(self.level)
        shape = (dataset.height, dataset.width, dataset.count)
        if (
            shape != (self.size.height, self.size.width, 3 * len(names) + 1)
            or set(dataset.dtypes) != {scene.dtype.name}
            or set(dataset.block_shapes) != {(TILE, TILE)}
        ):
            raise ValueError(f"its layout ({shape} of {dataset.dtypes[0]}) is not that of such an overview")
        picked = [names.index(name) + 1 for name in scene.band_names]
        self._indexes = [start * len(names) + number for start in range(3) for number in picked] + [dataset.count]

    def read(self, window: Window) -> Cells:
        """The cells of a window inside its level, which is the sidecar's or a coarser one.

        Raises:
            SceneReadError: a block is corrupt.
        """
        step = 1 << (window.level - self.level)
        tall = TILE // step  # one row of tiles at a time: coarsening takes many times the memory of what is read
        strips = []
        for row in range(window.row // tall * tall, window.row_stop, tall):
            strip = window.intersection(Window(row, window.col, tall, window.width, window.level))
            assert strip is not None
            strips.append(coarsen(self._read_strip(strip, step), step))
        return Cells(
            *(
                np.concatenate([getattr(strip, field.name) for strip in strips], axis=-2)
                for field in dataclasses.fields(Cells)
            )
        )

    def _read_strip(self, window: Window, step: int) -> Cells:
        """The stored cells under a window of cells `step` times larger."""
        row, col = window.row * step, window.col * step
        height = min(window.row_stop * step, self.size.height) - row
        width = min(window.col_stop * step, self.size.width) - col
        try:
            with self._handles.reading(), environment():
                values = self._handles.get().read(self._indexes, window=RasterWindow(col, row, width, height))
        except RasterioError as error:
            raise SceneReadError(
                f"{self.path}: rows {row}-{row + height}, columns {col}-{col + width} cannot be read: "
                f"{cause(error)}; remove the file, or write it again with `geopdn prepare --overwrite`"
            ) from error
        mean, low, high = np.split(values[:-1], 3)
        return Cells(mean, low, high, values[-1].astype(np.uint8))

    def close(self) -> None:
        """Close it, once what is being read has been."""
        self._handles.close()
