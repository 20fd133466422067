"""Layout of simulated harbours: quays, piers, yards, breakwaters, and the vessels at berth and at sea."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import shapely

from geopdn.errors import ConfigError
from geopdn.geometry.window import Size, Window
from geopdn.scene.simulated_canvas import Frame, Points, Shape, ellipse
from geopdn.scene.simulated_clouds import Clouds
from geopdn.scene.simulated_coast import BRIGHT, ROOFS, STREET, Coast
from geopdn.scene.simulated_vessels import CONTAINERS, Vessel, draw_size

PAVED = np.array([1750, 1620, 1480, 2050, 2300], np.float32)
STONE = np.array([1500, 1420, 1300, 1700, 1800], np.float32)
KINDS = {"container": 0.2, "bulk": 0.24, "tanker": 0.18, "ferry": 0.1, "service": 0.28}


@dataclass(slots=True)
class Harbour:
    """What the coast does not know: built shapes, vessels with a label, and small craft without one."""

    shapes: list[Shape] = field(default_factory=list)
    vessels: list[Vessel] = field(default_factory=list)
    boats: list[Vessel] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Berth:
    """A straight quay edge in a port's frame: water lies towards `side` (+1 or -1) of its own +v axis."""

    frame: Frame
    length_m: float


def lay_out(
    size: Size, coast: Coast, *, pixel_size_m: float, n_vessels: int, occupied_share: float, seed: int, hidden: Clouds
) -> Harbour:
    """A harbour with exactly `n_vessels` labelled vessels, all on water, inside the scene and clear of clouds.

    Args:
        size: the scene in pixels.
        coast: where land and water lie.
        pixel_size_m: side of a pixel.
        n_vessels: labelled vessels, 30 m and longer.
        occupied_share: upper bound of the area of ports and anchorages over the scene's area.
        seed: same seed, same layout.
        hidden: the scene's clouds.

    Raises:
        ConfigError: so many vessels find no place.
    """
    rng = np.random.default_rng([seed, 21])
    builder = _Builder(size, coast, pixel_size_m, rng, hidden)
    at_berth = round(n_vessels * 0.45)
    budget = occupied_share * size.area
    for _ in range(max(1, round(at_berth / 9))):
        builder.port()
    builder.moor(at_berth)
    builder.sail(n_vessels - len(builder.harbour.vessels), area_px=budget)
    builder.clutter(2 + n_vessels // 2)
    if len(builder.harbour.vessels) < n_vessels:
        found = len(builder.harbour.vessels)
        raise ConfigError(
            f"only {found} of {n_vessels} vessels found a place in {size.width} x {size.height} px "
            f"of {pixel_size_m} m within {occupied_share:.1%} of the area: ask for fewer, a larger scene or share"
        )
    return builder.harbour


class _Builder:
    """Places things one after another; every placement sees those before it."""

    def __init__(self, size: Size, coast: Coast, pixel_size_m: float, rng: np.random.Generator, hidden: Clouds) -> None:
        self.size, self.coast, self.metre, self.rng, self.hidden = size, coast, 1 / pixel_size_m, rng, hidden
        self.pixel_size_m = pixel_size_m
        self.harbour = Harbour()
        self.berths: list[_Berth] = []
        self.solid: list[shapely.Geometry] = []
        self.taken: list[shapely.Geometry] = []
        self.step = max(2, min(size.height, size.width) // 220)
        self.height = coast.height(Window(0, 0, size.height, size.width), every=self.step)  # a coarse grid of heights

    def _height(self, x: float, y: float) -> float:
        """Height above water near a point, from the coarse grid."""
        rows, cols = self.height.shape
        row, col = int(y) // self.step, int(x) // self.step
        return float(self.height[min(max(row, 0), rows - 1), min(max(col, 0), cols - 1)])

    def fill(self, points: Points, colour: np.ndarray, texture: int = 1) -> None:
        self.harbour.shapes.append(Shape(points, tuple(map(float, colour)), texture))

    def build(self, points: Points, colour: np.ndarray) -> None:
        """A solid thing in the water."""
        self.fill(points, colour)
        self.solid.append(shapely.Polygon(points))

    def port(self) -> None:
        """A terminal on a random stretch of coast, built out into the water."""
        rng = self.rng
        frame = self._shore()
        if frame is None:
            return
        room = min(self.size.height, self.size.width) * self.pixel_size_m
        half = float(np.clip(rng.uniform(350, 800), 60, room * 0.16))
        out = float(np.clip(rng.uniform(80, 280), 20, room * 0.06))
        self.build(frame.box(-half, -0.35 * half, half, out), PAVED * rng.uniform(0.75, 1.2))
        self._yard(frame, -half + 20, -0.3 * half, half - 20, out - 45)
        self._edge(frame, (-half, out), (half, out))
        self._edge(frame, (half, out), (half, -0.1 * half))
        self._edge(frame, (-half, -0.1 * half), (-half, out))
        self._piers(frame, half, out, longest=room * 0.12)
        if rng.random() < 0.8:  # breakwater
            far = out + float(np.clip(rng.uniform(450, 1000), 60, room * 0.2))
            start = half * rng.uniform(0.7, 1.2) * float(rng.choice([-1, 1]))
            end = (-start * 0.5, far * rng.uniform(0.95, 1.15))
            points = [(start * 1.15, out * 0.3), (start * 1.1, far * 0.7), (start * 0.7, far), end]
            for strip in frame.line(points, width=rng.uniform(12, 28)):
                self.build(strip, STONE * rng.uniform(0.7, 1.3))
        if rng.random() < 0.6:
            self._marina(frame, half + rng.uniform(60, 150), out * 0.2)

    def _shore(self) -> Frame | None:
        """A place on the coast, away from other ports: +u along the shore, +v to sea."""
        rng, height, width = self.rng, self.size.height, self.size.width
        edge = (self.height[:, :-1] > 0) != (self.height[:, 1:] > 0)
        spots = np.argwhere(edge) * self.step
        share = spots / (height, width)
        for row, col in rng.permutation(spots[((share > 0.08) & (share < 0.92)).all(1)])[:40].tolist():
            reach = 24
            down = self._height(col, row + reach) - self._height(col, row - reach)
            right = self._height(col + reach, row) - self._height(col - reach, row)
            seaward = math.atan2(-down, -right)
            far_x, far_y = 36 * math.cos(seaward), 36 * math.sin(seaward)
            apart = all(shapely.distance(shape, shapely.Point(col, row)) > 60 for shape in self.solid)
            if apart and self._height(col - far_x, row - far_y) > 0 > self._height(col + far_x, row + far_y):
                turn = seaward - math.pi / 2 + float(rng.normal(0, 0.12))
                return Frame(float(col), float(row), turn, self.pixel_size_m)
        return None

    def _piers(self, frame: Frame, half: float, out: float, *, longest: float) -> None:
        rng = self.rng
        place = -half + rng.uniform(20, 120)
        while place < half - 90:
            width, long = rng.uniform(25, 150), float(np.clip(rng.uniform(140, 600), 40, longest))
            if rng.random() < 0.65 and place + width < half:
                self.build(frame.box(place, out - 5, place + width, out + long), PAVED * rng.uniform(0.7, 1.25))
                if width > 60:
                    self._yard(frame, place + 12, out, place + width - 12, out + long - 15)
                self._edge(frame, (place + width, out + long), (place + width, out + 20))
                self._edge(frame, (place, out + 20), (place, out + long))
            place += width + rng.uniform(110, 330)

    def _marina(self, frame: Frame, u: float, v: float) -> None:
        """Floating piers with small boats."""
        for k in range(int(self.rng.integers(3, 7))):
            self.build(frame.box(u + k * 42, v, u + k * 42 + 4, v + 150), PAVED * 0.8)
            for berth in np.arange(v + 6, v + 148, 8):
                for side in (-8, 12):
                    if self.rng.random() < 0.75:
                        self._boat(frame.at(u + k * 42 + side, float(berth)), 9, 3.4)

    def _edge(self, frame: Frame, start: tuple[float, float], end: tuple[float, float]) -> None:
        """A berth along an edge: its frame's +u runs along it, water lies towards +v."""
        length = math.hypot(end[0] - start[0], end[1] - start[1])
        turn = math.atan2(end[1] - start[1], end[0] - start[0])
        berth = frame.at((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, turn=turn)
        if length > 60:
            self.berths.append(_Berth(berth, length))

    def _yard(self, frame: Frame, u0: float, v0: float, u1: float, v1: float) -> None:
        """Stacks of containers, sheds or open storage."""
        rng = self.rng
        u = u0
        while u < u1 - 25 and v1 - v0 > 20:
            width = min(rng.uniform(60, 260), u1 - u)
            use = rng.random()
            if use < 0.45:
                for row in np.arange(v0, v1 - 14, 30):
                    for col in np.arange(u, u + width - 16, 16):
                        if rng.random() < 0.72:
                            colour = np.array(CONTAINERS[int(rng.integers(len(CONTAINERS)))]) * rng.uniform(0.7, 1.1)
                            self.fill(frame.box(col, row, col + 15, row + rng.uniform(9, 20)), colour)
            elif use < 0.8:
                for row in np.arange(v0, v1 - 20, 75):
                    roof = (BRIGHT, ROOFS, STREET, BRIGHT * 0.75)[int(rng.integers(4))] * rng.uniform(0.75, 1.25)
                    self.fill(frame.box(u, row, u + width - 20, min(row + rng.uniform(25, 60), v1)), roof)
            else:
                for _ in range(int(width / 25)):
                    spot = rng.uniform(u, u + width), rng.uniform(v0, v1)
                    tank = BRIGHT * rng.uniform(0.6, 1.3)
                    self.fill(ellipse(frame, *spot, radius_u=(r := rng.uniform(8, 24)), radius_v=r, n_points=12), tank)
            u += width + rng.uniform(12, 40)

    def _free(self, vessel: Vessel, *, clearance_m: float, from_land: float) -> bool:
        """Whether a vessel lies inside the scene, on open water and clear of everything else."""
        outline = vessel.outline(clearance_m=clearance_m)
        if (outline < 4).any() or (outline > (self.size.width - 4, self.size.height - 4)).any():
            return False
        body = shapely.Polygon(outline)
        if any(body.intersects(other) for other in (*self.solid, *self.taken)):
            return False
        (left, top), (right, bottom) = (
            np.floor(edge).astype(int).tolist() for edge in (outline.min(0), outline.max(0))
        )
        around = Window(top, left, bottom - top + 1, right - left + 1)
        corners = vessel.outline()
        probes = np.floor([*corners, corners.mean(0), *((corners + np.roll(corners, 1, 0)) / 2)]).astype(int)
        if (self.coast.height(around)[probes[:, 1] - top, probes[:, 0] - left] > -from_land).any():
            return False
        return bool(self.hidden.density(around).max() < 0.15)

    def _keep(self, vessel: Vessel) -> None:
        self.harbour.vessels.append(vessel)
        self.taken.append(shapely.Polygon(vessel.outline(clearance_m=4)))

    def moor(self, n: int) -> None:
        """Vessels along quays, hull against the edge."""
        if not self.berths:
            return
        weights = np.array([berth.length_m for berth in self.berths])
        for _ in range(40 * n):
            if len(self.harbour.vessels) >= n:
                return
            berth = self.berths[int(self.rng.choice(len(self.berths), p=weights / weights.sum()))]
            kind, length, width = self._draw()
            if length > berth.length_m * 1.05:
                continue
            u = float(self.rng.uniform(-1, 1)) * max(0.0, (berth.length_m - length) / 2)
            turn = 0.0 if self.rng.random() < 0.5 else math.pi
            gap = 2.0
            frame = berth.frame.at(u, width / 2 + gap, turn=turn)
            vessel = Vessel(kind, length, width, frame)
            if self._free(vessel, clearance_m=0.5, from_land=0.8):
                self._keep(vessel)

    def sail(self, n: int, *, area_px: float) -> None:
        """Vessels at anchor in clusters (one heading each) and a few under way."""
        rng, placed = self.rng, 0
        water = np.argwhere(self.height < -12) * self.step
        if not len(water):
            return
        n_clusters = max(1, round(n / 9))
        radius = math.sqrt(area_px / n_clusters / math.pi)
        centres = [water[int(rng.integers(len(water)))][::-1] for _ in range(n_clusters)]
        headings = rng.uniform(-math.pi, math.pi, n_clusters)
        for _ in range(160 * max(n, 1)):
            if placed >= n:
                return
            index = int(rng.integers(n_clusters))
            x, y = centres[index] + radius * math.sqrt(rng.random()) * _unit(rng)
            if not (0 <= x < self.size.width and 0 <= y < self.size.height):
                continue
            kind, length, width = self._draw()
            moving = bool(rng.random() < 0.4)
            angle = float(rng.uniform(-math.pi, math.pi)) if moving else float(headings[index] + rng.normal(0, 0.12))
            vessel = Vessel(kind, length, width, Frame(float(x), float(y), angle, self.pixel_size_m), moving)
            if self._free(vessel, clearance_m=40, from_land=3):
                self._keep(vessel)
                placed += 1

    def clutter(self, n: int) -> None:
        """Small craft, buoys and rocks that carry no label."""
        rng = self.rng
        water = np.argwhere(self.height < -4) * self.step
        for _ in range(min(3 * n, 12 * len(water))):
            y, x = water[int(rng.integers(len(water)))] + rng.uniform(0, self.step, 2)
            frame = Frame(float(x), float(y), float(rng.uniform(-3.1, 3.1)), self.pixel_size_m)
            if rng.random() < 0.6:
                length, width = draw_size("boat", rng)
                self._boat(frame, length, width, moving=bool(rng.random() < 0.4))
            elif rng.random() < 0.6:
                self.fill(ellipse(frame, 0, 0, radius_u=2.5, radius_v=2.5, n_points=8), BRIGHT * 0.6)
            else:
                long = rng.uniform(8, 45)
                self.fill(
                    ellipse(frame, 0, 0, radius_u=long, radius_v=long * rng.uniform(0.3, 0.9), n_points=10),
                    STONE * rng.uniform(0.4, 1.0),
                )

    def _boat(self, frame: Frame, length: float, width: float, *, moving: bool = False) -> None:
        boat = Vessel("boat", length, width, frame, moving)
        body = shapely.Polygon(boat.outline(clearance_m=6))
        if self._height(frame.x, frame.y) < -1 and not any(body.intersects(other) for other in self.taken):
            self.harbour.boats.append(boat)

    def _draw(self) -> tuple[str, float, float]:
        kind = str(self.rng.choice(list(KINDS), p=list(KINDS.values())))
        return kind, *draw_size(kind, self.rng)


def _unit(rng: np.random.Generator) -> np.ndarray:
    turn = rng.uniform(0, 2 * math.pi)
    return np.array([math.cos(turn), math.sin(turn)])
