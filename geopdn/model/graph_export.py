"""Graphs without weights (`geopdn.model.graph`) from a network, compared with torch on the way."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from geopdn.errors import ExportError
from geopdn.model.export import export_part, require_onnx
from geopdn.model.graph import Graph, Layer
from geopdn.model.parts import run_module

if TYPE_CHECKING:
    from geopdn.model.patchdrivenet import PatchDriveNet
    from geopdn.model.weights import LoadedModel

PREFIXES = {"stream": "global_stream", "saliency": "saliency_head", "net": ""}
"""Modules of the network by what parts call them."""
TOLERANCE = 1e-5  # of the largest weight of a layer


def bare_graph(model: LoadedModel, part: str) -> Graph:
    """The graph of a part of a model.

    Args:
        model: the network.
        part: one of `geopdn.model.graph.RUN_PARTS`.

    Raises:
        ConfigError: onnx or onnxscript is not installed, or the backbone has no such part.
        ExportError: the network cannot be expressed in ONNX, or does not answer as torch does.
    """
    require_onnx()
    import onnx

    layers = layers_of(model.net, part)
    proto = onnx.load_from_string(export_part(model, part).content)
    weights = dict(run_module(model.net.for_inference(strips=False), part).state_dict())
    constants = [tensor for tensor in proto.graph.initializer if tensor.name not in weights]
    del proto.graph.initializer[:], proto.metadata_props[:]
    for constant in constants:
        turned = _turned(onnx.numpy_helper.to_array(constant), weights)
        if turned is None:
            proto.graph.initializer.append(constant)
        else:
            node = onnx.helper.make_node("Transpose", [turned], [constant.name], f"turn_{constant.name}", perm=[1, 0])
            proto.graph.node.insert(0, node)
    content = bytes(proto.SerializeToString(deterministic=True))
    return Graph(content, {name: layer for name, layer in layers.items() if f"{name}.".encode() in content})


def _turned(constant: np.ndarray, weights: dict[str, Tensor]) -> str | None:
    """The matrix whose transpose a constant is: tracing turns those of linear layers round."""
    if constant.ndim != 2:
        return None
    alike = (name for name, value in weights.items() if value.shape == constant.shape[::-1])
    return next((name for name in alike if np.array_equal(weights[name].numpy().T, constant)), None)


def layers_of(net: PatchDriveNet, part: str) -> dict[str, Layer]:
    """What the weights of a part's graph are made of.

    Raises:
        ExportError: one cannot be made so.
    """
    ready = run_module(net.for_inference(strips=False), part)
    modules, norms, stored = dict(net.named_modules()), _norms(net), net.state_dict()
    layers: dict[str, Layer] = {}
    for key, value in ready.state_dict().items():
        name, _, kind = key.rpartition(".")
        source = _source(name, modules)
        norm, whole = norms.get(source), stored.get(f"{source}.{kind}")
        kept = layers[name].kept if name in layers else None
        if whole is not None and whole.shape[1:2] != value.shape[1:2]:
            n_bands = value.shape[1] - 1
            kept = (*range(n_bands), 3 * n_bands)  # means and validity, see `geopdn.model.means`
        folded = norm is not None and norm not in dict(ready.named_modules())
        eps = float(getattr(modules[norm], "eps", 0.0)) if norm is not None and folded else 0.0
        shape = tuple(stored[f"{source}.weight"].shape) if f"{source}.weight" in stored else ()
        layers[name] = Layer(source, norm if folded else None, eps, kept, shape)
    _check(Graph(b"", layers), ready, {key: value.numpy() for key, value in stored.items()}, part)
    return layers


def _source(name: str, modules: dict[str, nn.Module]) -> str:
    """The module of the network whose weights a module of a part has."""
    first, _, rest = name.partition(".")
    source = ".".join(filter(None, (PREFIXES.get(first, first), rest)))
    return source if source in modules else source.removesuffix(".1")  # behind padding of its own


def _norms(module: nn.Module, prefix: str = "") -> dict[str, str]:
    """Batch norms by the convolutions that they are folded into, as `geopdn.model.folded` pairs them."""
    found = {}
    children = list(module.named_children())
    for (name, conv), (following, norm) in itertools.pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.num_features == conv.out_channels:
            found[prefix + name] = prefix + following
    for name, child in children:
        found |= _norms(child, f"{prefix}{name}.")
    return found


def _check(graph: Graph, ready: nn.Module, stored: dict[str, np.ndarray], part: str) -> None:
    made = graph.weights(stored)
    for key, value in ready.state_dict().items():
        ours, theirs = made.get(key), value.numpy()
        if ours is None or ours.shape != theirs.shape or np.abs(ours - theirs).max() > TOLERANCE * np.abs(theirs).max():
            raise ExportError(f"part {part}: the weights {key} cannot be made from those of the network")
