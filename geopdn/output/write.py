"""Write a run to a file: the ending decides the format, checks come before the work."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.errors import ConfigError, OutputError
from geopdn.output.atomic import remove_stale, replacing
from geopdn.output.geojson import check_lon_lat, write_geojson
from geopdn.output.geopackage import write_geopackage
from geopdn.output.other import check_parquet, write_flatgeobuf, write_parquet
from geopdn.output.styles import Shown, detection_styles

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pyproj import CRS

    from geopdn.detections import RunResult

WRITERS: dict[str, Callable[[RunResult, Path], None]] = {
    ".gpkg": write_geopackage,
    ".geojson": write_geojson,
    ".fgb": write_flatgeobuf,
    ".parquet": write_parquet,
}

_STYLED_BY_SIDECAR = (".geojson", ".fgb", ".parquet")


def write_result(result: RunResult, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write the run to `path`, complete or not at all, with a `.qml` style beside formats that hold none.

    A style that is already there stays unless `overwrite` is True.

    The same result gives the same bytes.

    Returns:
        The path that was written.

    Raises:
        ConfigError: the ending is of no known format.
        GeoreferenceError: GeoJSON is asked for where there are no longitudes and latitudes.
        OutputError: the file exists and `overwrite` is False, or it cannot be written.
    """
    path = Path(path)
    writer = WRITERS[check_ending(path)]
    check_crs(path, result.frame.crs)
    _check_free(path, overwrite=overwrite)
    with replacing(path) as temporary:
        writer(result, temporary)
        sidecar = path.with_suffix(".qml")
        if path.suffix.lower() in _STYLED_BY_SIDECAR and (overwrite or not os.path.lexists(sidecar)):
            with replacing(sidecar) as style:  # before the main file: with that one the output is complete
                shown = replace(Shown.of(result), pictures=False)
                style.write_text(detection_styles(shown)[0].qml(), encoding="utf-8", newline="\n")
    return path


def check_destination(
    path: str | Path,
    *,
    inputs: Sequence[str | Path] = (),
    overwrite: bool = False,
    endings: Collection[str] | None = None,
) -> None:
    """Refuse a destination that cannot work, before any inference; also clears left-overs of killed runs.

    Args:
        path: where something is to be written.
        inputs: files that must not be written to.
        overwrite: whether a file may be replaced.
        endings: what the path may end in; None for the vector formats.

    Raises:
        ConfigError: unknown ending, or the path is one of the inputs, also through a link.
        OutputError: the folder is missing or read-only, the path is a folder, a file exists and `overwrite`
            is False, or the format needs a package that is not installed.
    """
    path = Path(path)
    ending = check_ending(path, endings)
    _check_not_input(path, inputs)
    if ending == ".parquet":
        check_parquet()
    check_folder(path)
    _check_free(path, overwrite=overwrite)
    remove_stale(path)


def check_crs(path: str | Path, crs: CRS | None) -> None:
    """Refuse a format that cannot hold this system, as soon as the scene is open.

    Raises:
        GeoreferenceError: GeoJSON without longitudes and latitudes.
    """
    if Path(path).suffix.lower() == ".geojson":
        check_lon_lat(crs)


def check_ending(path: Path, endings: Collection[str] | None = None) -> str:
    """The ending in lower case, one of `endings`, by default of `WRITERS`.

    Raises:
        ConfigError: the ending is of no known format.
    """
    ending = path.suffix.lower()
    known = WRITERS if endings is None else endings
    if ending not in known:
        msg = f"output {str(path)!r} ends in {path.suffix!r}: its ending decides the format, one of {', '.join(known)}"
        raise ConfigError(msg)
    return ending


def check_folder(path: Path) -> None:
    """Refuse a path whose folder cannot take a file; tried, because permission bits do not tell of read-only disks.

    Raises:
        OutputError: the folder is missing, read-only, not UTF-8 or has `!` in its path, or the path itself is a folder.
    """
    folder = path.parent
    if path.is_dir():
        msg = f"output {str(path)!r} is a folder: give a file name in it"
        raise OutputError(msg)
    if not folder.is_dir():
        msg = f"folder {str(folder)!r} of output {path.name!r} does not exist: create it or choose another"
        raise OutputError(msg)
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in str(folder.absolute())):
        msg = f"folder {str(folder)!r} is not UTF-8, as GDAL needs it: choose another"
        raise OutputError(msg)
    if "!" in str(folder.absolute()):
        msg = f"folder {str(folder)!r} has '!' in its path, which pyogrio takes for an archive: choose another"
        raise OutputError(msg)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        msg = f"folder {str(folder)!r} of output {path.name!r} cannot be written ({error.strerror}): choose another"
        raise OutputError(msg) from error


def _check_not_input(path: Path, inputs: Sequence[str | Path]) -> None:
    for given in inputs:
        if os.path.realpath(path) == os.path.realpath(given) or _same_file(path, given):
            msg = f"output {str(path)!r} is the input {str(given)!r}: inputs are never written to, choose another name"
            raise ConfigError(msg)


def _same_file(path: Path, given: str | Path) -> bool:
    try:
        return path.samefile(given)  # hard links
    except OSError:
        return False


def _check_free(path: Path, *, overwrite: bool) -> None:
    if os.path.lexists(path) and not overwrite:
        msg = f"output {str(path)!r} exists: choose another name or pass --overwrite to replace it"
        raise OutputError(msg)
