"""How large a mosaic of labelled scenes is, and how many scenes with objects it holds."""

from __future__ import annotations

from dataclasses import dataclass

SCENE_PX = 2560
PLACES = ("site00", "site08", "site12", "site20", "site24")
"""Airports that neither training nor calibration has seen."""
SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Cells:
    """A square of `n_side` cells a side, of which `n_scenes` hold a scene."""

    n_side: int
    n_scenes: int

    @property
    def size(self) -> int:
        """Side in pixels."""
        return self.n_side * SCENE_PX

    @property
    def share(self) -> float:
        """Of the area, taken by scenes."""
        return self.n_scenes / self.n_side**2


def mosaic_cells(size: int) -> Cells:
    """The mosaic nearest to a side; one scene a place, so at most as many as there are places."""
    n_side = max(2, round(size / SCENE_PX))
    return Cells(n_side, min(len(PLACES), max(1, round(SHARE * n_side**2))))
