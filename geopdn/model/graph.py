"""Both streams as ONNX graphs without weights: what a weights file carries for another runtime.

A graph has 0.2 MB at most. Its weights are those of the file, so that nothing is stored twice and nothing can disagree:
when a model is run, they are appended to the serialised graph as initializers. A protobuf message may be written in
pieces, which a reader merges (Protocol Buffers, "Encoding: Last One Wins"), so that no ONNX library is needed for it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from geopdn.errors import CheckpointError
from geopdn.model.parts import run_module

if TYPE_CHECKING:
    from torch import Tensor

    from geopdn.model.patchdrivenet import PatchDriveNet
    from geopdn.model.weights import LoadedModel

MAX_BYTES = 1 << 20

_GRAPH, _INITIALIZER = 7, 5  # fields of ModelProto and GraphProto (onnx.proto)
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9  # of TensorProto
_FLOAT = 1
_VARINT, _BYTES = 0, 2  # wire types
_ELSEWHERE = b"location"  # the key of external data: a graph that reads files is refused


def bare_graph(model: LoadedModel, part: str) -> bytes:
    """The graph of a part of a model (of one view of its windows), compared with torch on the way.

    Args:
        model: the network.
        part: one of `geopdn.model.parts.RUN_PARTS`.

    Raises:
        ConfigError: onnx or onnxscript is not installed, or the backbone has no such part.
        ExportError: the network cannot be expressed in ONNX, or does not answer as torch does.
    """
    from geopdn.model.export import export_part, require_onnx

    require_onnx()
    import onnx

    net = copy.copy(model.net)
    net.config = net.config.model_copy(update={"views": 1})
    proto = onnx.load_from_string(export_part(replace(model, net=net), part).content)
    names = set(weights_of(net.for_inference(strips=False), part))
    constants = [tensor for tensor in proto.graph.initializer if tensor.name not in names]
    del proto.graph.initializer[:], proto.metadata_props[:]
    proto.graph.initializer.extend(constants)
    return bytes(proto.SerializeToString(deterministic=True))


def weights_of(net: PatchDriveNet, part: str) -> dict[str, Tensor]:
    """The weights of a part of a network that is ready for inference without strips, by their names in its graph."""
    return dict(run_module(net, part).state_dict())


def with_weights(graph: bytes, weights: Mapping[str, Tensor]) -> bytes:
    """A whole ONNX model: the graph with those of the weights that it names.

    Raises:
        CheckpointError: the graph is none that geopdn writes.
    """
    if len(graph) > MAX_BYTES or _ELSEWHERE in graph:
        raise CheckpointError("the weights' ONNX graph is none that geopdn writes: get the file again")
    tensors = [_tensor(name, value) for name, value in sorted(weights.items()) if name.encode() in graph]
    return graph + _field(_GRAPH, b"".join(_field(_INITIALIZER, tensor) for tensor in tensors))


def _tensor(name: str, value: Tensor) -> bytes:
    dims = b"".join(_key(_DIMS, _VARINT) + _varint(size) for size in value.shape)
    raw = value.detach().float().cpu().contiguous().numpy().tobytes()
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
