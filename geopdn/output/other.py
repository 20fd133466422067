"""The detections alone as FlatGeobuf or GeoParquet, in the scene's own system."""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING

from geopdn.errors import OutputError
from geopdn.output.frames import detection_batches

if TYPE_CHECKING:
    from pathlib import Path

    from geopandas import GeoDataFrame

    from geopdn.detections import RunResult


def check_parquet() -> None:
    """Refuse GeoParquet where the package that writes it is missing.

    Raises:
        OutputError: pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        msg = "GeoParquet needs the package 'pyarrow', which is not installed: `pip install pyarrow`, or write a .gpkg"
        raise OutputError(msg)


def write_flatgeobuf(result: RunResult, path: Path) -> None:
    """Write the detections to `path`; the driver sorts all of them, so they are held in memory at once."""
    import pyogrio

    with warnings.catch_warnings():
        if result.frame.crs is None:  # pixel space is asked for knowingly
            warnings.filterwarnings("ignore", message="'crs' was not provided", category=UserWarning)
        # The layer's name is part of the bytes: without it the temporary file's would be used.
        pyogrio.write_dataframe(
            _whole(result), path, layer="detections", driver="FlatGeobuf", geometry_type="Polygon", append=False
        )


def write_parquet(result: RunResult, path: Path) -> None:
    """Write the detections to `path` as GeoParquet, all of them held in memory at once.

    Raises:
        OutputError: pyarrow is not installed.
    """
    check_parquet()
    _whole(result).to_parquet(path, index=False)


def _whole(result: RunResult) -> GeoDataFrame:
    (frame,) = detection_batches(result, batch=max(len(result.detections), 1))
    return frame
