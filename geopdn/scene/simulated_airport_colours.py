"""Colours and textures of simulated airports (uint8 RGB), drawn once per scene within what real scenes show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geopdn.scene.simulated_aircraft import BODY, Sun

Colour = np.ndarray

CROP, FOREST, SOIL, CONCRETE, ASPHALT, ROOF, WATER, ROUGH = 1, 2, 3, 4, 5, 6, 8, 9

# Relative strength of noise on each texture, by the noise's spacing in metres: 0.5 (pixels), 1.6, 5, 20, 90.
TEXTURE = np.zeros((16, 5), np.float32)
TEXTURE[CROP] = (0.012, 0.025, 0.02, 0.03, 0.05)
TEXTURE[FOREST] = (0.05, 0.16, 0.26, 0.08, 0.06)
TEXTURE[SOIL] = (0.015, 0.03, 0.04, 0.05, 0.05)
TEXTURE[CONCRETE] = (0.014, 0.026, 0.03, 0.045, 0.05)
TEXTURE[ASPHALT] = (0.016, 0.03, 0.035, 0.05, 0.06)
TEXTURE[ROOF] = (0.015, 0.03, 0.02, 0.02, 0.0)
TEXTURE[BODY] = (0.006, 0.012, 0.01, 0.0, 0.0)
TEXTURE[WATER] = (0.01, 0.015, 0.01, 0.02, 0.05)
TEXTURE[ROUGH] = (0.025, 0.06, 0.06, 0.07, 0.08)

TEXTURE_SPACING_M = (0.5, 1.6, 5.0, 20.0, 90.0)


@dataclass(frozen=True, slots=True)
class Palette:
    """One scene's colours (R, G, B in 0..255 before the atmosphere) and its sun."""

    sun: Sun
    grass: Colour
    forest: Colour
    soil: Colour
    water: Colour
    concrete: Colour
    asphalt: Colour
    dryness: float

    def field(self, rng: np.random.Generator) -> tuple[Colour, int]:
        """Colour and texture of a field: crops from fresh green to ripe, or bare soil."""
        chance = rng.random()
        fresh, ripe = np.array([64.0, 80, 52]), np.array([156.0, 141, 104])
        if chance < 0.3 + 0.25 * self.dryness:
            return self.soil * rng.uniform(0.75, 1.25), SOIL
        ripeness = np.clip(rng.beta(1.2, 1.8) * 0.8 + 0.35 * self.dryness, 0, 1)
        return (fresh + (ripe - fresh) * ripeness) * rng.uniform(0.85, 1.15), CROP

    def roof(self, rng: np.random.Generator, *, large: bool) -> Colour:
        """A roof: tiles, slate or metal; large ones are mostly pale."""
        if large:
            kinds = np.array(
                [(240, 242, 238), (205, 207, 200), (170, 168, 158), (120, 128, 140), (90, 92, 92), (175, 120, 95)]
            )
            pick = int(rng.choice(6, p=(0.26, 0.24, 0.22, 0.1, 0.1, 0.08)))
        else:
            kinds = np.array(
                [(158, 112, 88), (136, 98, 80), (128, 122, 114), (95, 94, 92), (190, 182, 168), (215, 214, 208)]
            )
            pick = int(rng.integers(6))
        colour: Colour = kinds[pick] * rng.uniform(0.88, 1.12)
        return colour

    def vehicle(self, rng: np.random.Generator) -> Colour:
        """A vehicle: mostly white or dark, a few coloured."""
        kinds = np.array(
            [
                (238, 238, 236),
                (225, 225, 222),
                (60, 62, 66),
                (130, 132, 134),
                (195, 160, 50),
                (150, 45, 40),
                (50, 75, 130),
            ]
        )
        colour: Colour = kinds[rng.choice(7, p=(0.34, 0.18, 0.2, 0.12, 0.08, 0.04, 0.04))] * rng.uniform(0.9, 1.08)
        return colour


def draw_palette(rng: np.random.Generator) -> Palette:
    """Colours of a scene: season and dryness, age of its concrete, height of its sun."""
    azimuth = rng.uniform(0, 2 * np.pi) if rng.random() < 0.15 else rng.uniform(-np.pi * 0.9, -np.pi * 0.1)
    elevation = rng.uniform(0.65, 1.15)
    dryness = float(rng.beta(1.3, 2.0))
    green, straw = np.array([66.0, 76, 54]), np.array([134.0, 119, 90])
    warm = np.array([1.02, 1.0, rng.uniform(0.86, 0.98)])
    return Palette(
        sun=Sun(float(np.cos(azimuth)), float(np.sin(azimuth)), float(1 / np.tan(elevation))),
        grass=(green + (straw - green) * dryness) * rng.uniform(0.85, 1.15),
        forest=np.array([44.0, 58, 38]) * rng.uniform(0.85, 1.2),
        soil=np.array([158.0, 134, 100])
        * rng.uniform(0.8, 1.15)
        * np.array([1.0, rng.uniform(0.93, 1.03), rng.uniform(0.9, 1.1)]),
        water=np.array([40.0, 62, 62]) * rng.uniform(0.7, 1.5),
        concrete=warm * rng.uniform(122, 184),
        asphalt=warm * rng.uniform(78, 120),
        dryness=dryness,
    )
