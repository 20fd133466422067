"""Dates of the same ground: how far apart they are, and co-registered stacks of them as lazy xarray arrays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from geopdn.geometry.window import Window
from geopdn.scene.coregister import coregister

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray
    from numpy.typing import NDArray

    from geopdn.scene.reader import PixelSource

CHUNK_PX = 1024
SECONDS_A_DAY = 86_400.0

Dated = TypeVar("Dated", bound="PixelSource")


def stack_dates(
    scene: PixelSource, previous: Sequence[PixelSource], *, level: int = 0, chunk_px: int = CHUNK_PX
) -> xarray.DataArray:
    """A scene and other dates of its ground as `(time, band, y, x)` on the scene's grid, read when asked for.

    Args:
        scene: gives the grid, the bands' names and the first of the dates; all scenes must stay open.
        previous: the others, of any CRS, on any grid; their bands are taken in their order.
        level: 0 for full resolution, each further one half of it.
        chunk_px: side of the dask chunks.

    Returns:
        Stored values as floats, NaN where a date shows nothing. The time coordinate holds the scenes' times in UTC, NaT
        where one has none; x and y are pixel centres along the scene's rows and columns, and `.rio` knows the CRS and
        the transform.

    Raises:
        BandError, GeoreferenceError, SceneError: one is no date of this ground, see `coregister`.
    """
    import dask.array
    import rioxarray  # noqa: F401 (makes `.rio`)
    import xarray
    from affine import Affine

    views = [scene, *(coregister(other, scene) for other in previous)]
    size = scene.size.at_level(level)
    rows, cols = (
        tuple(min(chunk_px, side - start) for start in range(0, side, chunk_px)) for side in (size.height, size.width)
    )
    chunks = ((1,) * len(views), (len(scene.band_names),), rows, cols)
    wide = any(np.dtype(view.dtype).itemsize > 2 and view.dtype != np.float32 for view in views)
    dtype = np.dtype(np.float64 if wide else np.float32)

    def block(block_info: Any = None) -> NDArray[Any]:
        (date, _), _, (top, bottom), (left, right) = block_info[None]["array-location"]
        pixels = views[date].read(Window(top, left, bottom - top, right - left, level))
        return np.where(pixels.valid, pixels.values, np.nan).astype(dtype)[None]

    transform = scene.transform @ Affine.scale(1 << level)
    array = xarray.DataArray(
        dask.array.map_blocks(block, chunks=chunks, dtype=dtype, meta=np.empty((0,) * 4, dtype)),
        dims=("time", "band", "y", "x"),
        coords={
            "time": np.array([_time(view.datetime) for view in views], "datetime64[ns]"),
            "band": list(scene.band_names),
            "y": transform.f + transform.e * (np.arange(size.height) + 0.5),
            "x": transform.c + transform.a * (np.arange(size.width) + 0.5),
        },
        name=scene.name,
    )
    if scene.crs is not None:
        array = array.rio.write_crs(scene.crs)
    placed: xarray.DataArray = array.rio.write_transform(transform)
    return placed


def days_between(first: str, second: str) -> float:
    """Days between two times in ISO 8601, never negative; 0 where one is not known."""
    one, other = _time(first), _time(second)
    if np.isnat(one) or np.isnat(other):
        return 0.0
    return float(abs(one - other) / np.timedelta64(1, "s")) / SECONDS_A_DAY


def nearest_in_time(scene: PixelSource, others: Sequence[Dated], *, most: int) -> list[Dated]:
    """Some dates of a scene's ground, in the order given: all, or those nearest in time, those of unknown time last."""
    if len(others) <= most:
        return list(others)
    now = _time(scene.datetime)
    gaps = [abs(_time(other.datetime) - now) for other in others]
    order = sorted(range(len(others)), key=lambda i: (bool(np.isnat(gaps[i])), gaps[i], i))
    return [others[i] for i in sorted(order[:most])]


def _time(text: str) -> np.datetime64:
    """A scene's time in UTC."""
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        return np.datetime64("NaT")
    return np.datetime64(stamp.astimezone(UTC).replace(tzinfo=None) if stamp.tzinfo else stamp)
