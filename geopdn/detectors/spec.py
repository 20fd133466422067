"""What a detector is: everything needed to feed it and to name what it finds."""

from __future__ import annotations

from dataclasses import dataclass

from geopdn.detectors.values import Scaling
from geopdn.errors import ConfigError

TILE_PX = (64, 4096)
MOST_OVERLAP = 0.4
DEFAULT_OVERLAP = 0.125
DEFAULT_SCORE = 0.3
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """What a detector takes and returns.

    Attributes:
        name: short name, for messages and records.
        classes: class names, indexed by its labels.
        pixel_size_m: true ground size of a pixel that it was trained at.
        tile_px: side of the square tiles that it takes, in its pixels.
        scaling: from stored values to its input.
        bands: the scene's bands, by name or number, in the order of its channels; None where it does not say.
        n_bands: number of its channels.
        oriented: whether its boxes have a heading.
        overlap: share of a tile's side by which neighbouring tiles overlap: twice the halo. An object longer than the
            halo may be cut.
        min_score: lowest score of a result.
    """

    name: str
    classes: tuple[str, ...]
    pixel_size_m: float
    tile_px: int
    scaling: Scaling
    bands: tuple[str, ...] | None = None
    n_bands: int = 3
    oriented: bool = False
    overlap: float = DEFAULT_OVERLAP
    min_score: float = DEFAULT_SCORE

    def __post_init__(self) -> None:
        least, most = TILE_PX
        checks = {
            f"classes {list(self.classes)[:5]}: expected at least one name": bool(self.classes) and all(self.classes),
            f"names {list(map(_short, self.classes))[:5]}: expected up to {LONGEST_NAME} printable characters": all(
                len(name) <= LONGEST_NAME and name.isprintable() for name in self.classes
            ),
            f"pixel size {self.pixel_size_m:g} m: expected 0.001 to 10000": 1e-3 <= self.pixel_size_m <= 1e4,
            f"tiles of {self.tile_px} px: expected an even number from {least} to {most}": least <= self.tile_px <= most
            and self.tile_px % 2 == 0,
            f"{self.n_bands} channels: expected 1 to 64": 1 <= self.n_bands <= 64,
            f"overlap {self.overlap:g}: expected a share from 0 to {MOST_OVERLAP}": 0 <= self.overlap <= MOST_OVERLAP,
            f"score {self.min_score:g}: expected 0 to 1": 0 <= self.min_score <= 1,
            f"{self.n_bands} channels but {len(self.bands or ())} bands": self.bands is None
            or len(self.bands) == self.n_bands,
            f"{self.n_bands} channels but values for {self.scaling.n_bands}": self.scaling.n_bands
            in (None, self.n_bands),
        }
        wrong = [text for text, holds in checks.items() if not holds]
        if wrong:
            raise ConfigError(f"detector {self.name}: {'; '.join(wrong)}")

    @property
    def halo_px(self) -> int:
        """Pixels on each side of a tile whose objects belong to its neighbours, at least."""
        return round(self.tile_px * self.overlap / 2)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:20]}..."
