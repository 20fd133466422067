"""The high-resolution stage on one scene: the model's own network, or a detector in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geopdn.config import WindowKind
from geopdn.engine.overview_pass import SceneMap
from geopdn.model.decoded import Decoded
from geopdn.model.network import Features, Network
from geopdn.scene import Pixels, PixelSource

TileProgress = Callable[[int, int], None]


class Finder(Protocol):
    """Finds objects in a batch of windows."""

    def find(
        self, windows: NDArray[np.float32], context: NDArray[np.float32] | None, *, min_score: float
    ) -> tuple[Features | None, Decoded]:
        """Windows `[n, C, s, s]` of scaled values, grid vectors `[n, G]` or None -> features if any, detections."""


class ValueScaling(Protocol):
    """Makes inputs of stored values."""

    def apply(self, pixels: Pixels) -> NDArray[np.float32]:
        """Scaled values `[C, h, w]`, finite everywhere."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What looks at a scene's windows, and what says where.

    Attributes:
        source: the scene as the windows are read from it; all positions of the run are its pixels.
        scaling: from its values to the finder's input.
        finder: looks at the windows.
        kinds: windows that it can look at.
        priorities: `[n_kinds, K]` probability that a window of a kind finds an object of a size class.
        survey: makes the map of expected counts; called with (done, total) tiles.
        classes: what it finds.
        has_heading: whether its boxes are oriented.
        min_score: lowest score of a result, unless the options say another.
        raw_score: lowest score that is kept for merging again.
        pixel_size_m: that it was trained at.
        stretch: facts of the scaling, as of `Stretch.to_dict`.
        names: facts that name the model and the detector, with digests and settings.
        net: the network, where it is the finder: its features are fused.
        edge_px: boxes that end this near to an edge of their window count as cut by it (level-0 pixels).
        dense: a scene smaller than a window is looked at whole, without a map.
    """

    source: PixelSource
    scaling: ValueScaling
    finder: Finder
    kinds: tuple[WindowKind, ...]
    priorities: NDArray[np.float64]
    survey: Callable[[TileProgress], SceneMap]
    classes: tuple[str, ...]
    has_heading: bool
    min_score: float
    raw_score: float
    pixel_size_m: float
    stretch: dict[str, Any]
    names: dict[str, Any]
    net: Network | None = None
    edge_px: float = 0.0
    dense: bool = False
