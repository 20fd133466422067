"""Parts of a network as ONNX, compared with torch before anybody gets them."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from geopdn.errors import ConfigError, ExportError
from geopdn.model.compare import box_difference, difference
from geopdn.model.detector_keys import detector_keys
from geopdn.model.parts import Part, Shape, part_of
from geopdn.model.weights import HEADER_KEY

if TYPE_CHECKING:
    from geopdn.model.weights import LoadedModel

OPSET = 18
PART_KEY = "geopdn_part"
TOLERANCE = 1e-4
"""Largest difference from torch, as a share of the largest value of an output."""


@dataclass(frozen=True, slots=True)
class OnnxPart:
    """A part of a network as an ONNX file.

    Attributes:
        part: its name.
        content: the file.
        inputs: names and shapes of its inputs, in order; a text is an open size.
        outputs: likewise.
        difference: largest difference from torch on random values of other sizes, as a share of the largest value of
            an output; None where onnxruntime is not installed.
    """

    part: str
    content: bytes
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    difference: float | None


def require_onnx() -> None:
    """Refuse to begin where packages are missing.

    Raises:
        ConfigError: onnx or onnxscript is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401 (what torch.onnx needs)
    except ImportError as error:
        raise ConfigError(f"export needs {error.name}, which is not installed: pip install 'geopdn[onnx]'") from None


def export_part(model: LoadedModel, name: str) -> OnnxPart:
    """One part of a network as ONNX; the same weights and packages give the same bytes.

    Its metadata hold the weights' header, the part's name and the licence, a detector's also what Deepness and GeoDeep
    read.

    Args:
        model: the weights.
        name: one of `geopdn.model.parts.PARTS`, which says what goes in and comes out.

    Raises:
        ConfigError: an unknown part, or onnx or onnxscript is not installed.
        ExportError: the network cannot be expressed in ONNX, or what comes out does not answer as torch does.
    """
    require_onnx()
    import onnx

    part = part_of(model.net.for_inference(strips=False), name)
    where = f"part {name} of {model.header.name}"
    try:
        proto = _traced(part)
        _strip(proto)
        _name_sizes(proto, part.outputs)
        keys = {HEADER_KEY: model.header.to_json(), PART_KEY: name, "license": model.header.licence}
        keys |= {"geopdn_weights": model.digest, **(detector_keys(model.header) if name == "detector" else {})}
        onnx.helper.set_model_props(proto, keys)
        onnx.checker.check_model(proto, full_check=True)
        content: bytes = proto.SerializeToString(deterministic=True)
    except Exception as error:  # torch.onnx's errors have no common base
        raise ExportError(f"{where} cannot be written as ONNX: {_line(error)}") from error
    return OnnxPart(
        part=name,
        content=content,
        inputs=_shapes(proto.graph.input),
        outputs=_shapes(proto.graph.output),
        difference=_compared(content, part_of(model.net, name), where=where),
    )


def _traced(part: Part) -> Any:
    """An ONNX model, without what torch says meanwhile."""
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            part.module.eval(),
            tuple(part.inputs.values()),
            dynamo=True,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_shapes=tuple(dict(sizes) for sizes in part.open_sizes),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _strip(proto: Any) -> None:
    """Remove what the tracer wrote about the machine: stack traces with the paths of source files."""
    graph = proto.graph
    for owner in (proto, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        owner.ClearField("metadata_props")
        owner.ClearField("doc_string")
    graph.ClearField("value_info")


def _name_sizes(proto: Any, outputs: Mapping[str, Shape]) -> None:
    """Sizes of the outputs in the names of the inputs' sizes, where the tracer has names of its own."""
    for value in proto.graph.output:
        for size, name in zip(value.type.tensor_type.shape.dim, outputs[value.name], strict=True):
            if isinstance(name, str):
                size.dim_param = name


def _shapes(values: Any) -> dict[str, Shape]:
    return {
        value.name: tuple(size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim)
        for value in values
    }


def _compared(content: bytes, part: Part, *, where: str) -> float | None:
    """The largest difference between onnxruntime and torch, see `OnnxPart`.

    Raises:
        ExportError: it is above `TOLERANCE`, or onnxruntime cannot run the file.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, and said once
    try:
        session = onnxruntime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])
        theirs = session.run(None, {name: value.numpy() for name, value in part.others.items()})
    except Exception as error:  # onnxruntime's errors have no common base
        raise ExportError(f"{where}: onnxruntime cannot run what was exported: {_line(error)}") from error
    with torch.inference_mode():
        result = part.module.eval()(*part.others.values())
    ours = (result,) if isinstance(result, torch.Tensor) else result
    differences = {
        name: difference(a, torch.from_numpy(b))
        if part.has_heading is None
        else box_difference(a, torch.from_numpy(b), has_heading=part.has_heading)
        for name, a, b in zip(part.outputs, ours, theirs, strict=True)
    }
    worst = max(differences, key=lambda name: differences[name])
    if not differences[worst] <= TOLERANCE:
        raise ExportError(
            f"{where}: its output {worst} differs from torch's by {differences[worst]:.2g} of its largest value, more "
            f"than {TOLERANCE:g}: nothing was written; report it with the versions of torch, onnx and onnxruntime"
        )
    return differences[worst]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
