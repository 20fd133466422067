"""Parts of a network as ONNX graphs without weights: what a weights file carries for a search without torch.

A graph has some 20 kB. Its weights are those of the file, so that nothing is stored twice and nothing can disagree:
when a model is run, batch norms are folded into the convolutions before them, and the results appended to the
serialised graph as initializers. A protobuf message may be written in pieces, which a reader merges (Protocol Buffers,
"Encoding: Last One Wins"), so that no ONNX library is needed for it. `geopdn.model.graph_export` makes graphs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.errors import CheckpointError

RUN_PARTS = ("highres", "overview", "means", "fusion")
"""Those that a search without torch needs, see `geopdn.model.parts.part_of`."""
WINDOW_MULTIPLE = 128
"""Sides of the windows that `highres` takes are multiples of this."""
MAX_BYTES = 1 << 20

_GRAPH, _INITIALIZER = 7, 5  # fields of ModelProto and GraphProto (onnx.proto)
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9  # of TensorProto
_FLOAT = 1
_VARINT, _BYTES = 0, 2  # wire types
_ELSEWHERE = b"location"  # the key of external data: a graph that reads files is refused

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Layer:
    """Where the weights of a convolution, or of anything else, come from.

    Attributes:
        source: the module in the network whose weights they are.
        norm: the batch norm that is folded into them, None without.
        eps: of the norm.
        kept: input channels that are kept, None for all.
        shape: of the weights in the network.
    """

    source: str
    norm: str | None = None
    eps: float = 0.0
    kept: tuple[int, ...] | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph and what its weights are made of.

    Attributes:
        content: the serialised ONNX model, without weights.
        layers: by the names of the modules in the graph.
    """

    content: bytes
    layers: Mapping[str, Layer]

    def recipe(self) -> bytes:
        """The layers as JSON."""
        return json.dumps({name: asdict(layer) for name, layer in sorted(self.layers.items())}).encode()

    @classmethod
    def parse(cls, content: bytes, recipe: bytes) -> Graph:
        """The inverse of `recipe`.

        Raises:
            CheckpointError: it is none.
        """
        try:
            layers = {
                str(name): Layer(
                    source=str(one["source"]),
                    norm=None if one["norm"] is None else str(one["norm"]),
                    eps=float(one["eps"]),
                    kept=None if one["kept"] is None else tuple(int(channel) for channel in one["kept"]),
                    shape=tuple(int(n) for n in one["shape"]),
                )
                for name, one in json.loads(recipe).items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(_WRONG) from error
        return cls(content, layers)

    def weights(self, stored: Weights) -> dict[str, NDArray[np.float32]]:
        """Weights by their names in the graph.

        Args:
            stored: those of the network, by name.

        Raises:
            CheckpointError: one is missing, or of another shape.
        """
        modules: dict[str, dict[str, NDArray[Any]]] = {}
        for key, value in stored.items():
            module, _, kind = key.rpartition(".")
            modules.setdefault(module, {})[kind] = value
        result = {}
        for name, layer in self.layers.items():
            try:
                result.update({f"{name}.{kind}": values for kind, values in _made(layer, modules).items()})
            except (KeyError, ValueError, IndexError) as error:
                raise CheckpointError(f"the weights of {layer.source} are missing or misshapen: {error}") from error
        return result

    def model(self, stored: Weights) -> bytes:
        """The whole ONNX model, with those of the weights that the graph names.

        Raises:
            CheckpointError: the graph is none that geopdn writes, or weights are missing.
        """
        if len(self.content) > MAX_BYTES or _ELSEWHERE in self.content:
            raise CheckpointError(_WRONG)
        named = {name: value for name, value in self.weights(stored).items() if name.encode() in self.content}
        return self.content + _field(
            _GRAPH, b"".join(_field(_INITIALIZER, _tensor(name, value)) for name, value in sorted(named.items()))
        )


_WRONG = "the weights' ONNX graph is none that geopdn writes: get the file again"


def _made(layer: Layer, modules: Mapping[str, Weights]) -> dict[str, NDArray[np.float32]]:
    """Weights of a layer by their kind: `weight`, `bias`, whatever else it has."""
    own = {kind: np.asarray(value, np.float32) for kind, value in modules[layer.source].items()}
    if layer.shape and own["weight"].shape != layer.shape:
        raise ValueError(own["weight"].shape)
    if layer.kept is not None:
        own["weight"] = np.ascontiguousarray(own["weight"][:, list(layer.kept)])
    if layer.norm is None:
        return own
    norm = modules[layer.norm]
    gamma, beta, mean, variance = (
        np.asarray(norm[kind], np.float32) for kind in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + np.float32(layer.eps))
    bias = beta + (own.get("bias", np.float32(0)) - mean) * scale
    return {"weight": own["weight"] * scale.reshape(-1, *[1] * (own["weight"].ndim - 1)), "bias": bias}


def _tensor(name: str, value: NDArray[np.float32]) -> bytes:
    dims = b"".join(_key(_DIMS, _VARINT) + _varint(size) for size in value.shape)
    raw = np.ascontiguousarray(value, np.float32).tobytes()
    return dims + _key(_TYPE, _VARINT) + _varint(_FLOAT) + _field(_NAME, name.encode()) + _field(_RAW, raw)


def _field(number: int, content: bytes) -> bytes:
    return _key(number, _BYTES) + _varint(len(content)) + content


def _key(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
