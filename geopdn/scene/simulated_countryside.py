"""Countryside between simulated airports: blocks of fields, woods, towns and ponds, made where they are looked at.

The plane is cut into four-sided blocks by a lattice with displaced knots; every block is drawn from its own
seed, so a tile knows its ground without knowing the rest of the scene.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from geopdn.geometry.window import Window
from geopdn.scene.simulated_airport_colours import ASPHALT, FOREST, ROOF, ROUGH, SOIL, WATER, Palette
from geopdn.scene.simulated_canvas import Points, Shape, ShapeIndex, swept
from geopdn.scene.simulated_noise import hashed

BLOCK_M = 330.0

Layers = tuple[ShapeIndex, ShapeIndex, ShapeIndex]  # ground, roads, upright things


class Countryside:
    """Ground, roads and upright things of any window, in painter's order."""

    def __init__(self, palette: Palette, *, pixel_size_m: float, seed: int) -> None:
        self._palette = palette
        self._pixel_size_m = pixel_size_m
        self._seed = seed
        self._block_px = BLOCK_M / pixel_size_m
        self._block = lru_cache(maxsize=256)(self._draw_block)

    def shapes(self, window: Window) -> list[Shape]:
        """All shapes that may touch a window."""
        rows = range(int(window.row // self._block_px) - 1, int(window.row_stop // self._block_px) + 2)
        cols = range(int(window.col // self._block_px) - 1, int(window.col_stop // self._block_px) + 2)
        blocks = [self._block(row, col) for row in rows for col in cols]
        return [shape for layer in range(3) for block in blocks for shape in block[layer].within(window)]

    def _knot(self, row: int, col: int) -> tuple[float, float]:
        shift = hashed(np.array([row]), np.array([[col], [col + 7919]]), self._seed).astype(np.float64)
        x, y = (shift.ravel() / 2**32 - 0.5) * 0.62
        return (col + float(x)) * self._block_px, (row + float(y)) * self._block_px

    def _draw_block(self, row: int, col: int) -> Layers:
        rng = np.random.default_rng([self._seed, row + 2**20, col + 2**20])
        corners = np.array([self._knot(row + r, col + c) for r, c in ((0, 0), (0, 1), (1, 1), (1, 0))])
        region = hashed(np.array([row // 3]), np.array([col // 3]), self._seed + 5)[0] / 2**32
        town = 0.5 if region > 0.86 else 0.05
        kinds = ("town", "works", "wood", "meadow", "pond", "fields")
        chances = np.array([town, 0.03, 0.13, 0.12, 0.02, 0.0])
        chances[-1] = 1 - chances.sum()
        kind = kinds[int(rng.choice(len(kinds), p=chances))]
        ground: list[Shape] = []
        upright: list[Shape] = []
        patch = _Patch(corners, self._palette, pixel_size_m=self._pixel_size_m, rng=rng, ground=ground, upright=upright)
        getattr(patch, kind)()
        roads = []
        for other in (1, 3):
            paved = rng.random() < 0.45
            width = rng.uniform(5, 10) if paved else rng.uniform(2.5, 4)
            colour = self._palette.asphalt * rng.uniform(0.9, 1.3) if paved else self._palette.soil
            roads.append(
                _strip(corners[0], corners[other], width / self._pixel_size_m, colour, ASPHALT if paved else SOIL)
            )
            if rng.random() < 0.45:
                patch.trees_along(corners[0], corners[other], n_trees=int(rng.integers(5, 45)))
        return ShapeIndex(ground), ShapeIndex(roads), ShapeIndex(upright)


class _Patch:
    """Draws one block; positions inside it are shares (s, t) of its two sides."""

    def __init__(
        self,
        corners: Points,
        palette: Palette,
        *,
        pixel_size_m: float,
        rng: np.random.Generator,
        ground: list[Shape],
        upright: list[Shape],
    ) -> None:
        self.corners, self.palette, self.metre, self.rng = corners, palette, 1 / pixel_size_m, rng
        self.ground, self.upright = ground, upright

    def at(self, s: float, t: float) -> Points:
        top = self.corners[0] + (self.corners[1] - self.corners[0]) * s
        bottom = self.corners[3] + (self.corners[2] - self.corners[3]) * s
        point: Points = top + (bottom - top) * t
        return point

    def quad(self, s0: float, t0: float, s1: float, t1: float) -> Points:
        return np.array([self.at(s0, t0), self.at(s1, t0), self.at(s1, t1), self.at(s0, t1)])

    def fill(self, points: Points, colour: np.ndarray, texture: int) -> None:
        self.ground.append(Shape(points, tuple(map(float, colour)), texture))

    def cuts(self, n: int) -> np.ndarray:
        inner = np.sort(self.rng.uniform(0.08, 0.92, n - 1))
        return np.concatenate([[0], inner, [1]])

    def fields(self) -> None:
        rows, cols = self.cuts(int(self.rng.integers(1, 4))), self.cuts(int(self.rng.integers(1, 6)))
        for t0, t1 in pairwise(rows):
            for s0, s1 in pairwise(cols):
                self.field(s0, t0, s1, t1)

    def field(self, s0: float, t0: float, s1: float, t1: float) -> None:
        colour, texture = self.palette.field(self.rng)
        self.fill(self.quad(s0, t0, s1, t1), colour, texture)
        if self.rng.random() < 0.45:  # lines of the tractor
            along = self.rng.random() < 0.5
            length = (s1 - s0 if along else t1 - t0) * BLOCK_M
            n_lines = int(length / self.rng.uniform(6, 24))
            tone = colour * self.rng.uniform(0.88, 1.1)
            for share in (np.arange(n_lines) + 0.5) / max(n_lines, 1):
                if along:
                    start, stop = self.at(s0 + (s1 - s0) * share, t0), self.at(s0 + (s1 - s0) * share, t1)
                else:
                    start, stop = self.at(s0, t0 + (t1 - t0) * share), self.at(s1, t0 + (t1 - t0) * share)
                self.ground.append(_strip(start, stop, 1.2 * self.metre, tone, texture))
        if self.rng.random() < 0.2:
            self.trees_along(self.at(s0, t0), self.at(s1, t0), n_trees=int(self.rng.integers(4, 20)))

    def meadow(self) -> None:
        self.fill(self.corners, self.palette.grass * self.rng.uniform(0.85, 1.2), ROUGH)
        for _ in range(int(self.rng.integers(0, 40))):
            self.tree(self.at(*self.rng.uniform(0.03, 0.97, 2)))

    def wood(self) -> None:
        self.fill(self.corners, self.palette.forest * self.rng.uniform(0.85, 1.2), FOREST)

    def pond(self) -> None:
        self.fill(self.corners, self.palette.grass, ROUGH)
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        radius = 0.3 + 0.1 * np.cumsum(self.rng.normal(0, 0.25, 24)) / 3
        self.fill(
            np.array([self.at(0.5 + r * np.cos(a), 0.5 + r * np.sin(a)) for r, a in zip(radius, turn, strict=True)]),
            self.palette.water,
            WATER,
        )

    def town(self) -> None:
        self.fill(self.corners, self.palette.asphalt * 1.15, ASPHALT)
        n_rows, n_cols = self.rng.integers(3, 6), self.rng.integers(2, 4)
        for i in range(n_rows):
            for j in range(n_cols):
                edge = 0.014
                s0, s1 = j / n_cols + edge, (j + 1) / n_cols - edge
                t0, t1 = i / n_rows + edge, (i + 1) / n_rows - edge
                self.fill(self.quad(s0, t0, s1, t1), self.palette.grass * self.rng.uniform(0.95, 1.35), ROUGH)
                n_houses = int(self.rng.integers(5, 11))
                for side in (0.25, 0.75):
                    for k in range(n_houses):
                        spot = self.at(s0 + (s1 - s0) * (k + 0.5) / n_houses, t0 + (t1 - t0) * side)
                        if self.rng.random() < 0.85:
                            self.house(
                                spot, self.rng.uniform(7, 13), self.rng.uniform(7, 11), height=self.rng.uniform(4, 9)
                            )
                        for _ in range(int(self.rng.integers(0, 3))):
                            self.tree(spot + self.rng.normal(0, 7 * self.metre, 2))

    def works(self) -> None:
        self.fill(self.corners, self.palette.concrete * self.rng.uniform(0.8, 1.1), ASPHALT)
        rows, cols = self.cuts(int(self.rng.integers(2, 4))), self.cuts(int(self.rng.integers(2, 4)))
        for t0, t1 in pairwise(rows):
            for s0, s1 in pairwise(cols):
                spot = self.at((s0 + s1) / 2, (t0 + t1) / 2)
                if self.rng.random() < 0.75:
                    self.house(
                        spot,
                        (s1 - s0) * BLOCK_M * 0.7,
                        (t1 - t0) * BLOCK_M * 0.65,
                        height=self.rng.uniform(6, 14),
                        large=True,
                    )
                for _ in range(int(self.rng.integers(4, 30))):
                    place = self.at(self.rng.uniform(s0, s1), t0 + 0.04 * (t1 - t0))
                    self.box(place, 4.4, 1.9, self.palette.vehicle(self.rng), height=1.5)

    def house(self, spot: Points, width: float, depth: float, *, height: float, large: bool = False) -> None:
        roof = self.palette.roof(self.rng, large=large)
        outline = self.box(spot, width, depth, roof, height=height)
        if not large:  # the other half of the roof, in another light
            centre = (outline[0] + outline[1]) / 2, (outline[2] + outline[3]) / 2
            half = np.array([outline[0], centre[0], centre[1], outline[3]])
            self.upright.append(Shape(half, tuple(map(float, roof * 0.8)), ROOF))

    def box(self, spot: Points, width: float, depth: float, colour: np.ndarray, *, height: float) -> Points:
        along = self.corners[1] - self.corners[0]
        along = along / np.hypot(*along) * self.metre / 2
        across = np.array([-along[1], along[0]])
        signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
        outline = np.array([spot + along * width * a + across * depth * b for a, b in signs])
        sun = self.palette.sun
        step = np.array([sun.x, sun.y]) * sun.reach * height * self.metre
        self.upright.append(Shape(swept(outline, (step[0], step[1])), None, shade=0.55))
        self.upright.append(Shape(outline, tuple(map(float, colour)), ROOF))
        return outline

    def tree(self, spot: Points) -> None:
        radius = self.rng.uniform(1.5, 4.5) * self.metre
        turn = np.linspace(0, 2 * np.pi, 9, endpoint=False)
        crown = spot + np.stack([np.cos(turn), np.sin(turn)], -1) * radius * self.rng.uniform(0.75, 1.2, (9, 1))
        sun = self.palette.sun
        step = np.array([sun.x, sun.y]) * sun.reach * radius * 1.3
        self.upright.append(Shape(crown + step, None, shade=0.5))
        self.upright.append(Shape(crown, tuple(map(float, self.palette.forest * self.rng.uniform(0.8, 1.3))), FOREST))

    def trees_along(self, start: Points, stop: Points, *, n_trees: int) -> None:
        for share in self.rng.uniform(0, 1, n_trees):
            self.tree(start + (stop - start) * share + self.rng.normal(0, 2.5 * self.metre, 2) + 5 * self.metre)


def _strip(start: Points, stop: Points, width: float, colour: np.ndarray, texture: int) -> Shape:
    step = stop - start
    across = np.array([-step[1], step[0]]) / (np.hypot(*step) or 1.0) * width / 2
    points = np.array([start + across, stop + across, stop - across, start - across])
    return Shape(points, tuple(map(float, colour)), texture)
