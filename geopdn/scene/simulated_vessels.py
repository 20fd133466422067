"""Vessels seen at about 10 m: hulls, decks, superstructures and wakes, as shapes to paint (reflectance x 10,000)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopdn.scene.simulated_canvas import Frame, Points, Shape

HULL = 7  # texture index: no noise of its own

Spectrum = tuple[float, float, float, float, float]  # B04 B03 B02 B08 B11
Paint = Callable[[Points, NDArray[np.float64]], None]

WHITE: Spectrum = (3900, 3750, 3600, 3800, 2500)
DECKS: dict[str, tuple[Spectrum, ...]] = {
    "container": ((1250, 1150, 1080, 1400, 1250), (900, 950, 1000, 1050, 950)),
    "bulk": ((1650, 820, 650, 1800, 1700), (1250, 1150, 1000, 1350, 1300), (650, 950, 820, 1050, 950)),
    "tanker": ((1700, 750, 600, 1850, 1750), (900, 1050, 950, 1150, 1000), (1050, 1000, 950, 1200, 1150)),
    "ferry": ((3400, 3300, 3200, 3400, 2300), (2600, 2550, 2500, 2700, 2000)),
    "service": ((1500, 1350, 1250, 1600, 1400), (2400, 2300, 2200, 2400, 1700), (550, 580, 600, 650, 600)),
    "boat": ((2600, 2500, 2450, 2500, 1500), (1500, 1500, 1500, 1500, 900)),
}
CONTAINERS: tuple[Spectrum, ...] = (
    (2300, 800, 650, 2300, 2000), (750, 950, 1600, 1300, 1200), (2700, 2600, 2450, 2800, 2300),
    (2300, 1300, 600, 2500, 2200), (800, 1150, 850, 1400, 1300), (600, 580, 600, 700, 700),
    (1500, 1400, 1300, 1700, 1600),
)  # fmt: skip
LENGTHS_M = {
    "container": (140, 350),
    "bulk": (110, 300),
    "tanker": (90, 330),
    "ferry": (60, 300),
    "service": (30, 95),
    "boat": (8, 24),
}


@dataclass(frozen=True, slots=True)
class Vessel:
    """One vessel: its place, bow towards +u of its frame, and whether it moves."""

    kind: str
    length_m: float
    width_m: float
    frame: Frame
    moving: bool = False

    def outline(self, *, clearance_m: float = 0.0) -> Points:
        """Corners `[4, 2]` of its box in pixels, grown on all sides."""
        half, beam = self.length_m / 2 + clearance_m, self.width_m / 2 + clearance_m
        return self.frame.box(-half, -beam, half, beam)


def draw_size(kind: str, rng: np.random.Generator) -> tuple[float, float]:
    """Length and width in metres of a vessel of a kind."""
    shortest, longest = LENGTHS_M[kind]
    length = shortest + (longest - shortest) * float(rng.beta(1.5, 2.0))
    slenderness = float(rng.uniform(3.2, 4.6) if length < 60 else rng.uniform(5.2, 7.2))
    return length, length / slenderness


def wake_shapes(vessel: Vessel, rng: np.random.Generator) -> list[Shape]:
    """Foam behind a moving vessel: a band that widens and fades, drawn as thin translucent stripes."""
    shapes = []
    length, width = vessel.length_m, vessel.width_m
    reach = float(rng.uniform(1.5, 6.0)) * max(length, 60)
    strength = float(rng.uniform(0.35, 0.95))
    n_steps = 14
    for k in range(n_steps):
        near, far = k / n_steps, (k + 1) / n_steps
        half = width * (0.45 + 0.8 * near)
        foam = strength * (1 - near) ** 1.6
        u0, u1 = -length * 0.42 - near * reach, -length * 0.42 - far * reach
        points = vessel.frame.place([(u0, -half), (u0, half), (u1, half * 1.05), (u1, -half * 1.05)])
        shapes.append(Shape(points, None, shade=foam))
    if rng.random() < 0.5:  # bow waves
        for side in (-1, 1):
            trail = [
                (length * 0.5, 0),
                (-length * 0.6, side * length * 0.3),
                (-length * 0.6, side * (length * 0.3 + 6)),
            ]
            shapes.append(Shape(vessel.frame.place(trail), None, shade=strength * 0.35))
    return shapes


def vessel_shapes(vessel: Vessel, rng: np.random.Generator) -> list[Shape]:
    """Hull, deck cargo and superstructure of a vessel."""
    frame, half, beam = vessel.frame, vessel.length_m / 2, vessel.width_m / 2
    decks = DECKS[vessel.kind]
    deck = np.array(decks[int(rng.integers(len(decks)))]) * rng.uniform(0.7, 1.25)
    drift = (0.0, 0.0)
    if vessel.moving:  # each band looks a moment later
        step = rng.uniform(0.03, 0.14)
        drift = (float(step * np.cos(frame.angle)), float(step * np.sin(frame.angle)))

    def add(points: Points, colour: NDArray[np.float64]) -> None:
        shapes.append(Shape(points, tuple(map(float, colour)), HULL, drift=drift))

    shapes: list[Shape] = []
    bow = 0.78 if vessel.length_m > 60 else 0.55
    hull = [(-half, -beam * 0.88), (-half * 0.9, -beam), (half * bow, -beam), (half * 0.94, -beam * 0.45), (half, 0)]
    hull += [(u, -v) for u, v in hull[-2::-1]]
    add(frame.place(hull), deck)
    house_length = max(0.09 * vessel.length_m, 5.0)
    _cargo(vessel, deck, rng, add)
    if vessel.kind != "boat":
        stern = -half * 0.9 if rng.random() < 0.85 else half * 0.3
        add(frame.box(stern, -beam * 0.85, stern + house_length, beam * 0.85), np.array(WHITE) * rng.uniform(0.5, 1.1))
    return shapes


def _cargo(vessel: Vessel, deck: NDArray[np.float64], rng: np.random.Generator, add: Paint) -> None:
    """What stands on the deck: stacks of containers, hatches, a ferry's upper deck."""
    frame, half, beam = vessel.frame, vessel.length_m / 2, vessel.width_m / 2
    if vessel.kind == "container":
        bay = 14.5
        for u in np.arange(-half * 0.55, half * 0.8, bay):
            for v in np.linspace(-beam, beam, 4)[:-1]:
                if rng.random() < 0.85:
                    colour = np.array(CONTAINERS[int(rng.integers(len(CONTAINERS)))]) * rng.uniform(0.75, 1.15)
                    add(frame.box(u, v, u + bay * 0.92, v + beam * 2 / 3), colour)
    elif vessel.kind == "bulk":
        hatch = vessel.length_m / 10
        tone = deck * rng.uniform(0.6, 1.6)
        for u in np.arange(-half * 0.6, half * 0.7, hatch):
            add(frame.box(u, -beam * 0.6, u + hatch * 0.6, beam * 0.6), tone)
    elif vessel.kind == "ferry":
        add(frame.box(-half * 0.8, -beam * 0.7, half * 0.6, beam * 0.7), np.array(WHITE) * rng.uniform(0.8, 1.25))
