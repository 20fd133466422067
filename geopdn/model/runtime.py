"""Windows through ONNX Runtime instead of torch: a quarter less time on CPUs, the same answers to 1e-6.

Convolutions there work on blocks of channels and apply what follows them at once. Large scenes are worth its start
(importing it and optimising the graph take half a second); see `geopdn.engine.run`.
"""

from __future__ import annotations

from collections import defaultdict
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from geopdn.errors import CheckpointError
from geopdn.model.graph import weights_of, with_weights
from geopdn.model.head import HeadMaps
from geopdn.model.streams import PatchFeatures

if TYPE_CHECKING:
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
        graph: see `geopdn.model.graph`.

    Raises:
        CheckpointError: the graph is none that geopdn writes.
    """

    def __init__(self, net: PatchDriveNet, graph: bytes) -> None:
        self._content = with_weights(graph, weights_of(net))
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
            answers = session.run(None, values)
        except Exception as error:  # onnxruntime's errors have no common base
            if "alloc" in str(error).lower():
                raise MemoryError(f"a window of {windows.shape[-2]} x {windows.shape[-1]} px") from error
            raise
        finally:
            self._spare[n_threads].put(session)
        logits, regression, tokens, pooled = (torch.from_numpy(answer) for answer in answers)
        features = PatchFeatures(head=windows.new_zeros(len(windows), 0), tokens=tokens, pooled=pooled)
        return features, HeadMaps(logits=logits, regression=regression)

    def _session(self, n_threads: int) -> Any:
        try:
            return self._spare[n_threads].get_nowait()
        except Empty:
            pass
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
        options.log_severity_level = 4  # what goes wrong is raised, and said once
        # reading has the other cores meanwhile
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return onnxruntime.InferenceSession(self._content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            raise CheckpointError(f"the weights' ONNX graph cannot be run by onnxruntime: {text}") from error
