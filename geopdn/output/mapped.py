"""Read from a GeoPackage that geopdn wrote what a project needs to know of it; no features are read but the run."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyproj import CRS

from geopdn.errors import ResultError
from geopdn.output.fields import PICTURE
from geopdn.output.geopackage import NO_SYSTEM
from geopdn.output.project import Mapped
from geopdn.output.saved import EXPECTED, layers_of
from geopdn.output.styles import Shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_NEEDED = ("detections", "windows", "run")


def read_mapped(path: str | Path) -> tuple[Mapped, str]:
    """A result for a project, and the name of its scene.

    Raises:
        ResultError: it is not a GeoPackage that `geopdn detect` or `geopdn merge` wrote.
    """
    import pyogrio

    path = Path(path)
    try:
        layers = layers_of(path, needed=_NEEDED)
        about = {name: pyogrio.read_info(path, layer=name, force_feature_count=True) for name in _NEEDED}
        table = pyogrio.read_dataframe(path, layer="run")
        row = table.iloc[0].to_dict()
        shown = Shown(
            classes=tuple(str(name) for name in json.loads(row["classes"])),
            n_windows=int(about["windows"]["features"]),
            pictures=PICTURE in about["detections"]["fields"],
            raw="raw" in layers,
            failures="failures" in layers,
        )
        size = float(row.get("pixel_size_m") or math.nan)
        west, south, east, north = (float(edge) for edge in table.total_bounds)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        msg = f"{path} cannot be read: {error}; {EXPECTED}"
        raise ResultError(msg) from error
    except (KeyError, ValueError, TypeError, IndexError) as error:
        msg = f"{path} holds values that geopdn did not write ({error!r}): {EXPECTED}"
        raise ResultError(msg) from error
    if math.isfinite(size):
        shown = replace(shown, pixel_size_m=size)
    mapped = Mapped(path, _crs(about["run"]), (west, south, east, north), shown, path.stem)
    return mapped, str(row["scene"])


def _crs(about: Mapping[str, Any]) -> CRS | None:
    system = None if about["crs"] is None else CRS.from_user_input(about["crs"])
    return None if system is None or system.name.startswith(NO_SYSTEM) else system
