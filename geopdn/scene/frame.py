"""The georeferencing of a scene as the record that evaluation and output take."""

from __future__ import annotations

from geopdn.detections import SceneFrame
from geopdn.scene.reader import PixelSource


def frame_of(source: PixelSource) -> SceneFrame:
    """Name, size, transform, CRS and time of a scene or of a resampled view of one."""
    return SceneFrame(
        name=source.name, size=source.size, transform=source.transform, crs=source.crs, datetime=source.datetime
    )
