"""The picture of a run: backdrop and close-ups read from the scene, drawn by `geopdn.output.picture`."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geopdn.errors import SceneReadError
from geopdn.geometry.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geopdn.detections import Detections, RunResult
    from geopdn.output.picture import Chip
    from geopdn.scene import PixelSource, Stretch

    Image = NDArray[np.uint8]

LONGEST_PX = 2000
"""Side of the backdrop: the picture shows about 1,800 pixels."""
TILE = 512
N_CHIPS = 6
CANDIDATES = 60
"""Close-ups show some of this many best detections."""
CHIP_PX = (96, 384)
"""Smallest and largest side of a close-up in its own pixels."""


def draw(result: "RunResult", source: "PixelSource", path: Path) -> None:
    """Write the picture of a run.

    Raises:
        OutputError: it cannot be written.
    """
    from geopdn.output.picture import render
    from geopdn.scene import Stretch

    stretch = Stretch.from_dict(result.facts["stretch"])
    level = 0
    while max(source.size.at_level(level).height, source.size.at_level(level).width) > LONGEST_PX:
        level += 1
    size = source.size.at_level(level)
    whole = read_tiles(source, stretch, Window(0, 0, size.height, size.width, level))
    light = light_of(whole)
    close_ups = [chip(result.detections, source, stretch, index, light) for index in spread(result.detections)]
    render(
        result,
        as_rgb(whole, light),
        backdrop_step=float(1 << level),
        path=path,
        title=result.frame.name,
        chips=close_ups,
    )


def spread(detections: "Detections") -> list[int]:
    """Positions of up to six of the best detections, far from each other; the best first."""
    n = min(len(detections), CANDIDATES)
    if n == 0:
        return []
    places = detections.boxes[:n, :2]
    chosen = [0]
    nearest = np.hypot(*(places - places[0]).T)
    while len(chosen) < min(N_CHIPS, n):
        index = int(nearest.argmax())
        chosen.append(index)
        nearest = np.minimum(nearest, np.hypot(*(places - places[index]).T))
    return sorted(chosen)


def chip(detections: "Detections", source: "PixelSource", stretch: "Stretch", index: int, light: float) -> "Chip":
    """A square close-up around one detection, with all boxes centred in it, in the close-up's pixels."""
    x, y, length = detections.boxes[index, :3]
    level = int(length * 3 > CHIP_PX[1])
    step = 1 << level
    side = int(np.clip(length * 3 / step, *CHIP_PX))
    window = Window(int(y / step) - side // 2, int(x / step) - side // 2, side, side, level)
    boxes = detections.boxes.copy()
    boxes[:, :4] /= step
    boxes[:, :2] -= (window.col, window.row)
    seen = ((boxes[:, :2] >= 0) & (boxes[:, :2] < side)).all(1)
    return as_rgb(read_tiles(source, stretch, window), light), boxes[seen]


def read_tiles(source: "PixelSource", stretch: "Stretch", window: Window) -> "NDArray[np.float32]":
    """Stretched values `[C, h, w]`, read in tiles; 0 where a block is damaged."""
    values = np.zeros((len(source.band_names), window.height, window.width), np.float32)
    for row in range(0, window.height, TILE):
        for col in range(0, window.width, TILE):
            height, width = min(TILE, window.height - row), min(TILE, window.width - col)
            tile = Window(window.row + row, window.col + col, height, width, window.level)
            try:
                values[:, row : row + height, col : col + width] = stretch.apply(source.read(tile))
            except SceneReadError:
                continue  # the run has recorded it
    return values


def light_of(values: "NDArray[np.float32]") -> float:
    """What becomes white: nearly the brightest of the scene's values, for scenes that are dark as a whole."""
    lit = values[:3][:, values.any(0)]
    return float(np.clip(np.percentile(lit, 99.5), 0.15, 1.0)) if lit.size else 1.0


def as_rgb(values: "NDArray[np.float32]", light: float) -> "Image":
    """`[h, w, 3]` of the first three bands, or of the first."""
    shown = values[:3] if len(values) >= 3 else np.repeat(values[:1], 3, axis=0)
    image: Image = np.round(np.clip(shown / light, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(image.transpose(1, 2, 0))
