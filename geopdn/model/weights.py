"""Weights on disk: safetensors with a readable header. A pickle is refused, whatever its name."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from geopdn.config import ModelConfig
from geopdn.errors import CheckpointError, ConfigError
from geopdn.model.advice import CONTROLLER
from geopdn.model.graph import RUN_PARTS, Graph
from geopdn.model.storage import pack, unpack

if TYPE_CHECKING:
    from geopdn.model.patchdrivenet import PatchDriveNet

FORMAT_VERSION = 2
HEADER_KEY = "geopdn"
ADDED = ("saliency_head.surroundings",)  # tensors that weights from before them lack; they start without effect
TEMPORAL = "temporal."  # tensors that only weights hold which have learnt from earlier dates
OVERVIEW = ("global_stream.", "saliency_head.")
GRAPHS = "onnx."  # and the name of a part: uint8 tensors, see `geopdn.model.graph`
RECIPE = ".layers"  # behind these: what the graph's weights are made of
MAX_HEADER_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class WeightsHeader:
    """What a weights file says about itself.

    Attributes:
        name: short name of the model.
        model: everything needed to build and feed the network.
        min_score: threshold of the best expected F1, by the calibrated scores of the calibration places.
        description: one sentence for people.
        trained_on: training data in words.
        licence: licence of the weights.
        training: command, seed, steps, time, date, version: how to make them again.
        scores: measured on validation places, or on the calibration places where all others were trained on: `split`.
    """

    name: str
    model: ModelConfig
    min_score: float = 0.3
    description: str = ""
    trained_on: str = ""
    licence: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One JSON object, keys sorted."""
        record = {
            "format": FORMAT_VERSION,
            "name": self.name,
            "model": self.model.model_dump(mode="json"),
            "min_score": self.min_score,
            "description": self.description,
            "trained_on": self.trained_on,
            "licence": self.licence,
            "training": self.training,
            "scores": self.scores,
        }
        return json.dumps(record, sort_keys=True, indent=1)


class LoadedModel:
    """A network ready for inference, or weights that one can be made of.

    Args:
        net: in evaluation mode, float32; None where it is made when it is asked for.
        header: its header.
        digest: SHA-256 of the file, first 16 hex digits.
        stored: the weights as a file holds them, with graphs for a search without torch; None for a network that
            may still change.
    """

    def __init__(
        self, net: PatchDriveNet | None, header: WeightsHeader, digest: str, stored: StoredWeights | None = None
    ) -> None:
        if net is None and stored is None:
            msg = "neither a network nor weights"
            raise ValueError(msg)
        self.header, self.digest, self.stored = header, digest, stored
        self._net = net

    @property
    def net(self) -> PatchDriveNet:
        """The network as a module of torch.

        Raises:
            CheckpointError: weights are missing, extra or misshapen.
        """
        if self._net is None:
            assert self.stored is not None
            self._net = _built(self.header, self.stored)
        return self._net


@dataclass(frozen=True, slots=True, eq=False)
class StoredWeights:
    """What a weights file holds.

    Attributes:
        path: the file, for messages.
        arrays: weights by name, floats as float32.
        graphs: of the parts of the network.
    """

    path: Path
    arrays: dict[str, NDArray[Any]]
    graphs: dict[str, Graph]


def is_temporal(key: str) -> bool:
    """Whether a tensor belongs to what looks at earlier dates."""
    return key.startswith(TEMPORAL)


def is_controller(key: str) -> bool:
    """Whether a tensor belongs to the controller."""
    return key.startswith(CONTROLLER)


def is_learnt(key: str, model: ModelConfig) -> bool:
    """Whether a tensor is worth storing: a part that has not learnt changes nothing, and a fresh one is as good."""
    return (model.dates or not is_temporal(key)) and (model.controller or not is_controller(key))


def is_overview(key: str) -> bool:
    """Whether a tensor belongs to what looks at overviews, or to what makes expected counts of it."""
    return key.startswith(OVERVIEW)


def save_weights(
    net: PatchDriveNet,
    header: WeightsHeader,
    path: Path,
    *,
    base: Path | None = None,
    anew: Callable[[str], bool] = is_temporal,
) -> None:
    """Write weights as `geopdn.model.storage` stores them, atomically. The same give the same bytes.

    Args:
        net: the network.
        header: says all about it.
        path: the file.
        base: weights of which everything but what is new is written again as it is stored.
        anew: tells the names of tensors that are.
    """
    from safetensors.numpy import load, save

    kept = {key: value for key, value in arrays_of(net).items() if is_learnt(key, header.model)}
    if base is None:
        arrays = pack(kept)
    else:
        stored = load(base.read_bytes()).items()
        before = {key: value for key, value in stored if not anew(key) and is_learnt(key, header.model)}
        arrays = before | pack({key: value for key, value in kept.items() if anew(key)})
    arrays = {key: value for key, value in arrays.items() if not key.startswith(GRAPHS)}
    for part, graph in net.graphs.items():
        arrays[GRAPHS + part] = np.frombuffer(graph.content, np.uint8)
        arrays[GRAPHS + part + RECIPE] = np.frombuffer(graph.recipe(), np.uint8)
    content = save(arrays, metadata={HEADER_KEY: header.to_json()})
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def arrays_of(net: PatchDriveNet) -> dict[str, NDArray[Any]]:
    """A network's weights by name."""
    return {key: value.detach().cpu().numpy() for key, value in net.state_dict().items()}


def read_header(path: Path) -> WeightsHeader:
    """The header alone, without loading the weights.

    Raises:
        CheckpointError: not a safetensors file of geopdn.
    """
    record = _header_record(path)
    if record.get("format") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: weights of format {record.get('format')!r}, this geopdn reads format {FORMAT_VERSION}: "
            "train again, or install the geopdn that wrote them"
        )
    try:
        return WeightsHeader(
            name=str(record["name"]),
            model=ModelConfig.model_validate(record["model"]),
            min_score=_share(record["min_score"], "min_score"),
            description=str(record["description"]),
            trained_on=str(record["trained_on"]),
            licence=str(record["licence"]),
            training=dict(record["training"]),
            scores=dict(record["scores"]),
        )
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise CheckpointError(
            f"{path}: the weights' header is incomplete: {' '.join(str(error).split())[:300]}"
        ) from error


def _share(value: Any, name: str) -> float:
    """A number from 0 to 1.

    Raises:
        ValueError: it is none.
    """
    if not 0 <= float(value) <= 1:
        raise ValueError(f"{name} {value}: expected 0 to 1")
    return float(value)


def _header_record(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if start[:2] in (b"PK", b"\x80\x02", b"\x80\x04", b"\x80\x05"):
                raise CheckpointError(
                    f"{path} is a pickle or zip (a PyTorch checkpoint), which can run code when loaded: "
                    "geopdn reads safetensors only; `geopdn train` writes them"
                )
            if not 2 <= length <= min(MAX_HEADER_BYTES, size):
                raise CheckpointError(f"{path} is not a safetensors file, or it is cut off: get it again")
            header = json.loads(stream.read(length))
    except OSError as error:
        raise CheckpointError(f"weights {path} cannot be read: {error.strerror}") from error
    except (ValueError, struct.error) as error:
        raise CheckpointError(f"{path} is not a safetensors file, or it is cut off: get it again") from error
    try:
        record = json.loads(header["__metadata__"][HEADER_KEY])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is a safetensors file, but not of geopdn (no {HEADER_KEY!r} metadata)"
        ) from error
    if not isinstance(record, dict):
        raise CheckpointError(f"{path}: the {HEADER_KEY!r} metadata is not an object")
    return record


def load_weights(path: Path, *, at_once: bool = True) -> LoadedModel:
    """Read weights, strictly.

    Args:
        path: the file.
        at_once: build the network that the header describes, too. Else it is built when it is asked for: a search by
            graphs of the file needs no torch.

    Raises:
        CheckpointError: damaged, unsafe, of another format, or tensors that do not fit or are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    header = read_header(path)
    content = path.read_bytes()
    try:
        arrays = unpack(load(content))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}; get it again") from error
    graphs = {}
    for part in RUN_PARTS:
        graph, recipe = (arrays.pop(GRAPHS + part + ending, None) for ending in ("", RECIPE))
        if graph is not None and recipe is not None:  # without a recipe it is one of an earlier geopdn
            graphs[part] = Graph.parse(graph.tobytes(), recipe.tobytes())
    bad = [key for key, value in arrays.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]
    if bad:
        raise CheckpointError(f"{path}: tensors with NaN or infinite values: {', '.join(bad[:5])}")
    arrays = {key: value for key, value in arrays.items() if is_learnt(key, header.model)}
    stored = StoredWeights(path, arrays, graphs)
    model = LoadedModel(None, header, hashlib.sha256(content).hexdigest()[:16], stored)
    if at_once:
        _ = model.net
    return model


def _built(header: WeightsHeader, stored: StoredWeights) -> PatchDriveNet:
    """The network of the header with its weights, see `LoadedModel.net`."""
    import torch

    from geopdn.model.patchdrivenet import PatchDriveNet

    path = stored.path
    try:
        net = PatchDriveNet(config=header.model)
    except ConfigError as error:
        raise CheckpointError(f"{path}: the network of the header cannot be built: {error}") from error
    expected = net.state_dict()
    tensors = {key: torch.from_numpy(value) for key, value in stored.arrays.items()}
    for key in ADDED:
        tensors.setdefault(key, expected[key])
    tensors |= {key: value for key, value in expected.items() if not is_learnt(key, header.model)}
    wrong = sorted(set(expected) ^ set(tensors))
    wrong += [key for key in expected if key in tensors and tensors[key].shape != expected[key].shape]
    if wrong:
        raise CheckpointError(f"{path}: {len(wrong)} tensors are missing, extra or misshapen: {', '.join(wrong[:5])}")
    net.load_state_dict({key: value.to(expected[key].dtype) for key, value in tensors.items()}, strict=True)
    net.eval()
    net.graphs = dict(stored.graphs)
    return net


def shipped_models() -> dict[str, Path]:
    """Names and paths of the weights that came with geopdn."""
    folder = Path(str(resources.files("geopdn.weights")))
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def find_weights(name: str) -> Path:
    """The path of a shipped model's name, or of a file.

    Raises:
        CheckpointError: neither.
    """
    shipped = shipped_models()
    if name in shipped:
        return shipped[name]
    path = Path(name)
    if path.suffix == ".ckpt":
        raise CheckpointError(
            f"{name} is a training checkpoint (a pickle): use the .safetensors that `geopdn train` wrote"
        )
    if not path.is_file():
        known = ", ".join(shipped) or "none"
        raise CheckpointError(f"model {name!r} is neither a file nor a shipped model ({known}): see `geopdn models`")
    return path
