"""Aircraft seen from above: proportions by type, liveries, shading and shadow, as shapes to paint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geopdn.scene.simulated_canvas import Frame, Points, Shape, ellipse

BODY = 7  # texture index of smooth man-made surfaces


@dataclass(frozen=True, slots=True)
class AircraftType:
    """Proportions of a kind of aircraft; lengths in metres, the rest in shares of its length.

    Attributes:
        length_m: shortest and longest.
        span: wing span.
        fuselage: fuselage width.
        sweep: how far the wing tip's leading edge lies behind the root's, over half the span.
        engines: positions along half the span; negative for engines at the tail.
        chord: wing chord at the root and at the tip.
    """

    length_m: tuple[float, float]
    span: tuple[float, float]
    fuselage: float
    sweep: float
    engines: tuple[float, ...]
    chord: tuple[float, float]


TYPES: dict[str, AircraftType] = {
    "prop": AircraftType((7.5, 12), (1.15, 1.4), 0.14, 0.05, (), (0.19, 0.13)),
    "business": AircraftType((14, 24), (0.9, 1.02), 0.11, 0.45, (-1,), (0.2, 0.06)),
    "turboprop": AircraftType((24, 28), (0.98, 1.06), 0.1, 0.06, (0.3,), (0.12, 0.07)),
    "regional": AircraftType((30, 38), (0.72, 0.82), 0.085, 0.47, (-1,), (0.17, 0.05)),
    "narrow": AircraftType((34, 45), (0.82, 0.98), 0.1, 0.5, (0.34,), (0.21, 0.05)),
    "wide": AircraftType((56, 74), (0.86, 0.99), 0.09, 0.6, (0.32,), (0.22, 0.045)),
    "jumbo": AircraftType((68, 74), (0.9, 1.08), 0.095, 0.66, (0.36, 0.64), (0.25, 0.05)),
}


@dataclass(frozen=True, slots=True)
class Aircraft:
    """One aircraft: type, length and span in metres."""

    kind: str
    length_m: float
    span_m: float


@dataclass(frozen=True, slots=True)
class Sun:
    """Direction in which shadows fall (unit x, y in pixels' axes) and their length per metre of height."""

    x: float
    y: float
    reach: float


def draw_kind(kind: str, rng: np.random.Generator) -> Aircraft:
    """An aircraft of a type with random size."""
    shape = TYPES[kind]
    length = float(rng.uniform(*shape.length_m))
    return Aircraft(kind, length, length * float(rng.uniform(*shape.span)))


def _livery(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours (R, G, B) of fuselage, wings and fin."""
    white = np.array([248.0, 249, 243]) * rng.uniform(0.92, 1.06)
    wing = np.array([218.0, 220, 214]) * rng.uniform(0.84, 1.15)
    bold = np.array([(40, 75, 150), (175, 45, 40), (30, 45, 85), (215, 150, 40), (40, 110, 80), (70, 75, 85)])
    colour = bold[rng.integers(len(bold))] * rng.uniform(0.8, 1.25)
    chance = rng.random()
    if chance < 0.09:  # the whole body in colour
        return colour, wing if rng.random() < 0.6 else colour * 0.5 + wing * 0.5, colour
    if chance < 0.25:  # bare metal or grey paint
        return white * 0.78, wing * 0.85, white * 0.78
    return white, wing, colour if rng.random() < 0.6 else white


def aircraft_shapes(aircraft: Aircraft, frame: Frame, rng: np.random.Generator, sun: Sun) -> list[Shape]:
    """Shapes of an aircraft centred on a frame, nose towards +u: shadow first, then wings, engines, fuselage, fin."""
    kind, length = TYPES[aircraft.kind], aircraft.length_m
    half_span, half_body = aircraft.span_m / 2, kind.fuselage * length / 2
    body, wing, fin = _livery(rng)
    light_v = -(-np.sin(frame.angle) * sun.x + np.cos(frame.angle) * sun.y)  # sun's side across the fuselage

    root_front, (root, tip) = (0.16 if kind.sweep > 0.2 else 0.19) * length, (chord * length for chord in kind.chord)
    tip_front = root_front - kind.sweep * half_span
    bend = root_front - root * 1.02
    wings, tails, pods = [], [], []
    for side in (-1, 1):
        wings.append(
            [
                (root_front + 0.03 * length, 0),
                (root_front - kind.sweep * 0.12 * half_span, side * 0.12 * half_span),
                (tip_front, side * half_span),
                (tip_front - tip, side * half_span),
                (bend + 0.01 * length if kind.sweep > 0.2 else bend, side * 0.36 * half_span),
                (bend, 0),
            ]
        )
        tail_span = (0.17 if kind.sweep > 0.2 else 0.2) * length
        tail_sweep = 0.1 * length if kind.sweep > 0.2 else 0.02 * length
        tail_front = -0.35 * length
        tails.append(
            [
                (tail_front, 0),
                (tail_front - tail_sweep, side * tail_span),
                (tail_front - tail_sweep - 0.045 * length, side * tail_span),
                (tail_front - 0.11 * length, 0),
            ]
        )
        for place in kind.engines:
            if place < 0:
                centre_u, centre_v = -0.27 * length, side * half_body * 1.75
            else:
                centre_v = side * place * half_span
                centre_u = root_front - kind.sweep * place * half_span + 0.025 * length
            pods.append((centre_u, centre_v))
    nose, waist = 0.5 * length, np.array([0, 0.35, 0.62, 0.85, 1.0, 1.0, 0.86, 0.55, 0.28, 0.1])
    stations = np.array([nose, 0.488 * length, 0.465 * length, 0.43 * length, 0.37 * length])
    stations = np.concatenate([stations, np.array([-0.16, -0.28, -0.38, -0.45, -0.5]) * length])
    hull = np.concatenate(
        [np.stack([stations, waist * half_body], -1), np.stack([stations, -waist * half_body], -1)[::-1]]
    )
    dark_side = np.concatenate(
        [
            np.stack([stations, -np.sign(light_v) * waist * half_body], -1),
            np.stack([stations, -np.sign(light_v) * waist * half_body * 0.3], -1)[::-1],
        ]
    )

    fall = np.array([sun.x, sun.y]) * sun.reach / frame.pixel_size_m
    depth = 0.62
    shapes = [
        Shape(frame.place(np.asarray(part, dtype=np.float64)) + fall * 0.105 * length, None, shade=depth)
        for part in (*wings, *tails, hull)
    ]
    base = frame.place([(-0.36 * length, 0), (-0.48 * length, 0)])
    shapes.append(Shape(np.concatenate([base, base[::-1] + fall * 0.27 * length]), None, shade=depth))
    for part in wings:
        shapes.append(_lit(frame, part, wing))
        (front_u, front_v), (tip_u, tip_v) = part[2], part[3]
        slat = [
            part[0],
            part[1],
            (front_u, front_v),
            (front_u * 0.75 + tip_u * 0.25, tip_v),
            (part[1][0] - 0.025 * length, part[1][1]),
        ]
        shapes.append(_lit(frame, slat, wing * 1.08))
    shapes += [_lit(frame, part, wing * 0.98) for part in tails]
    for centre_u, centre_v in pods:
        pod = ellipse(frame, centre_u, centre_v, radius_u=0.05 * length, radius_v=0.5 * kind.fuselage * length * 0.55)
        shapes.append(Shape(pod, _colour(body * 0.9), BODY))
    shapes += [_lit(frame, hull, body), _lit(frame, dark_side, body * 0.8)]
    fin_half = max(0.008 * length, 0.2)
    tip_of_fin = [
        (-0.35 * length, 0),
        (-0.42 * length, fin_half),
        (-0.5 * length, fin_half),
        (-0.5 * length, -fin_half),
        (-0.42 * length, -fin_half),
    ]
    shapes.append(_lit(frame, tip_of_fin, fin))
    return shapes


def _colour(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in np.minimum(values, 262.0))


def _lit(frame: Frame, points: Points | Sequence[tuple[float, float]], colour: np.ndarray) -> Shape:
    return Shape(frame.place(points), _colour(colour), BODY)
