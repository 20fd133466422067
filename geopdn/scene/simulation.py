"""What to simulate, and the truth of a simulated object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from geopdn.errors import ConfigError
from geopdn.geometry.window import Size

Kind = Literal["airport", "harbour"]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to simulate; the same values give the same pixels.

    Attributes:
        kind: `airport` (uint8 red, green, blue) or `harbour` (uint16 reflectance x 10,000 of B04 B03 B02 B08 B11).
        size: the scene in pixels.
        seed: selects the scene.
        n_objects: labelled objects in the scene, at least 0.
        pixel_size_m: side of a pixel in metres; 0.5 m and 10 m are what the two kinds are drawn for.
        epsg: code of the scene's system, a projected one in metres.
        origin: map coordinates (x, y) of the scene's upper left corner.
        clouds: share of the area under clouds, 0 to 0.9.
        occupied_share: clusters (aprons' hulls, anchorages) take at most this share of the area.
        reflectance_step: harbours' reflectances are multiples of this; 4 as in real ones, more for smaller files.
    """

    kind: Kind
    size: Size
    seed: int = 0
    n_objects: int = 50
    pixel_size_m: float = 0.5
    epsg: int = 32631
    origin: tuple[float, float] = (431_000.0, 4_870_000.0)
    clouds: float = 0.0
    occupied_share: float = 0.05
    reflectance_step: int = 4

    def __post_init__(self) -> None:
        if self.kind not in ("airport", "harbour"):
            raise ConfigError(f"no simulation of kind {self.kind!r}: use 'airport' or 'harbour'")
        if self.n_objects < 0 or self.pixel_size_m <= 0 or self.reflectance_step < 1:
            raise ConfigError(
                f"a simulation needs n_objects >= 0, pixel_size_m > 0 and reflectance_step >= 1, got {self.n_objects}, "
                f"{self.pixel_size_m} and {self.reflectance_step}"
            )
        if not (0 <= self.clouds <= 0.9 and 0 < self.occupied_share <= 1):
            raise ConfigError(
                f"clouds must lie in 0..0.9 and occupied_share in (0, 1], got {self.clouds} and {self.occupied_share}"
            )

    @property
    def transform(self) -> Affine:
        """Pixel to map."""
        return Affine(self.pixel_size_m, 0, self.origin[0], 0, -self.pixel_size_m, self.origin[1])


@dataclass(frozen=True, slots=True)
class TrueObject:
    """One object of the truth, in pixels: centre, length and width, direction of bow or nose in radians (+x to +y)."""

    label: str
    x: float
    y: float
    length: float
    width: float
    direction: float

    def corners(self) -> NDArray[np.float64]:
        """Corners `[4, 2]`; the first edge runs along the length, from stern to bow."""
        along = np.array([np.cos(self.direction), np.sin(self.direction)]) * self.length / 2
        across = np.array([-np.sin(self.direction), np.cos(self.direction)]) * self.width / 2
        centre = np.array([self.x, self.y])
        points: NDArray[np.float64] = np.array(
            [centre + a * along + b * across for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        )
        return points

    def outline(self) -> NDArray[np.float64]:
        """The object's hull `[n, 2]`: nose, wing tips and tail of an aircraft, the box of anything else."""
        if self.label != "aircraft":
            return self.corners()
        along = np.array([np.cos(self.direction), np.sin(self.direction)]) * self.length / 2
        across = np.array([-np.sin(self.direction), np.cos(self.direction)]) * self.width / 2
        centre = np.array([self.x, self.y])
        hull = ((1, 0.06), (1, -0.06), (-0.1, -1), (-0.3, -1), (-1, -0.38), (-1, 0.38), (-0.3, 1), (-0.1, 1))
        points: NDArray[np.float64] = np.array([centre + a * along + b * across for a, b in hull])
        return points
