"""A network run by torch, on a CPU or a GPU, for searches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from geopdn import cores
from geopdn.errors import ResourceLimitError
from geopdn.model.advice import Controller
from geopdn.model.decoded import Decoded
from geopdn.model.network import EarlierPlanes, Features, Floats, Looked, Planes
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.streams import CELL_STRIDE, overview_channels, pack_means, pack_overview
from geopdn.model.temporal import EarlierDates
from geopdn.model.weights import arrays_of

PACKED_ROWS = 128

Found = tuple[Features, Decoded]


class TorchNetwork:
    """`geopdn.model.network.Network`.

    Args:
        net: in evaluation mode.
        device: where it runs.
    """

    runtime = "torch"

    def __init__(self, net: PatchDriveNet, device: str = "cpu") -> None:
        self.device, self._device = device, torch.device(device)
        self.net = net.for_inference(self._device)
        self.config = net.config
        self.probabilities = net.score_curves.probabilities
        self.priorities: NDArray[np.float64] = net.patch_priorities().detach().double().cpu().numpy()
        self.surroundings: NDArray[np.float64] = net.saliency_head.surroundings.detach().double().cpu().numpy()
        self.controller = Controller(arrays_of(net), net.config) if net.config.controller else None

    def look(self, planes: Planes, earlier: Sequence[EarlierPlanes] = ()) -> Looked:
        """See `Network`."""
        with self._inference():
            alone = self.net.means_stream is not None and planes.low is None
            packed = self._means(planes) if alone else self._packed(planes)
            features, saliency = self.net.look(packed, self._dates(earlier))
            return Looked(_array(saliency.rate[0]), _array(features.grid[0]))

    def load(self) -> None:
        """It is all there."""

    def rest(self) -> None:
        """Nothing is kept."""

    def find(self, windows: Floats, context: Floats | None, *, min_score: float) -> Found:
        """See `Network`; a batch that does not fit the memory of a GPU is looked at in halves, and halves of those.

        Raises:
            ResourceLimitError: a single window does not fit.
        """

        def one(values: Tensor, vectors: Tensor | None) -> Found:
            features, found = self.net.find(values, vectors, min_score=min_score)
            return Features(_array(features.tokens), _array(features.pooled)), found

        with self._inference():
            values = torch.from_numpy(windows).to(self._device, memory_format=torch.channels_last)
            vectors = None if context is None else torch.from_numpy(context).to(self._device)
            return in_halves(one, values, vectors)

    def fuse(self, grid: Floats, tokens: Floats, places: Floats) -> Floats:
        """See `Network`."""
        with self._inference():
            inputs = (torch.from_numpy(values)[None].to(self._device) for values in (grid, tokens, places))
            return _array(self.net.fusion(*inputs)[0])

    def _inference(self) -> Any:
        """Inference mode, which is one of each thread, on the cores of the thread."""
        n = cores.mine()
        if torch.get_num_threads() != n:
            torch.set_num_threads(n)
        return torch.inference_mode()

    def _means(self, planes: Planes) -> Tensor:
        """The network's input `[1, C + 1, H, W]` of means alone."""
        return pack_means(torch.from_numpy(planes.mean)[None], torch.from_numpy(planes.valid)[None, None]).to(
            self._device
        )

    def _packed(self, planes: Planes) -> Tensor:
        """The network's input `[1, 3C + 2, H, W]`, packed in strips of rows: packing takes four times what it gives."""
        n_bands, height, width = planes.mean.shape
        packed = torch.empty(1, overview_channels(n_bands), height, width, memory_format=torch.channels_last)
        for top in range(0, height, PACKED_ROWS):
            rows = slice(top, top + PACKED_ROWS)
            mean, low, high = (
                None if plane is None else torch.from_numpy(plane[:, rows])[None]
                for plane in (planes.mean, planes.low, planes.high)
            )
            assert mean is not None
            packed[:, :, rows] = pack_overview(mean, low, high, torch.from_numpy(planes.valid[rows])[None, None])
        return packed.to(self._device)

    def _dates(self, earlier: Sequence[EarlierPlanes]) -> EarlierDates | None:
        if not earlier:
            return None
        known = [
            (F.max_pool2d(torch.from_numpy(date.planes.valid)[None], CELL_STRIDE)[0] > 0).float() for date in earlier
        ]
        return EarlierDates(
            torch.stack([self._packed(date.planes) for date in earlier], 1),
            torch.stack(known)[None].to(self._device),
            torch.tensor([[date.days for date in earlier]], device=self._device),
        )


def in_halves(look: Callable[[Tensor, Tensor | None], Found], windows: Tensor, context: Tensor | None) -> Found:
    """What `look` finds, on halves of the batch where the device has no memory for the whole, and on halves of those.

    Raises:
        ResourceLimitError: a single window does not fit.
    """
    try:
        return look(windows, context)
    except torch.OutOfMemoryError as error:
        if len(windows) == 1:
            raise ResourceLimitError(
                f"a window of {windows.shape[-2]} x {windows.shape[-1]} px does not fit the memory of "
                f"{windows.device}: use --device cpu, or free the GPU"
            ) from error
    torch.cuda.empty_cache()  # here, where the failed batch's tensors are no longer held by the exception
    half = len(windows) // 2
    (features, found), (others, more) = (
        in_halves(look, windows[part], None if context is None else context[part])
        for part in (slice(None, half), slice(half, None))
    )
    together = Features(
        np.concatenate([features.tokens, others.tokens]), np.concatenate([features.pooled, others.pooled])
    )
    return together, Decoded(
        window=np.concatenate([found.window, more.window + half]),
        boxes=np.concatenate([found.boxes, more.boxes]),
        score=np.concatenate([found.score, more.score]),
        label=np.concatenate([found.label, more.label]),
        n_invalid=found.n_invalid + more.n_invalid,
    )


def _array(values: Tensor) -> Floats:
    array: Floats = values.float().cpu().numpy()
    return array
