"""A batch that does not fit the memory of a GPU is looked at in halves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geopdn.errors import ResourceLimitError
from geopdn.model.head import Decoded
from geopdn.model.streams import PatchFeatures

if TYPE_CHECKING:
    from geopdn.engine.stage import Finder

Found = tuple[PatchFeatures | None, Decoded]


def find_in_halves(finder: Finder, windows: Tensor, context: Tensor | None, *, min_score: float) -> Found:
    """`Finder.find`, on halves of the batch where the device has no memory for the whole, and on halves of those.

    Raises:
        ResourceLimitError: a single window does not fit.
    """
    try:
        return finder.find(windows, context, min_score=min_score)
    except torch.OutOfMemoryError as error:
        if len(windows) == 1:
            raise ResourceLimitError(
                f"a window of {windows.shape[-2]} x {windows.shape[-1]} px does not fit the memory of "
                f"{windows.device}: use --device cpu, or free the GPU"
            ) from error
    torch.cuda.empty_cache()  # here, where the failed batch's tensors are no longer held by the exception
    half = len(windows) // 2
    parts = [
        find_in_halves(finder, windows[part], None if context is None else context[part], min_score=min_score)
        for part in (slice(None, half), slice(half, None))
    ]
    return _joined(*parts, first=half)


def _joined(one: Found, two: Found, *, first: int) -> Found:
    """The answers for two halves as that for the whole; `first` windows are in the first."""
    (features, found), (others, more) = one, two
    together = None
    if features is not None and others is not None:
        together = PatchFeatures(
            head=torch.cat([features.head, others.head]),
            tokens=torch.cat([features.tokens, others.tokens]),
            pooled=torch.cat([features.pooled, others.pooled]),
        )
    return together, Decoded(
        window=torch.cat([found.window, more.window + first]),
        boxes=torch.cat([found.boxes, more.boxes]),
        score=torch.cat([found.score, more.score]),
        label=torch.cat([found.label, more.label]),
        n_invalid=found.n_invalid + more.n_invalid,
    )
