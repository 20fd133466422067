"""Pictures for a report: the scene as a whole, expected counts, and close-ups at full resolution."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from geopdn.api.quicklook import as_rgb, light_of, read_tiles
from geopdn.cli.project import contrast, shown_bands
from geopdn.errors import SceneError
from geopdn.geometry.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geopdn.detections import SceneFrame
    from geopdn.output.report.images import Placed
    from geopdn.scene import PixelSource, Scene

LONGEST_PX = 1600
"""Side of the scene's picture."""
CLOSE_UP_PX = (64, 320)
"""Smallest and largest side of a close-up, in its own pixels."""
AROUND = 2.5
"""Side of a close-up in lengths of the object."""
QUALITY = 80
OVERLAY = (255, 80, 0)
"""Colour of expected counts, the more opaque the more is expected."""
NEAR_PX = 2.0
"""How far a scene may lie from the result's grid, in pixels of the grid."""


class ScenePictures:
    """A scene's pictures, placed on a result's grid."""

    def __init__(self, scene: "Scene", frame: "SceneFrame") -> None:
        """Look at the whole scene once.

        Args:
            scene: opened in the bands that are shown.
            frame: the result's grid.

        Raises:
            SceneError: the scene is not where the result is.
        """
        from geopdn.scene import Stretch

        self._scene, self._name = scene, frame.name
        self._scale = _scale(scene, frame)
        n = len(scene.band_names)
        limits = [_limits(scene, band) for band in range(n)]
        self._stretch: Stretch = Stretch.from_dict(
            {
                "low": [low for low, _ in limits],
                "high": [high for _, high in limits],
                "scale": list(scene.scales),
                "offset": list(scene.offsets),
            }
        )
        level = _level(max(scene.size.height, scene.size.width), LONGEST_PX)
        size = scene.size.at_level(level)
        self._window = Window(0, 0, size.height, size.width, level)
        self._whole = read_tiles(scene, self._stretch, self._window)
        self._light = light_of(self._whole)

    def whole(self) -> "Placed":
        """The scene."""
        return self._placed(as_rgb(self._whole, self._light), self._window)

    def around(self, ring: "NDArray[np.float64]") -> "Placed":
        """A square around an outline `[K, 2]` of the grid's pixels, at full resolution where the object is small."""
        sx, sy = self._scale
        centre = (ring.min(0) + ring.max(0)) / 2 * (sx, sy)
        length = float((np.ptp(ring, axis=0) * (sx, sy)).max())
        level = _level(length * AROUND, CLOSE_UP_PX[1])
        step = 1 << level
        side = int(np.clip(length * AROUND / step, *CLOSE_UP_PX))
        col, row = (int(np.floor(place / step)) - side // 2 for place in centre)
        window = Window(row, col, side, side, level)
        return self._placed(as_rgb(read_tiles(self._scene, self._stretch, window), self._light), window)

    def _placed(self, image: "NDArray[np.uint8]", window: Window) -> "Placed":
        from PIL import Image

        from geopdn.output.report.images import Placed

        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
        full, (sx, sy) = window.at_full_resolution(), self._scale
        return Placed(file.getvalue(), "image/jpeg", full.col / sx, full.row / sy, full.width / sx, full.height / sy)


def expected_counts(path: Path, frame: "SceneFrame") -> "Placed":
    """A raster of expected counts as a picture on a result's grid, clear where nothing is expected.

    Raises:
        SceneError: it cannot be read, or is not where the result is.
    """
    from PIL import Image

    from geopdn.output.frames import map_transform
    from geopdn.output.report.images import Placed
    from geopdn.scene import Scene

    with Scene.open(path) as raster:
        level = _level(max(raster.size.height, raster.size.width), LONGEST_PX)
        size = raster.size.at_level(level)
        pixels = raster.read(Window(0, 0, size.height, size.width, level))
        values = np.where(pixels.valid, pixels.values[0].astype(np.float64), 0.0).clip(0)
        to_grid = _to_grid(raster, frame, map_transform(frame))
    highest = float(values.max())
    opacity = np.round(np.sqrt(values / highest if highest > 0 else values) * 220).astype(np.uint8)
    colour = np.broadcast_to(np.array(OVERLAY, np.uint8), (*opacity.shape, 3))
    file = BytesIO()
    Image.fromarray(np.dstack([colour, opacity])).save(file, "PNG", optimize=True)
    step = 1 << level
    return Placed(
        file.getvalue(),
        "image/png",
        to_grid.c,
        to_grid.f,
        size.width * step * to_grid.a,
        size.height * step * to_grid.e,
        highest=highest,
    )


def _to_grid(raster: "PixelSource", frame: "SceneFrame", transform: Affine) -> Affine:
    """From a raster's pixels to those of a result's grid, whose pixels `transform` brings to the raster's map.

    Raises:
        SceneError: it has another system, or is turned against the grid.
    """
    if (raster.crs is None) != (frame.crs is None) or (raster.crs is not None and raster.crs != frame.crs):
        names = ["none" if crs is None else crs.name for crs in (raster.crs, frame.crs)]
        raise SceneError(
            f"{raster.name} has the CRS {names[0]}, the result of {frame.name} has {names[1]}: give the raster that "
            "belongs to the result"
        )
    to_grid = ~transform @ raster.transform
    turned = max(abs(to_grid.b), abs(to_grid.d)) * max(raster.size.height, raster.size.width) > NEAR_PX
    if turned or to_grid.a <= 0 or to_grid.e <= 0:
        raise SceneError(f"{raster.name} is turned against the result of {frame.name}: give the raster of that scene")
    return to_grid


def _scale(scene: "Scene", frame: "SceneFrame") -> tuple[float, float]:
    """Pixels of the scene per pixel of the grid, along columns and rows.

    Raises:
        SceneError: they do not cover the same ground.
    """
    to_grid = _to_grid(scene, frame, frame.transform)
    ends = (to_grid.c, to_grid.f, to_grid.c + to_grid.a * scene.size.width, to_grid.f + to_grid.e * scene.size.height)
    own: Sequence[float] = (0.0, 0.0, frame.size.width, frame.size.height)
    far = max(abs(end - edge) for end, edge in zip(ends, own, strict=True))
    if far > NEAR_PX:
        raise SceneError(
            f"{scene.name} is not the scene of the result ({frame.name}): it lies {far:.6g} pixels away from it, or is "
            "larger or smaller; give that scene with --scene"
        )
    return 1 / to_grid.a, 1 / to_grid.e


def open_shown(path: str, *, allow_vrt: bool) -> "Scene":
    """A scene, opened in the bands that are shown; to be closed.

    Raises:
        SceneError: it cannot be opened.
    """
    from geopdn.scene import Scene

    with Scene.open(path, allow_vrt=allow_vrt) as scene:
        bands = shown_bands(scene)
    return Scene.open(path, bands=bands, allow_vrt=allow_vrt)


def _limits(scene: "PixelSource", band: int) -> tuple[float, float]:
    """Physical values that become black and white."""
    if scene.dtype == np.uint8:
        return scene.offsets[band], 255 * scene.scales[band] + scene.offsets[band]
    return contrast(scene, band)


def _level(extent: float, side: int) -> int:
    """The first level at which `extent` pixels of level 0 are no more than `side`."""
    level = 0
    while extent / (1 << level) > side:
        level += 1
    return level
