"""Small pictures of detections, for map tips: cut from the scene, brightened as a whole, as JPEG files."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from geopdn.api.quicklook import as_rgb, light_of, read_tiles
from geopdn.geometry.window import Window

if TYPE_CHECKING:
    from geopdn.detections import RunResult
    from geopdn.scene import PixelSource

SIDE_PX = (48, 160)
"""Smallest and largest side of a picture in its own pixels."""
AROUND = 2.5
"""Side of a picture in lengths of the object."""
BACKDROP_PX = 512
"""Side of the view from which brightness is taken."""
QUALITY = 80


def pictures_of(result: "RunResult", source: "PixelSource", *, most: int) -> tuple[bytes, ...]:
    """JPEG files of the best `most` detections, in their order; the same input gives the same bytes."""
    from PIL import Image

    from geopdn.scene import Stretch

    n = min(most, len(result.detections))
    if n == 0:
        return ()
    stretch = Stretch.from_dict(result.facts["stretch"])
    level = _level(max(source.size.height, source.size.width), BACKDROP_PX)
    size = source.size.at_level(level)
    light = light_of(read_tiles(source, stretch, Window(0, 0, size.height, size.width, level)))
    files = []
    for x, y, length in result.detections.boxes[:n, :3]:
        level = _level(length * AROUND, SIDE_PX[1])
        step = 1 << level
        side = int(np.clip(length * AROUND / step, *SIDE_PX))
        window = Window(int(y / step) - side // 2, int(x / step) - side // 2, side, side, level)
        file = BytesIO()
        Image.fromarray(as_rgb(read_tiles(source, stretch, window), light)).save(file, "JPEG", quality=QUALITY)
        files.append(file.getvalue())
    return tuple(files)


def _level(extent: float, side: int) -> int:
    """The first level at which `extent` pixels of level 0 are no more than `side`."""
    level = 0
    while extent / (1 << level) > side:
        level += 1
    return level
