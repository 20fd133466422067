"""Files of other programs beside a scene that GDAL would believe, and geopdn does not."""

from __future__ import annotations

import warnings
from pathlib import Path

from geopdn.errors import SidecarWarning

APPENDED = (".aux.xml", ".ovr", ".msk")
"""Added to the scene's name: statistics, nodata and systems; overviews; masks."""
REPLACED = (".aux", ".tfw", ".tifw", ".tiffw", ".wld", ".pgw", ".pngw", ".jgw", ".jpgw", ".jpegw", ".j2w", ".jp2w")
"""In the place of its ending: world files, and overviews of old."""


def warn_of_sidecars(path: str) -> None:
    """Say which files lie beside a scene and are not believed: what they say may be about another version of it."""
    if "://" in path:
        return
    scene = Path(path)
    beside = [scene.with_name(scene.name + ending) for ending in APPENDED]
    beside += [scene.with_name(scene.stem + ending) for ending in REPLACED if ending != scene.suffix]
    for one in beside:
        if one.exists():
            warnings.warn(
                f"{one.name} lies beside the scene and is ignored: only the file itself is believed",
                SidecarWarning,
                stacklevel=5,
            )
