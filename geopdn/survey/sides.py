"""Whether the sides of a split can be learnt from and believed: scenes, objects and ground of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geopdn.survey.footprints import SHARED_AREA, neighbours
from geopdn.survey.problems import Problem, counted, few

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from geopdn.survey.survey import SurveyedScene

TRAIN = "train"
HELD_OUT = ("calibration", "validation")
# Fewer objects of a class have not been tried; 92 reached AP 0.38 (docs/experiments.md, run 14).
FEW_OBJECTS = 50


def side_problems(scenes: Sequence[SurveyedScene], sides: Sequence[str], classes: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with a split.

    Args:
        scenes: surveyed scenes.
        sides: for each scene `train`, `calibration` or `validation`.
        classes: names of the classes.

    Yields:
        An error where nothing is left to learn from; else warnings.
    """
    counts = {side: _counts(scenes, sides, side, n=len(classes)) for side in (TRAIN, *HELD_OUT)}
    if not counts[TRAIN].sum():
        text = f"none of the {counted(sides.count(TRAIN), 'training scene')} shows a labelled object"
        yield Problem(f"{text}: check labels and scenes, or hold out other places", is_error=True)
        return
    bare = [scene.path.name for scene in scenes if not len(scene.truth)]
    if bare:
        yield Problem(
            f"{len(bare)} of {len(scenes)} scenes show no labelled object, learnt as empty ground: {few(bare)}"
        )
    for index, name in enumerate(classes):
        n = int(counts[TRAIN][index])
        if n < FEW_OBJECTS:
            text = f"class {name!r} has {counted(n, 'object')} in the training scenes"
            yield Problem(f"{text}: expect little under {FEW_OBJECTS}; label more, or join classes")
        for side in HELD_OUT:
            if side in sides and n and not counts[side][index]:
                what = "is not scored" if side == "validation" else "is not calibrated"
                yield Problem(f"class {name!r} has no object in the {side} places and {what} there")
    for side, what in (("validation", "scores"), ("calibration", "thresholds")):
        if side not in sides:
            yield Problem(f"no place is held out for {side}: {what} will be those of ground that was trained on")
    yield from _shared_ground(scenes, sides)


def _counts(scenes: Sequence[SurveyedScene], sides: Sequence[str], side: str, *, n: int) -> np.ndarray:
    """Objects `[n]` of each class on one side."""
    return sum((s.counts for s, of in zip(scenes, sides, strict=True) if of == side), np.zeros(n, np.int64))


def _shared_ground(scenes: Sequence[SurveyedScene], sides: Sequence[str]) -> Iterator[Problem]:
    """Scenes of two sides that show the same ground."""
    near = neighbours(scenes)
    both = [
        (share, a, b)
        for a, b, share in zip(near.first.tolist(), near.second.tolist(), near.shared.tolist(), strict=True)
        if share > SHARED_AREA and sides[a] != sides[b]
    ]
    if both:
        share, a, b = max(both)
        pair = " and ".join(f"{scenes[k].path.name} ({sides[k]})" for k in (a, b))
        more = f", and {len(both) - 1} more pairs of scenes do" if len(both) > 1 else ""
        text = f"{pair} share {share:.0%} of their ground{more}: scores will be too good"
        yield Problem(f"{text}; put scenes of one place on one side")
