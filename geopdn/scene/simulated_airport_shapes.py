"""Painting of simulated airports: pavement, markings, buildings, vehicles and aircraft, in painter's order."""

from __future__ import annotations

import numpy as np

from geopdn.scene.simulated_aircraft import aircraft_shapes
from geopdn.scene.simulated_airport import RUNWAY_V, TAXIWAY_V, Airport, Building, Module, Stand
from geopdn.scene.simulated_airport_colours import ASPHALT, CONCRETE, ROOF, ROUGH, Colour, Palette
from geopdn.scene.simulated_canvas import Frame, Points, Shape, ellipse, swept

HALF_PI = np.pi / 2
WHITE, YELLOW = np.array([212.0, 212, 206]), np.array([186.0, 166, 92])


class AirportPainter:
    """Collects the shapes of one airport; the order of the calls is the order of painting."""

    def __init__(self, airport: Airport, palette: Palette, rng: np.random.Generator) -> None:
        self.airport, self.palette, self.rng = airport, palette, rng
        self.shapes: list[Shape] = []
        self.concrete = palette.concrete * rng.uniform(0.88, 1.12)
        self.asphalt = palette.asphalt * rng.uniform(0.88, 1.15)

    def paint(self) -> list[Shape]:
        """All shapes of the airport."""
        airport = self.airport
        self._airfield()
        for u, module in airport.modules:
            self._apron(airport.frame.at(u, 0), module)
        for u, module in airport.modules:
            frame = airport.frame.at(u, 0)
            for stand in module.stands:
                self._service(frame, stand)
            for building in module.buildings:
                self._building(frame, building)
        for frame, stand in airport.stands():
            if stand.taken:
                place = frame.at(stand.u, stand.v, turn=stand.heading)
                self.shapes += aircraft_shapes(stand.aircraft, place, self.rng, self.palette.sun)
        return self.shapes

    def fill(self, points: Points, colour: Colour, texture: int) -> None:
        """A flat surface."""
        self.shapes.append(Shape(points, tuple(map(float, colour)), texture))

    def lines(
        self, frame: Frame, points: list[tuple[float, float]], *, width: float, colour: Colour, texture: int
    ) -> None:
        """A line of some width, in metres of a frame."""
        for strip in frame.line(points, width=width):
            self.fill(strip, colour, texture)

    def _airfield(self) -> None:
        airport, frame, rng = self.airport, self.airport.frame, self.rng
        deep = max(module.depth_m for _, module in airport.modules)
        if airport.strip:
            half = airport.row_m / 2 + 50
            self.fill(frame.box(-half, -60, half, deep + 30), self.palette.grass * 1.1, ROUGH)
            half = airport.runway_m / 2
            grassy = rng.random() < 0.5
            colour = self.palette.grass * 1.25 if grassy else self.asphalt
            self.fill(frame.box(-half, -52, half, -34), colour, ROUGH if grassy else ASPHALT)
            self.fill(frame.box(-6, -40, 6, 5), colour, ROUGH if grassy else ASPHALT)
            return
        half = airport.runway_m / 2
        for grow, tone in ((120, 1.0), (60, 1.08)):
            self.fill(
                frame.box(-half - grow, RUNWAY_V - grow, half + grow, TAXIWAY_V + 30), self.palette.grass * tone, ROUGH
            )
        row = airport.row_m / 2
        for u, module in airport.modules:
            reach = module.width_m / 2 + 55
            self.fill(frame.box(u - reach, TAXIWAY_V - 40, u + reach, module.depth_m + 35), self.palette.grass, ROUGH)
        for edge in (0.0, 1.0):  # worn grass and dry patches
            for _ in range(14):
                spot = rng.uniform(-half, half), rng.uniform(RUNWAY_V + 30, TAXIWAY_V - 15)
                worn = self.palette.soil * 0.9 * edge + self.palette.grass * rng.uniform(0.85, 1.15) * (1 - edge * 0.6)
                self.fill(
                    ellipse(frame, *spot, radius_u=rng.uniform(15, 80), radius_v=rng.uniform(6, 25)),
                    worn * (0.75 if edge else 1),
                    ROUGH,
                )
        shoulder, runway = self.asphalt * 1.06, self.asphalt * rng.uniform(0.86, 1.2)
        exits = np.arange(-half + 20, half, rng.uniform(260, 420))
        for u in exits:
            lean = float(rng.choice([0, 0, 70, -70]))
            self.lines(frame, [(u, RUNWAY_V), (u + lean, TAXIWAY_V)], width=34, colour=shoulder, texture=ASPHALT)
        self.fill(frame.box(-half, TAXIWAY_V - 19, half, TAXIWAY_V + 19), shoulder, ASPHALT)
        self.fill(frame.box(-half, TAXIWAY_V - 11, half, TAXIWAY_V + 11), self.asphalt, ASPHALT)
        self.lines(frame, [(-half, TAXIWAY_V), (half, TAXIWAY_V)], width=0.5, colour=YELLOW, texture=ASPHALT)
        self.fill(frame.box(-half - 60, RUNWAY_V - 30, half + 60, RUNWAY_V + 30), shoulder * 1.08, ASPHALT)
        self.fill(frame.box(-half - 60, RUNWAY_V - 23, half + 60, RUNWAY_V + 23), runway, ASPHALT)
        self._runway_marks(half, runway)
        service = deep + 18
        self.lines(frame, [(-row - 60, service), (row + 60, service)], width=9, colour=self.asphalt, texture=ASPHALT)
        self._car_park(frame, row, deep)

    def _runway_marks(self, half: float, runway: Colour) -> None:
        frame, rng = self.airport.frame, self.rng
        paint = WHITE * rng.uniform(0.85, 1.1)
        for v in (-21.5, 21.5):
            self.lines(frame, [(-half, RUNWAY_V + v), (half, RUNWAY_V + v)], width=0.9, colour=paint, texture=ASPHALT)
        for u in np.arange(-half + 70, half - 70, 50):
            self.lines(frame, [(u, RUNWAY_V), (u + 30, RUNWAY_V)], width=0.9, colour=paint, texture=ASPHALT)
        for end in (-1, 1):
            tyre = end * (half - 330)
            for _ in range(10):
                v = RUNWAY_V + rng.normal(0, 4.5)
                self.lines(
                    frame,
                    [(tyre - rng.uniform(80, 260), v), (tyre + rng.uniform(80, 260), v)],
                    width=rng.uniform(0.6, 2.2),
                    colour=runway * rng.uniform(0.7, 0.9),
                    texture=ASPHALT,
                )
            for v in np.linspace(-18, 18, 12):
                self.fill(
                    frame.box(end * (half - 8), RUNWAY_V + v - 0.9, end * (half - 38), RUNWAY_V + v + 0.9),
                    paint,
                    ASPHALT,
                )
            for v in (-9, 9):
                self.fill(
                    frame.box(end * (half - 300), RUNWAY_V + v - 3, end * (half - 350), RUNWAY_V + v + 3),
                    paint,
                    ASPHALT,
                )

    def _car_park(self, frame: Frame, row: float, deep: float) -> None:
        """Rows of cars behind the terminals, where there is room."""
        rng = self.rng
        if rng.random() < 0.35:
            return
        start, width, depth = rng.uniform(-row, row * 0.3), rng.uniform(60, 170), rng.uniform(40, 110)
        self.fill(frame.box(start, deep + 30, start + width, deep + 30 + depth), self.asphalt * 1.1, ASPHALT)
        for v in np.arange(deep + 34, deep + 26 + depth, 9.5):
            for u in np.arange(start + 3, start + width - 3, 2.7):
                if rng.random() < 0.62:
                    self._box(frame.box(u, v, u + 1.9, v + 4.5), self.palette.vehicle(rng), height=1.5)

    def _apron(self, frame: Frame, module: Module) -> None:
        rng, half = self.rng, module.width_m / 2
        top = min((building.v1 for building in module.buildings), default=module.depth_m)
        back = max(module.depth_m if not module.buildings else top, max(stand.v for stand in module.stands) + 20)
        light = self.airport.strip or rng.random() < 0.2
        base, texture = (self.asphalt * 1.15, ASPHALT) if light else (self.concrete, CONCRETE)
        self.fill(frame.box(-half - 8, -16, half + 8, back + 6), base * 0.94, texture)
        self.fill(frame.box(-half, -16, half, back), base, texture)
        slab = rng.uniform(14, 34)
        for u in np.arange(-half, half, slab):
            for v in np.arange(-16, back, slab):
                if rng.random() < 0.5:
                    tone = base * (1 + rng.normal(0, 0.045)) if rng.random() > 0.04 else base * rng.uniform(0.62, 1.25)
                    self.fill(frame.box(u, v, min(u + slab, half), min(v + slab, back)), tone, texture)
        for u in np.arange(-half, half, slab / 2):
            self.lines(frame, [(u, -16), (u, back)], width=0.25, colour=base * 0.86, texture=texture)
        for v in np.arange(-16, back, slab / 2):
            self.lines(frame, [(-half, v), (half, v)], width=0.25, colour=base * 0.86, texture=texture)
        for _ in range(int(module.width_m * back / 900)):
            spot = rng.uniform(-half + 5, half - 5), rng.uniform(-10, back - 6)
            radius = float(rng.lognormal(0.6, 0.6))
            self.fill(
                ellipse(frame, *spot, radius_u=radius, radius_v=radius * rng.uniform(0.4, 1), n_points=9),
                base * rng.uniform(0.72, 0.93),
                texture,
            )
        self.lines(frame, [(-half, -2), (half, -2)], width=0.5, colour=YELLOW, texture=texture)
        for stand in module.stands:  # lead-in line and the stain of engines and tyres
            place, length = frame.at(stand.u, stand.v, turn=stand.heading), stand.aircraft.length_m
            self.lines(place, [(-length * 0.9, 0), (length * 0.45, 0)], width=0.45, colour=YELLOW, texture=texture)
            for _ in range(int(rng.integers(1, 5))):
                spot = rng.normal(0, 0.14) * length, rng.normal(0, 0.06) * length
                self.fill(
                    ellipse(
                        place,
                        *spot,
                        radius_u=rng.uniform(0.05, 0.16) * length,
                        radius_v=rng.uniform(0.01, 0.04) * length,
                    ),
                    base * rng.uniform(0.74, 0.93),
                    texture,
                )

    def _service(self, frame: Frame, stand: Stand) -> None:
        """Vehicles around a stand, and its passenger bridge."""
        rng, length, span = self.rng, stand.aircraft.length_m, stand.aircraft.span_m
        place = frame.at(stand.u, stand.v, turn=stand.heading)
        if stand.gate:
            nose = length / 2
            start, end = (
                (nose + 11, -span * 0.3),
                ((nose * 0.62, -length * 0.06) if stand.taken else (nose * 0.9, -span * 0.28)),
            )
            grey = np.array([198.0, 198, 192]) * rng.uniform(0.6, 1.15)
            for strip in place.line([start, end], width=rng.uniform(2.8, 4.0)):
                self._box(strip, grey, height=5)
            self._box(place.box(end[0] - 2.5, end[1] - 2.5, end[0] + 2.5, end[1] + 2), grey * 0.92, height=5)
        if stand.aircraft.kind in {"prop", "business"}:
            return
        for _ in range(int(rng.integers(3, 22) if stand.taken else rng.integers(0, 12))):
            u, v = rng.uniform(-0.55, 0.62) * length, float(rng.choice([-1, 1])) * rng.uniform(0.1, 0.52) * span
            car = place.at(u, v, turn=float(rng.choice([0, HALF_PI, rng.uniform(0, 3.1)])))
            long = float(rng.choice([3.0, 4.5, 6.5, 10.0], p=(0.35, 0.35, 0.2, 0.1)))
            n_carts = int(rng.integers(2, 6)) if long == 3.0 and rng.random() < 0.3 else 1
            for k in range(n_carts):
                self._box(
                    car.box(k * (long + 0.8), -1.1, k * (long + 0.8) + long, 1.1), self.palette.vehicle(rng), height=2
                )

    def _building(self, frame: Frame, building: Building) -> None:
        rng = self.rng
        roof = self.palette.roof(rng, large=True)
        outline = frame.box(building.u0, building.v0, building.u1, building.v1)
        self._box(outline, roof, height=building.height)
        wide, deep = building.u1 - building.u0, building.v1 - building.v0
        style = rng.random()
        if style < 0.35:  # ribs
            along = deep > wide
            for place in np.arange(4, deep if along else wide, rng.uniform(6, 14)):
                points = (
                    [(building.u0, building.v0 + place), (building.u1, building.v0 + place)]
                    if along
                    else [(building.u0 + place, building.v0), (building.u0 + place, building.v1)]
                )
                self.lines(frame, points, width=rng.uniform(0.6, 1.6), colour=roof * 0.8, texture=ROOF)
        elif style < 0.6:  # two pitches
            middle = (building.v0 + building.v1) / 2
            mid_u = (building.u0 + building.u1) / 2
            half = (
                frame.box(building.u0, building.v0, mid_u, building.v1)
                if deep > wide
                else frame.box(building.u0, building.v0, building.u1, middle)
            )
            self.fill(half, roof * 0.86, ROOF)
        self.lines(
            frame,
            [
                (building.u0, building.v0),
                (building.u1, building.v0),
                (building.u1, building.v1),
                (building.u0, building.v1),
                (building.u0, building.v0),
            ],
            width=0.9,
            colour=roof * 1.1,
            texture=ROOF,
        )
        for _ in range(int(min(60, wide * deep / 160) * rng.random())):  # plant on the roof
            u, v = rng.uniform(building.u0 + 2, building.u1 - 4), rng.uniform(building.v0 + 2, building.v1 - 4)
            self._box(
                frame.box(u, v, u + rng.uniform(1.5, 5), v + rng.uniform(1.5, 5)),
                roof * rng.uniform(0.55, 1.2),
                height=2,
            )

    def _box(self, outline: Points, colour: Colour, *, height: float) -> None:
        sun, scale = self.palette.sun, height / self.airport.frame.pixel_size_m
        step = (sun.x * sun.reach * scale, sun.y * sun.reach * scale)
        self.shapes.append(Shape(swept(outline, step), None, shade=0.6))
        self.fill(outline, colour, ROOF)
