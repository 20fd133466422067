"""Scenes: rasters whose windows are read at any level, padded, masked, from any number of threads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from rasterio.errors import RasterioError

from geopdn.errors import (
    SceneOpenError,
    SceneReadError,
)
from geopdn.scene.ahead import ReadAhead
from geopdn.scene.georeference import acquisition_time, georeference_of
from geopdn.scene.handles import Handles, cause, environment
from geopdn.scene.layout import layout_of
from geopdn.scene.pyramid import Pyramid
from geopdn.scene.source import check_source
from geopdn.scene.strangers import warn_of_sidecars

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray
    from affine import Affine
    from numpy.typing import NDArray
    from pyproj import CRS

    from geopdn.geometry.window import Size, Window


AHEAD_CACHE = 64 << 20
"""Bytes of decoded blocks that are kept while a level is read ahead, each block once."""
PAUSE_S = 1.0
"""Before a window of a remote scene is asked for again."""


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """What a window holds."""

    values: NDArray[Any]
    """`[C, height, width]`, in the file's dtype; 0 where not valid."""
    valid: NDArray[np.bool_]
    """`[height, width]`, True = valid."""


class PixelSource(Protocol):
    """What is read from: a scene, or a resampled view of one."""

    @property
    def name(self) -> str:
        """Short name, for messages and records."""

    @property
    def size(self) -> Size:
        """Size of level 0."""

    @property
    def transform(self) -> Affine:
        """Level-0 pixels to map, edge convention."""

    @property
    def crs(self) -> CRS | None:
        """The map's system; None where there is none."""

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands that are read, in order."""

    @property
    def scales(self) -> tuple[float, ...]:
        """Per band: physical value = stored value * scale + offset."""

    @property
    def offsets(self) -> tuple[float, ...]:
        """Per band, see `scales`."""

    @property
    def datetime(self) -> str:
        """ISO 8601, or empty."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""

    def read(self, window: Window) -> Pixels:
        """The pixels of a window, padded outside."""


class Scene:
    """A raster file opened for reading windows; a context manager. Make one with `Scene.open`.

    Threads may read at the same time, each through its own GDAL handle. Pickling keeps the path and the settings
    and opens again.
    """

    def __init__(
        self,
        path: str,
        *,
        bands: tuple[str | int, ...] | None,
        allow_vrt: bool,
        use_overviews: bool,
        allow_hosts: tuple[str, ...],
    ) -> None:
        self.path = path
        self.settings = (bands, allow_vrt, use_overviews, allow_hosts)
        self.name = Path(path.partition("?")[0] if "://" in path else path).name
        target, drivers = check_source(path, allow_vrt=allow_vrt, allow_hosts=allow_hosts)
        warn_of_sidecars(path)
        self._stamp = self._file_stamp()
        self._handles = Handles(target, drivers=drivers)
        self._ahead: ReadAhead | None = None
        try:
            with environment():
                self._describe(bands, use_overviews=use_overviews)
        except RasterioError as error:
            self.close()
            raise SceneOpenError(f"{path} cannot be opened, it is damaged or not a raster: {cause(error)}") from error
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls,
        path: str | PathLike[str],
        *,
        bands: Sequence[str | int] | None = None,
        allow_vrt: bool = False,
        use_overviews: bool = True,
        allow_hosts: Sequence[str] = (),
    ) -> Scene:
        """Open a raster.

        Args:
            path: a file or an `http(s)://` URL.
            bands: names or numbers from 1 of the bands to read, in that order; None for all but alpha.
            allow_vrt: also accept a VRT whose sources lie under its own folder.
            use_overviews: read coarse levels from the file's own overviews where it has them.
            allow_hosts: hosts of URLs that are trusted although they are not public.

        Raises:
            SceneOpenError: it cannot be opened.
            BandError: bands are missing, or its values are complex.
            GeoreferenceError: it is placed in a way that cannot be used.
            ResourceLimitError: too many bands, or blocks too large to decode.
        """
        return cls(
            fspath(path),
            bands=None if bands is None else tuple(bands),
            allow_vrt=allow_vrt,
            use_overviews=use_overviews,
            allow_hosts=tuple(allow_hosts),
        )

    def _describe(self, bands: tuple[str | int, ...] | None, *, use_overviews: bool) -> None:
        """Read everything that is constant."""
        dataset = self._handles.get()
        place = georeference_of(dataset, name=self.name)
        layout = layout_of(dataset, bands, name=self.name)
        self._pyramid = Pyramid(self._handles, layout.decoder, block=layout.block, use_overviews=use_overviews)
        self.driver = str(dataset.driver)
        self.size = self._pyramid.size
        self.datetime = acquisition_time(dataset)
        self.transform, self.crs, self.pixel_size = place.transform, place.crs, place.pixel_size
        self.gcp_residual_px = place.gcp_residual_px
        self.all_band_names, self.band_names = layout.all_band_names, layout.band_names
        self.band_indexes, self.dtype, self.nodata = layout.band_indexes, layout.dtype, layout.nodata
        self.scales, self.offsets, self.block = layout.scales, layout.offsets, layout.block
        self.block_bytes, self.is_one_strip = layout.block_bytes, layout.is_one_strip
        self.is_palette = layout.decoder.palette is not None
        self.has_alpha, self.has_mask = layout.decoder.alpha is not None, layout.decoder.has_mask

    @property
    def overview_factors(self) -> tuple[int, ...]:
        """Factors of the overviews in use, ascending; empty where coarse levels cost a pass over all pixels."""
        return tuple(sorted(1 << overview.level for overview in self._pyramid.overviews))

    def overviews_are_means(self) -> bool | None:
        """Whether the overviews hold means of the pixels, by three places of the finest; None without any in use.

        JPEG overviews do not, nor do those sampled by nearest neighbour or bilinearly (`geopdn.scene.fidelity`).
        """
        if not self._pyramid.overviews:
            return None
        with self._handles.reading(), environment():
            return self._pyramid.are_means()

    def read(self, window: Window) -> Pixels:
        """Read a window at its level.

        A level-L pixel is the mean of the valid ones of its `2**L x 2**L` pixels (valid where at least half are), or
        what the file's overview says, to half an overview pixel where the file's size is no multiple of `2**L`. An
        overview that does not hold means is read one level finer and averaged, where the file has that level.
        Outside the scene values are 0 and not valid.

        Raises:
            SceneReadError: a block is corrupt or cannot be fetched.
            SceneError: the scene is closed.
        """
        inside = window.clip(self.size.at_level(window.level))
        shape = (window.height, window.width)
        if inside is None:
            return Pixels(np.zeros((len(self.band_names), *shape), self.dtype), np.zeros(shape, np.bool_))
        try:
            values, valid = self._read_inside(inside)
        except RasterioError as error:
            raise SceneReadError(
                f"{self.name}: rows {inside.row}-{inside.row_stop}, columns {inside.col}-{inside.col_stop} of level "
                f"{inside.level} cannot be read: {cause(error)}"
            ) from error
        if inside == window:
            return Pixels(values, np.ones(shape, np.bool_) if valid is None else valid)
        padded = np.zeros((len(values), *shape), values.dtype)
        known = np.zeros(shape, np.bool_)
        rows = slice(inside.row - window.row, inside.row_stop - window.row)
        cols = slice(inside.col - window.col, inside.col_stop - window.col)
        padded[:, rows, cols] = values
        known[rows, cols] = True if valid is None else valid
        return Pixels(padded, known)

    def read_ahead(self, level: int) -> None:
        """Begin to read a level in the background; windows of it are then taken from memory as far as they are there.

        At most 96 MiB are kept, until `end_ahead` or `close`. What cannot be read is reported to who reads it.
        """
        self.end_ahead()
        self._ahead = ReadAhead(
            partial(self._read_masked, most_cache=AHEAD_CACHE),
            level=level,
            size=self.size.at_level(level),
            n_bands=len(self.band_names),
            dtype=self.dtype,
        )

    @property
    def reads_ahead(self) -> bool:
        """Whether a level is being read in the background, or kept."""
        return self._ahead is not None

    def end_ahead(self) -> None:
        """Read ahead no more, and release what was kept; no thread may be reading."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def _read_inside(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Values and mask of a window that lies inside its level."""
        ahead = self._ahead
        known = ahead.take(window) if ahead is not None and ahead.level == window.level else None
        return self._read_masked(window) if known is None else known

    def _read_masked(
        self, window: Window, *, most_cache: int | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """From the file; once more after a pause over a network, where GDAL tries again for some errors only."""
        with self._handles.reading(), environment(most_cache=most_cache):
            if self._handles.is_remote:
                try:
                    return self._pyramid.read(window)
                except RasterioError:
                    time.sleep(PAUSE_S)
            return self._pyramid.read(window)

    def to_xarray(self, *, chunks: int | dict[str, int] | str | None = None, masked: bool = False) -> xarray.DataArray:
        """Level 0 as a lazy DataArray `(band, y, x)`, see `geopdn.scene.lazy.to_xarray`."""
        from geopdn.scene.lazy import to_xarray

        return to_xarray(self, chunks=chunks, masked=masked)

    def changed(self) -> bool:
        """Whether the file's size or time of change differ from when it was opened; never for an URL."""
        return self._file_stamp() != self._stamp

    def close(self) -> None:
        """Close every thread's handle; waits for windows that are being read."""
        self.end_ahead()
        self._handles.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.path, *self.settings)

    def __repr__(self) -> str:
        return f"Scene({self.path!r}, {self.size.height} x {self.size.width} px, bands {', '.join(self.band_names)})"

    def _file_stamp(self) -> tuple[int, int] | None:
        try:
            stat = Path(self.path).stat()
        except OSError:
            return None
        return stat.st_size, stat.st_mtime_ns


def _reopen(
    path: str,
    bands: tuple[str | int, ...] | None,
    allow_vrt: bool,  # noqa: FBT001
    use_overviews: bool,  # noqa: FBT001
    allow_hosts: tuple[str, ...],
) -> Scene:
    """What a pickled scene becomes."""
    return Scene.open(path, bands=bands, allow_vrt=allow_vrt, use_overviews=use_overviews, allow_hosts=allow_hosts)
