"""Detectors that are not geopdn's: what they say of themselves, what they are fed, what they return.

Knows no raster and no CRS. `geopdn.engine.detect_with` puts one in the place of the high-resolution stage.
"""

from geopdn.detectors.protocol import Detector, FoundBoxes, from_function
from geopdn.detectors.spec import DetectorSpec
from geopdn.detectors.values import Scaling, parse_values

__all__ = ["Detector", "DetectorSpec", "FoundBoxes", "Scaling", "from_function", "parse_values"]
