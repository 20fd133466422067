"""Windows seen several ways round: flipped and turned copies whose maps are averaged (test-time augmentation).

From above nothing is upright: a network that has learnt from few objects sees one of them one way round and misses it
another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from geopdn.model.head import HeadMaps

LEAST = 1e-4  # of a score: where no view sees anything, boxes are their plain mean


@dataclass(frozen=True, slots=True)
class View:
    """A window with its rows, its columns or both in reverse order."""

    flip_rows: bool
    flip_cols: bool

    def of(self, x: Tensor) -> Tensor:
        """`[..., h, w]`, seen this way round; its own inverse."""
        axes = [axis for axis, flip in ((-2, self.flip_rows), (-1, self.flip_cols)) if flip]
        return x.flip(axes) if axes else x

    def back(self, maps: HeadMaps) -> HeadMaps:
        """Maps of this view as those of the window as it is: offsets and directions are reversed with the axes."""
        x, y = (-1.0 if flip else 1.0 for flip in (self.flip_cols, self.flip_rows))
        signs = maps.regression.new_tensor([x, y, 1, 1, 1, x * y])[:, None, None]  # cos 2t stays, sin 2t follows both
        return HeadMaps(logits=self.of(maps.logits), regression=self.of(maps.regression) * signs)


VIEWS = (View(False, False), View(True, True), View(True, False), View(False, True))
"""As it is, turned by half a turn, and the two mirror images: a model looks at the first one, two or four."""


def averaged(windows: Tensor, n: int, look: Callable[[Tensor], HeadMaps], *, first: HeadMaps) -> HeadMaps:
    """Maps of windows seen n ways round.

    Scores are means; of a box each view says as much as its score at that position.

    Args:
        windows: `[n, C, s, s]`.
        n: 1, 2 or 4 of `VIEWS`.
        look: raw maps of windows.
        first: those of the windows as they are.
    """
    if n == 1:
        return first
    seen = [first, *(view.back(look(view.of(windows))) for view in VIEWS[1:n])]
    scores = torch.stack([torch.sigmoid(maps.logits) for maps in seen])  # [n, windows, classes, h, w]
    weights = scores.amax(2, keepdim=True) + LEAST
    regression = (weights * torch.stack([maps.regression for maps in seen])).sum(0) / weights.sum(0)
    logs = torch.stack([-F.softplus(-maps.logits) for maps in seen])  # of scores; scores themselves lack digits
    others = torch.stack([-F.softplus(maps.logits) for maps in seen])  # of what they lack to 1
    return HeadMaps(logits=_log_sum(logs) - _log_sum(others), regression=regression)


def _log_sum(logs: Tensor) -> Tensor:
    """Logarithm of the sum over the first axis of what these are the logarithms of."""
    top = logs.amax(0)
    return top + (logs - top).exp().sum(0).log()
