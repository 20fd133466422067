"""What the scenes of these tests hold, and what a command leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from affine import Affine

from geopdn.config import ModelConfig, RadiometryConfig, WindowKind

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 700
TARGET = 12
PLACES = ((100, 60), (130, 500), (400, 300), (420, 330), (640, 650))
"""Upper left corners (row, column) of the bright squares."""
UTM = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def record(self) -> Any:
        return json.loads(self.out)


class Plant(Protocol):
    def __call__(self, path: Path, **options: Any) -> Path: ...


def tiny_config(**changes: Any) -> ModelConfig:
    values: dict[str, Any] = {
        "classes": ("target",),
        "bands": ("red", "green", "blue"),
        "pixel_size_m": 0.5,
        "radiometry": RadiometryConfig(kind="fixed", low=(0.0,), high=(255.0,), dtypes=("uint8",)),
        "kinds": (WindowKind(extent=256, level=0, halo=32),),
        "has_heading": False,
        "neck": 16,
        "grid": 16,
        "dim": 32,
        "heads": 2,
        "hidden": 16,
    }
    return ModelConfig(**{**values, **changes})
