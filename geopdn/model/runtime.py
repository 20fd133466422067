"""Overviews and windows through ONNX Runtime instead of torch: less time on CPUs, the same answers to 1e-6.

Convolutions there work on blocks of channels and apply what follows them at once: a quarter less time for windows, two
fifths less for overviews. Large scenes are worth its start
(importing it and optimising the graph take half a second); see `geopdn.engine.run`.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from geopdn.errors import CheckpointError
from geopdn.model.graph import weights_of, with_weights
from geopdn.model.head import HeadMaps
from geopdn.model.streams import GlobalFeatures, PatchFeatures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from geopdn.model.backbones import Backbone
    from geopdn.model.means import MeansStream
    from geopdn.model.patchdrivenet import PatchDriveNet

MULTIPLE = 128
"""Sides of windows that the graph takes are multiples of this, as all windows of a plan are."""


def is_installed() -> bool:
    """Whether there is an ONNX Runtime; it is not imported for the answer."""
    return find_spec("onnxruntime") is not None


class OnnxStream:
    """The high-resolution stream and the head of one network.

    Each thread that calls gets a session of its own for as long as it calls, with as many threads as torch would use
    there: side by side windows have a core each.

    Args:
        net: ready for inference on a CPU, without strips.
        graph: of the part `highres`, see `geopdn.model.graph`.

    Raises:
        CheckpointError: the graph is none that geopdn writes.
    """

    def __init__(self, net: PatchDriveNet, graph: bytes) -> None:
        self._content = with_weights(graph, weights_of(net, "highres"))
        self._context = net.config.grid
        self._spare: dict[int, SimpleQueue[Any]] = defaultdict(SimpleQueue)

    @staticmethod
    def takes(windows: Tensor) -> bool:
        """Whether the graph is for windows `[n, C, h, w]` of this size."""
        return windows.shape[-1] == windows.shape[-2] and windows.shape[-1] % MULTIPLE == 0

    def __call__(self, windows: Tensor, context: Tensor | None) -> tuple[PatchFeatures, HeadMaps]:
        """As `PatchDriveNet.inspect` of one view; the features have no map for the head.

        Raises:
            MemoryError: there is no room for the maps.
        """
        if context is None:
            context = windows.new_zeros(len(windows), self._context)
        n_threads = torch.get_num_threads()
        session = self._session(n_threads)
        values = {"windows": windows.contiguous().numpy(), "context": context.float().contiguous().numpy()}
        try:
            answers = _run(session, values, what=f"a window of {windows.shape[-2]} x {windows.shape[-1]} px")
        finally:
            self._spare[n_threads].put(session)
        logits, regression, tokens, pooled = (torch.from_numpy(answer) for answer in answers)
        features = PatchFeatures(head=windows.new_zeros(len(windows), 0), tokens=tokens, pooled=pooled)
        return features, HeadMaps(logits=logits, regression=regression)

    def _session(self, n_threads: int) -> Any:
        try:
            return self._spare[n_threads].get_nowait()
        except Empty:
            return _session(self._content, n_threads=n_threads)


class OnnxMeans:
    """The global stream of one network on overviews that hold means alone, one tile at a time on all cores.

    The widest maps of a tile take 0.35 GB, which is why there is one session and not one for each thread.

    Args:
        net: ready for inference on a CPU, without strips.
        graph: of the part `means`, see `geopdn.model.graph`.
        others: looks at batches and at sizes that the graph does not take.

    Raises:
        CheckpointError: the graph is none that geopdn writes.
    """

    def __init__(self, net: PatchDriveNet, graph: bytes, *, others: MeansStream) -> None:
        self._content = with_weights(graph, weights_of(net, "means"))
        self._multiple = max(cast("Backbone", net.global_stream.backbone).strides)
        self._others, self._n_threads = others, torch.get_num_threads()
        self._lock = threading.Lock()
        self._session: Any = None

    def __call__(self, overview: Tensor) -> GlobalFeatures:
        """As `MeansStream`, whatever thread calls.

        Raises:
            MemoryError: there is no room for the maps.
        """
        n, _, height, width = overview.shape
        if n != 1 or height % self._multiple or width % self._multiple:
            return self._others(overview)
        values = {"means": overview.contiguous().numpy()}
        with self._lock:
            if self._session is None:
                self._session = _session(self._content, n_threads=self._n_threads)
            answers = _run(self._session, values, what=f"{height} x {width} px of the overview")
        cells, grid = (torch.from_numpy(answer) for answer in answers)
        return GlobalFeatures(cells=cells, grid=grid)

    def rest(self) -> None:
        """Give back the memory of the maps until the next call."""
        with self._lock:
            self._session = None


def _run(session: Any, values: dict[str, NDArray[np.float32]], *, what: str) -> list[NDArray[np.float32]]:
    """Answers of a session.

    Raises:
        MemoryError: there is no room for `what`.
    """
    try:
        answers: list[NDArray[np.float32]] = session.run(None, values)
    except Exception as error:  # onnxruntime's errors have no common base
        if "alloc" in str(error).lower():
            raise MemoryError(what) from error
        raise
    return answers


def _session(content: bytes, *, n_threads: int) -> Any:
    """A session on so many threads.

    Raises:
        CheckpointError: the graph cannot be run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
    options.log_severity_level = 4  # what goes wrong is raised, and said once
    # reading has the other cores meanwhile
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise CheckpointError(f"the weights' ONNX graph cannot be run by onnxruntime: {text}") from error
