"""The only code that touches rasters: open, read windows at a level, valid masks, radiometry, resampling."""

from geopdn.scene.bands import select_bands
from geopdn.scene.radiometry import Radiometry, Stretch, resolve_stretch
from geopdn.scene.reader import Pixels, PixelSource, Scene
from geopdn.scene.resample import ResampledScene

__all__ = [
    "PixelSource",
    "Pixels",
    "Radiometry",
    "ResampledScene",
    "Scene",
    "Stretch",
    "resolve_stretch",
    "select_bands",
]
