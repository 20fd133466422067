"""What a search asks of a network, in arrays: one of torch and one of ONNX Runtime answer alike.

PyTorch takes two to three seconds to import, as long as a search of a small scene; ONNX Runtime a tenth of one.
Weights that carry graphs are searched with by it on a CPU, and torch is not imported at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from geopdn.config import ModelConfig
from geopdn.errors import CheckpointError
from geopdn.model.advice import Controller
from geopdn.model.decoded import Decoded
from geopdn.model.graph import RUN_PARTS, WINDOW_MULTIPLE
from geopdn.model.probabilities import Probabilities

if TYPE_CHECKING:
    from geopdn.model.weights import LoadedModel

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """A part of an overview in stretched values, sides multiples of the backbone's coarsest stride.

    Attributes:
        mean: `[C, H, W]` of the scene pixels under each overview pixel, 0 where none is valid.
        valid: `[H, W]` share of the valid ones.
        low: `[C, H, W]` their minimum, None where it is not known.
        high: their maximum, likewise.
    """

    mean: Floats
    valid: Floats
    low: Floats | None = None
    high: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class EarlierPlanes:
    """The same ground on an earlier date.

    Attributes:
        planes: its overview, on the grid of the current date.
        days: between the two; 0 where one of them has no time.
    """

    planes: Planes
    days: float


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What the global stream makes of a part of an overview.

    Attributes:
        rate: `[K, H/4, W/4]` expected objects of each size class in each cell.
        grid: `[G, H/16, W/16]` the global grid.
    """

    rate: Floats
    grid: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the high-resolution stream keeps of windows.

    Attributes:
        tokens: `[n, 16, dim]` a 4 x 4 summary of each, for fusion.
        pooled: `[n, dim]` its mean, for the controller (`geopdn.model.advice`).
    """

    tokens: Floats
    pooled: Floats


class Network(Protocol):
    """Looks at overviews and windows. Several threads may call."""

    config: ModelConfig
    runtime: str
    """`torch` or `onnxruntime`."""
    device: str
    """`cpu` or `cuda`."""
    probabilities: Probabilities
    """Of the head's scores."""
    priorities: NDArray[np.float64]
    """`[n_kinds, K]` probability that a window of a kind finds an object of a size class."""
    surroundings: NDArray[np.float64]
    """What rates are worth by what is expected around them, see `geopdn.model.surroundings`."""
    controller: Controller | None
    """Re-weights what has not been seen; None where the weights have none that has learnt."""

    def look(self, planes: Planes, earlier: Sequence[EarlierPlanes] = ()) -> Looked:
        """Stages 1 and 2: a part of the overview, and what earlier dates show of it."""

    def load(self) -> None:
        """Load all libraries that it needs."""

    def rest(self) -> None:
        """No more overviews for now: what looking at them took of memory goes back."""

    def find(self, windows: Floats, context: Floats | None, *, min_score: float) -> tuple[Features | None, Decoded]:
        """Stage 3 and the head: windows `[n, C, s, s]`, grid vectors `[n, G]` or None -> features, detections.

        Scores are the head's own; those under `min_score` are left out.
        """

    def fuse(self, grid: Floats, tokens: Floats, places: Floats) -> Floats:
        """Stage 4: a part `[G, h, w]` of the grid with tokens `[m, dim]` at places `[m, 3]` fused into it.

        Places are x and y in cells from the part's corner, and log2 of a token's extent in cells.
        """


def network_of(model: LoadedModel, *, device: str = "cpu", dates: bool = False) -> Network:
    """The network that searches with a model, ready.

    Args:
        model: network or weights.
        device: `cpu` or `cuda`.
        dates: earlier dates will be shown.

    Raises:
        CheckpointError: the weights are damaged.
    """
    if runtime_of(model, device=device, dates=dates) == "onnxruntime":
        from geopdn.model.onnx_network import OnnxNetwork

        assert model.stored is not None
        try:
            return OnnxNetwork(model.header.model, model.stored)
        except CheckpointError:
            _ = model.net  # which says better what is wrong, if the weights are
            raise
    from geopdn.model.torch_network import TorchNetwork

    return TorchNetwork(model.net, device)


def runtime_of(model: LoadedModel, *, device: str = "cpu", dates: bool = False) -> Literal["onnxruntime", "torch"]:
    """What a model is searched with; arguments as of `network_of`. Nothing is imported for the answer."""
    graphs = set() if model.stored is None else set(model.stored.graphs)
    fits = all(kind.tensor % WINDOW_MULTIPLE == 0 for kind in model.header.model.kinds)
    if device == "cpu" and fits and set(RUN_PARTS) <= graphs and not dates and has_onnxruntime():
        return "onnxruntime"
    return "torch"


def has_onnxruntime() -> bool:
    """Whether there is an ONNX Runtime; it is not imported for the answer."""
    return find_spec("onnxruntime") is not None
