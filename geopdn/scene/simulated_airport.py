"""Layout of simulated airports: runways, taxiways, aprons with terminals and stands, and the aircraft on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import shapely

from geopdn.errors import ConfigError
from geopdn.geometry.window import Size
from geopdn.scene.simulated_aircraft import Aircraft, draw_kind
from geopdn.scene.simulated_canvas import Frame

MAIN_MIX = {"narrow": 0.56, "wide": 0.22, "regional": 0.12, "jumbo": 0.03, "turboprop": 0.05, "business": 0.02}
LIGHT_MIX = {"prop": 0.6, "business": 0.4}


@dataclass(frozen=True, slots=True)
class Stand:
    """A place for an aircraft in a module's axes: centre in metres, heading in radians; may be empty."""

    u: float
    v: float
    heading: float
    aircraft: Aircraft
    taken: bool = True
    gate: bool = False


@dataclass(frozen=True, slots=True)
class Building:
    """An upright block in a module's axes (metres)."""

    u0: float
    v0: float
    u1: float
    v1: float
    height: float


@dataclass(frozen=True, slots=True)
class Module:
    """An apron with what stands on it: u in [-width/2, width/2], v from the taxiway (0) to `depth_m`."""

    width_m: float
    depth_m: float
    stands: tuple[Stand, ...]
    buildings: tuple[Building, ...]

    @property
    def n_aircraft(self) -> int:
        """Stands that are taken."""
        return sum(stand.taken for stand in self.stands)


@dataclass(frozen=True, slots=True)
class Airport:
    """Modules in a row along a taxiway with a runway; `strip` marks a small grass airfield."""

    frame: Frame
    modules: tuple[tuple[float, Module], ...]
    moving: tuple[Stand, ...]
    row_m: float
    runway_m: float
    strip: bool

    def stands(self) -> list[tuple[Frame, Stand]]:
        """Every stand with the frame of its module."""
        parked = [(self.frame.at(u, 0), stand) for u, module in self.modules for stand in module.stands]
        return parked + [(self.frame, stand) for stand in self.moving]


@dataclass(slots=True)
class _Row:
    """Aircraft side by side along a line, filled until it holds `n` that are taken."""

    stands: list[tuple[float, Aircraft, bool]] = field(default_factory=list)
    length: float = 0.0
    longest: float = 0.0


def _row(
    n: int, mix: dict[str, float], rng: np.random.Generator, *, clearance: float = 7.0, full: float = 0.85
) -> _Row:
    row, taken = _Row(), 0
    kinds, chances = list(mix), np.array(list(mix.values()))
    run = kinds[int(rng.choice(len(kinds), p=chances / chances.sum()))]
    while taken < n:
        if rng.random() < 0.35:  # neighbours are mostly of one kind
            run = kinds[int(rng.choice(len(kinds), p=chances / chances.sum()))]
        aircraft = draw_kind(run, rng)
        present = rng.random() < full
        taken += present
        pitch = aircraft.span_m + clearance
        row.stands.append((row.length + pitch / 2, aircraft, present))
        row.length += pitch
        row.longest = max(row.longest, aircraft.length_m)
    return row


def _pier(n: int, rng: np.random.Generator) -> Module:
    """A pier at right angles to the taxiway with gates on both sides."""
    rows = [_row(max(1, n // 2), MAIN_MIX, rng)] + ([_row(n - n // 2, MAIN_MIX, rng)] if n > 1 else [])
    half_pier = rng.uniform(9, 18)
    stands, reach, start = [], 0.0, 55.0
    for row, side in zip(rows, (-1, 1), strict=False):
        for place, aircraft, taken in row.stands:
            u = side * (half_pier + rng.uniform(6, 12) + aircraft.length_m / 2)
            stands.append(Stand(u, start + place, math.pi if side > 0 else 0.0, aircraft, taken, gate=True))
        reach = max(reach, half_pier + row.longest + 12)
    end = start + max(row.length for row in rows)
    depth = end + rng.uniform(25, 60)
    buildings = [Building(-half_pier, start - 4, half_pier, depth, rng.uniform(9, 15))]
    wide = reach * rng.uniform(0.6, 1.0)
    buildings.append(Building(-wide, end + 5, wide, depth, rng.uniform(12, 22)))
    if rng.random() < 0.5:
        buildings.append(Building(-half_pier * 1.7, start - 8, half_pier * 1.7, start + 22, rng.uniform(10, 16)))
    return Module(2 * (reach + rng.uniform(28, 50)), depth, tuple(stands), tuple(buildings))


def _terminal(n: int, rng: np.random.Generator) -> Module:
    """A building along the taxiway with aircraft nose-in before it."""
    row = _row(n, MAIN_MIX, rng)
    front = 45 + row.longest + 14
    depth = front + rng.uniform(25, 55)
    stands = [
        Stand(place - row.length / 2, front - 8 - aircraft.length_m / 2, math.pi / 2, aircraft, taken, gate=True)
        for place, aircraft, taken in row.stands
    ]
    half = row.length / 2
    return Module(row.length + 30, depth, tuple(stands), (Building(-half, front, half, depth, rng.uniform(9, 18)),))


def _remote(n: int, rng: np.random.Generator, *, mix: dict[str, float] | None = None) -> Module:
    """Rows of aircraft on open concrete, all with one heading."""
    n_rows = int(rng.integers(1, 4)) if n > 5 else 1
    heading = float(rng.choice([math.pi / 2, -math.pi / 2, math.pi / 4, -3 * math.pi / 4], p=(0.4, 0.3, 0.15, 0.15)))
    slanted = abs(abs(heading) - math.pi / 2) > 0.1
    clearance = 3.0 if mix else 7.0
    stands, v, width = [], 20.0 if mix else 35.0, 0.0
    for index in range(n_rows):
        count = n // n_rows + (index < n % n_rows)
        row = _row(count, mix or MAIN_MIX, rng, clearance=clearance * (2.5 if slanted else 1), full=0.8)
        deep = row.longest * (1.15 if slanted else 1)
        stands += [
            Stand(place - row.length / 2, v + deep / 2, heading + rng.normal(0, 0.02), aircraft, taken)
            for place, aircraft, taken in row.stands
        ]
        v += deep + (12 if mix else 35)
        width = max(width, row.length)
    return Module(width + (12 if mix else 30), v, tuple(stands), ())


def _hangars(n: int, rng: np.random.Generator, *, mix: dict[str, float] | None = None) -> Module:
    """Hangars at the back, aircraft before them in mixed directions."""
    row = _row(n, mix or MAIN_MIX, rng, clearance=14, full=0.7)
    front = row.longest * 1.25 + 40
    hangar = max(row.longest * rng.uniform(1.0, 1.5), 18)
    stands = [
        Stand(
            place - row.length / 2,
            front - 8 - aircraft.length_m * 0.6,
            float(rng.choice([-1, 1])) * math.pi / 2 + rng.normal(0, 0.25),
            aircraft,
            taken,
        )
        for place, aircraft, taken in row.stands
    ]
    n_hangars = max(1, int(row.length / (hangar * 1.1)))
    step = row.length / n_hangars
    buildings = [
        Building(
            -row.length / 2 + step * k + 2,
            front,
            -row.length / 2 + step * (k + 1) - 2,
            front + hangar,
            min(22, hangar / 3),
        )
        for k in range(n_hangars)
    ]
    return Module(row.length + 20, front + hangar, tuple(stands), tuple(buildings))


def _light(n: int, rng: np.random.Generator) -> Module:
    """Small aircraft in rows."""
    return _hangars(n, rng, mix=LIGHT_MIX) if rng.random() < 0.4 else _remote(n, rng, mix=LIGHT_MIX)


_MAKERS: dict[str, tuple[Callable[[int, np.random.Generator], Module], int, float]] = {
    "pier": (_pier, 16, 0.34),
    "terminal": (_terminal, 8, 0.2),
    "remote": (_remote, 12, 0.24),
    "hangars": (_hangars, 3, 0.1),
    "light": (_light, 9, 0.12),
}


def lay_out(size: Size, *, pixel_size_m: float, n_aircraft: int, occupied_share: float, seed: int) -> list[Airport]:
    """Airports with exactly `n_aircraft` aircraft, all inside the scene, in clusters within a share of its area.

    Args:
        size: the scene in pixels.
        pixel_size_m: side of a pixel.
        n_aircraft: how many aircraft stand or taxi in the scene.
        occupied_share: upper bound of the clusters' convex hulls over the scene's area.
        seed: same seed, same layout.

    Raises:
        ConfigError: so many aircraft find no place.
    """
    for attempt in range(24):
        rng = np.random.default_rng([seed, 11, attempt])
        airports = _attempt(size, pixel_size_m, n_aircraft, occupied_share, rng)
        if airports is not None and _share(airports, size) <= occupied_share:
            return airports
    raise ConfigError(
        f"{n_aircraft} aircraft found no place in {size.width} x {size.height} px of {pixel_size_m} m within "
        f"{occupied_share:.1%} of the area: ask for fewer, a larger scene or a larger share"
    )


def _attempt(
    size: Size, pixel_size_m: float, n_aircraft: int, occupied_share: float, rng: np.random.Generator
) -> list[Airport] | None:
    side_m = min(size.height, size.width) * pixel_size_m
    n_strip = round(n_aircraft * 0.12) if side_m > 900 else 0
    n_moving = round(n_aircraft * 0.1) if side_m > 900 else 0
    per_airport = int(np.clip(40 * 0.05 / occupied_share, 6, 60))
    airports: list[Airport] = []
    taken: list[shapely.Geometry] = []
    remaining = n_aircraft - n_strip - n_moving
    while remaining > 0 or n_strip > 0:
        strip = remaining <= 0
        count = min(n_strip, int(rng.integers(1, 4))) if strip else min(remaining, per_airport)
        row = _fill_row(count, rng, side_m=side_m, strip=strip)
        airport = _place(row, size, pixel_size_m, taken, rng, strip=strip)
        if airport is None:
            return None
        placed = sum(module.n_aircraft for module in row)
        remaining, n_strip = (remaining, n_strip - placed) if strip else (remaining - placed, n_strip)
        airports.append(airport)
    return _add_moving(airports, n_moving, size, rng)


def _fill_row(count: int, rng: np.random.Generator, *, side_m: float, strip: bool) -> list[Module]:
    row: list[Module] = []
    room, deepest = 0.8 * side_m, 0.62 * side_m
    names = list(_MAKERS)
    chances = np.array([_MAKERS[name][2] for name in names])
    while count > 0:
        name = "light" if strip else names[int(rng.choice(len(names), p=chances))]
        n = min(count, _MAKERS[name][1])
        module = _MAKERS[name][0](n, rng)
        while (module.width_m > room or module.depth_m > deepest) and n > 1:
            n = n // 2
            module = _MAKERS[name][0](n, rng)
        if (module.width_m > room or module.depth_m > deepest) and row:
            break
        row.append(module)
        room -= module.width_m + 45
        count -= n
        if room < 60 or strip:
            break
    return row


def _place(
    row: list[Module],
    size: Size,
    pixel_size_m: float,
    taken: list[shapely.Geometry],
    rng: np.random.Generator,
    *,
    strip: bool,
) -> Airport | None:
    length = sum(module.width_m for module in row) + 45 * (len(row) - 1)
    starts = np.cumsum([0.0] + [module.width_m + 45 for module in row[:-1]]) - length / 2
    modules = tuple((float(start + module.width_m / 2), module) for start, module in zip(starts, row, strict=True))
    runway = rng.uniform(500, 800) if strip else max(length + 500, rng.uniform(1800, 2800))
    scene = shapely.box(8, 8, size.width - 8, size.height - 8)
    deepest = max(module.depth_m for module in row)
    for _ in range(240):
        x, y, angle = rng.uniform(0, size.width), rng.uniform(0, size.height), rng.uniform(-math.pi, math.pi)
        frame = Frame(float(x), float(y), float(angle), pixel_size_m)
        aprons = shapely.Polygon(frame.box(-length / 2, 0, length / 2, deepest))
        if not scene.covers(aprons):
            continue
        half = runway / 2 if not strip else length / 2 + 60
        ground = shapely.Polygon(frame.box(-half, -300 if not strip else -70, half, deepest + 40))
        if any(ground.intersects(other) for other in taken):
            continue
        taken.append(ground)
        return Airport(frame, modules, (), length, float(runway), strip)
    return None


def _add_moving(airports: list[Airport], n_moving: int, size: Size, rng: np.random.Generator) -> list[Airport] | None:
    """Aircraft on taxiways and runways, well apart."""
    scene = shapely.box(8, 8, size.width - 8, size.height - 8)
    moving: dict[int, list[Stand]] = {index: [] for index in range(len(airports))}
    large = [index for index, airport in enumerate(airports) if not airport.strip] or list(moving)
    for _ in range(400):
        if n_moving == 0:
            break
        index = int(rng.choice(large))
        airport = airports[index]
        aircraft = draw_kind(str(rng.choice(["narrow", "narrow", "wide", "regional", "turboprop"])), rng)
        u = float(rng.uniform(-0.5, 0.5) * airport.runway_m * 0.9)
        lane = RUNWAY_V if rng.random() < 0.3 else TAXIWAY_V
        heading = float(rng.choice([0.0, math.pi])) + float(rng.normal(0, 0.02))
        around = shapely.Polygon(airport.frame.box(u - 45, lane - 45, u + 45, lane + 45))
        if scene.covers(around) and all(abs(u - other.u) > 160 for other in moving[index]):
            moving[index].append(Stand(u, lane, heading, aircraft))
            n_moving -= 1
    if n_moving:
        return None
    return [
        Airport(a.frame, a.modules, tuple(moving[index]), a.row_m, a.runway_m, a.strip)
        for index, a in enumerate(airports)
    ]


def _share(airports: list[Airport], size: Size) -> float:
    hulls = 0.0
    for airport in airports:
        for _, module in airport.modules:
            spots = [
                (stand.u + du * stand.aircraft.length_m / 2, stand.v + dv * stand.aircraft.length_m / 2)
                for stand in module.stands
                for du, dv in ((-1, -1), (-1, 1), (1, -1), (1, 1))
            ]
            hulls += shapely.MultiPoint(spots).convex_hull.area / airport.frame.pixel_size_m**2
    return hulls / size.area


RUNWAY_V, TAXIWAY_V = -195.0, -32.0
