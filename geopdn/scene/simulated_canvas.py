"""Painting of polygons with anti-aliasing: shapes in painter's order, drawn four times finer and averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from geopdn.geometry.window import Window

Points = NDArray[np.float64]

SUPERSAMPLE = 4


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A polygon in level-0 pixels.

    Attributes:
        points: `[N, 2]` x, y.
        colour: one value a band, or None for a shape that only casts shade.
        texture: index of the texture that the surface carries.
        shade: share of light taken away from what was painted before (0 for lit surfaces).
        drift: pixels (x, y) by which each band sees it later than the one before (moving objects).
    """

    points: Points
    colour: tuple[float, ...] | None
    texture: int = 0
    shade: float = 0.0
    drift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """Local axes in metres on the pixel grid: origin in pixels, direction of +u in radians (+x towards +y)."""

    x: float
    y: float
    angle: float
    pixel_size_m: float

    def place(self, points: Points | Sequence[tuple[float, float]]) -> Points:
        """Pixel positions `[N, 2]` of local points `[N, 2]` (u, v) in metres."""
        local = np.asarray(points, dtype=np.float64) / self.pixel_size_m
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return np.stack(
            [self.x + cos * local[:, 0] - sin * local[:, 1], self.y + sin * local[:, 0] + cos * local[:, 1]], -1
        )

    def box(self, u0: float, v0: float, u1: float, v1: float) -> Points:
        """Pixel corners `[4, 2]` of a local rectangle."""
        return self.place([(u0, v0), (u1, v0), (u1, v1), (u0, v1)])

    def line(self, points: Sequence[tuple[float, float]], *, width: float) -> list[Points]:
        """Rectangles along a local polyline, joined by overlap."""
        strips = []
        for (u0, v0), (u1, v1) in pairwise(points):
            length = math.hypot(u1 - u0, v1 - v0) or 1.0
            along_u, along_v = (u1 - u0) / length * width / 2, (v1 - v0) / length * width / 2
            u0, v0, u1, v1 = u0 - along_u, v0 - along_v, u1 + along_u, v1 + along_v  # noqa: PLW2901
            strips.append(
                self.place(
                    [
                        (u0 - along_v, v0 + along_u),
                        (u1 - along_v, v1 + along_u),
                        (u1 + along_v, v1 - along_u),
                        (u0 + along_v, v0 - along_u),
                    ]
                )
            )
        return strips

    def at(self, u: float, v: float, *, turn: float = 0.0) -> Frame:
        """A frame with its origin at a local point, turned by `turn` radians against this one."""
        x, y = self.place([(u, v)])[0]
        return Frame(float(x), float(y), self.angle + turn, self.pixel_size_m)


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """What the shapes leave on a window.

    Attributes:
        colour: `[C, h, w]`, already multiplied by `cover`.
        cover: `[h, w]` share of the pixel that is painted, 0 to 1.
        light: `[h, w]` share of light that arrives, 0 to 1.
        texture: `[h, w]` texture index at the pixel's centre.
    """

    colour: NDArray[np.float32]
    cover: NDArray[np.float32]
    light: NDArray[np.float32]
    texture: NDArray[np.uint8]


def paint(shapes: Sequence[Shape], window: Window, *, n_bands: int, exact: bool) -> Painted:
    """Draw shapes in their order on the pixels of a window.

    Args:
        shapes: what to draw.
        window: pixels to draw on.
        n_bands: colours of a shape; three where not `exact`.
        exact: any values, band by band; otherwise three bands of 0..255 at once, faster and rounded.
    """
    tight = _tight(shapes, window)
    if tight != window:
        return _padded(paint(shapes, tight, n_bands=n_bands, exact=exact), tight, window)
    size = (window.width * SUPERSAMPLE, window.height * SUPERSAMPLE)
    bands = [Image.new("F", size) for _ in range(n_bands)] if exact else [Image.new("RGB", size)]
    cover, shade = Image.new("L", size), Image.new("L", size)
    texture = Image.new("L", (window.width, window.height))
    on_bands = [ImageDraw.Draw(band) for band in bands]
    on_cover, on_shade, on_texture = ImageDraw.Draw(cover), ImageDraw.Draw(shade), ImageDraw.Draw(texture)
    for shape in shapes:
        fine = (shape.points - (window.col, window.row)) * SUPERSAMPLE - 0.5
        outline = np.rint(fine).ravel().tolist()
        on_shade.polygon(outline, fill=round(255 * shape.shade))
        if shape.colour is None:
            continue
        on_cover.polygon(outline, fill=255)
        on_texture.polygon(np.rint((fine + 0.5) / SUPERSAMPLE - 0.5).ravel().tolist(), fill=shape.texture)
        if not exact:
            red, green, blue = (min(255, round(value)) for value in shape.colour)
            on_bands[0].polygon(outline, fill=(red, green, blue))
            continue
        moving = shape.drift != (0.0, 0.0)
        for index, (drawing, value) in enumerate(zip(on_bands, shape.colour, strict=True)):
            moved = (
                np.rint(fine + np.multiply(shape.drift, SUPERSAMPLE * index)).ravel().tolist() if moving else outline
            )
            drawing.polygon(moved, fill=float(value))
    reduced = [np.asarray(band.reduce(SUPERSAMPLE), np.float32) for band in bands]
    return Painted(
        colour=np.stack(reduced) if exact else np.ascontiguousarray(reduced[0].transpose(2, 0, 1)),
        cover=np.asarray(cover.reduce(SUPERSAMPLE), np.float32) / np.float32(255),
        light=np.float32(1) - np.asarray(shade.reduce(SUPERSAMPLE), np.float32) / np.float32(255),
        texture=np.asarray(texture),
    )


def _tight(shapes: Sequence[Shape], window: Window) -> Window:
    """The part of a window that shapes reach, so that little is allocated where little is drawn."""
    if not shapes:
        return Window(window.row, window.col, 1, 1)
    low = np.floor(np.min([shape.points.min(0) for shape in shapes], 0)).astype(int) - 2
    high = np.ceil(np.max([shape.points.max(0) for shape in shapes], 0)).astype(int) + 2
    col, row = max(window.col, int(low[0])), max(window.row, int(low[1]))
    width, height = min(window.col_stop, int(high[0])) - col, min(window.row_stop, int(high[1])) - row
    if width < 1 or height < 1:
        return Window(window.row, window.col, 1, 1)
    return Window(row, col, height, width)


def _padded(painted: Painted, tight: Window, window: Window) -> Painted:
    rows = (tight.row - window.row, window.row_stop - tight.row_stop)
    cols = (tight.col - window.col, window.col_stop - tight.col_stop)
    return Painted(
        colour=np.pad(painted.colour, ((0, 0), rows, cols)),
        cover=np.pad(painted.cover, (rows, cols)),
        light=np.pad(painted.light, (rows, cols), constant_values=1),
        texture=np.pad(painted.texture, (rows, cols)),
    )


class ShapeIndex:
    """Shapes in painter's order, findable by window."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self.shapes = tuple(shapes)
        low = [shape.points.min(0) for shape in self.shapes]
        high = [shape.points.max(0) for shape in self.shapes]
        self._low = np.array(low).reshape(-1, 2)
        self._high = np.array(high).reshape(-1, 2)

    def within(self, window: Window) -> list[Shape]:
        """The shapes that may touch a window, in their order."""
        start, stop = (window.col, window.row), (window.col_stop, window.row_stop)
        touching = (self._high >= start).all(1) & (self._low <= stop).all(1)
        return [self.shapes[index] for index in np.flatnonzero(touching)]


def swept(points: Points, step: tuple[float, float]) -> Points:
    """Outline of a convex polygon moved along a step (the shadow of an upright block)."""
    import shapely

    both = np.concatenate([points, points + step])
    hull: Points = shapely.get_coordinates(shapely.convex_hull(shapely.multipoints(both)))
    return hull


def ellipse(frame: Frame, u: float, v: float, *, radius_u: float, radius_v: float, n_points: int = 20) -> Points:
    """Pixel outline of a local ellipse in metres."""
    turn = np.linspace(0, 2 * np.pi, n_points, endpoint=False)
    return frame.place(np.stack([u + radius_u * np.cos(turn), v + radius_v * np.sin(turn)], -1))
