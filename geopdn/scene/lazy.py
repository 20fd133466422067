"""Scenes as lazy xarray arrays, for those who work in xarray and dask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rasterio.errors import RasterioError

from geopdn.errors import BandError, SceneReadError
from geopdn.scene.handles import environment
from geopdn.scene.source import check_source

if TYPE_CHECKING:
    import xarray

    from geopdn.scene.reader import Scene


def to_xarray(
    scene: Scene, *, chunks: int | dict[str, int] | str | None = None, masked: bool = False
) -> xarray.DataArray:
    """Level 0 of a scene as `(band, y, x)`, its values read when they are asked for.

    Args:
        scene: an open scene; its file is checked and opened again, so it may be closed before the array is used.
        chunks: sizes of dask chunks, or "auto"; None for xarray's own lazy indexing, without dask.
        masked: floats with NaN where the file's nodata or mask says so; otherwise stored values.

    Returns:
        Stored (unscaled) values of the selected bands, in order. The band coordinate holds the bands' names, x and y
        are pixel centres, and `.rio` knows the CRS and the transform.

    Raises:
        BandError: a palette image, whose stored values are no colours.
        SceneReadError: the file can no longer be opened.
    """
    import rioxarray

    if scene.is_palette:
        raise BandError(f"{scene.name} is a palette image, expected bands of values: read windows of it instead")
    _bands, allow_vrt, _overviews, allow_hosts = scene.settings
    target, drivers = check_source(scene.path, allow_vrt=allow_vrt, allow_hosts=allow_hosts)
    options: dict[str, Any] = {"driver": scene.driver if scene.driver in drivers else drivers[0], "sharing": False}
    try:
        with environment():
            array = rioxarray.open_rasterio(target, chunks=chunks, masked=masked, **options)
    except RasterioError as error:
        raise SceneReadError(f"{scene.name} can no longer be opened: {error}") from error
    array = array.isel(band=[index - 1 for index in scene.band_indexes])
    array = array.assign_coords(band=list(scene.band_names)).rename(scene.name)
    if scene.crs is not None and array.rio.crs is None:
        array = array.rio.write_crs(scene.crs).rio.write_transform(scene.transform)  # from ground control points
    named: xarray.DataArray = array
    return named
