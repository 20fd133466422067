"""Which places to hold out: scenes of one place by name or position stay together, every class on every side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geopdn.evaluate.places import place_of
from geopdn.survey.footprints import SHARED_AREA, neighbours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geopdn.survey.survey import SurveyedScene

EACH_SCENE = r"^(.+)$"
# Names are read as PLACE_NUMBER or PLACE-DATE, from the longest place to the shortest.
NAME_PATTERNS = (r"^(.+)[_-][0-9]+[A-Za-z]*$", r"^([A-Za-z]+[0-9]*)[_-]", r"^(.+?)[_-]")
# Scenes with a smaller gap between them, as a share of a scene's side, look alike: one field, one harbour.
NEAR = 0.5
FEWEST_PLACES = 3
VALIDATION_SHARE, CALIBRATION_SHARE = 0.2, 0.15


@dataclass(frozen=True, slots=True)
class Split:
    """A proposed split.

    Attributes:
        pattern: regular expression that takes the place out of a scene's name (`SceneLabels.place`).
        places: the place of each scene.
        validation: places that are only scored.
        calibration: places that are only calibrated on.
        reason: why these are the places, one sentence.
    """

    pattern: str
    places: tuple[str, ...]
    validation: tuple[str, ...]
    calibration: tuple[str, ...]
    reason: str

    def side_of(self, place: str) -> str:
        """`train`, `calibration` or `validation`."""
        return "validation" if place in self.validation else "calibration" if place in self.calibration else "train"

    @property
    def sides(self) -> list[str]:
        """The side of each scene."""
        return [self.side_of(place) for place in self.places]


def propose_split(scenes: Sequence[SurveyedScene]) -> Split:
    """Hold out about a fifth of the objects for validation and a seventh for calibration, in whole places.

    Scenes whose names say so are of one place, and so are scenes that lie side by side, as long as three places are
    left; scenes that overlap always are.

    Args:
        scenes: surveyed scenes, at least one.
    """
    pattern, named, groups, reason = _groups(scenes)
    counts = np.array([scene.counts for scene in scenes])
    members = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    each = np.array([[*counts[index].sum(0), len({named[i] for i in index.tolist()})] for index in members])
    taken = _hold_out(each)
    validation, calibration = (
        tuple(sorted({named[i] for group in side for i in members[group].tolist()})) for side in taken
    )
    return Split(pattern, tuple(named), validation, calibration, reason)


def _groups(scenes: Sequence[SurveyedScene]) -> tuple[str, list[str], NDArray[np.int64], str]:
    """The pattern, the place of each scene, the group of places that stay together, and the reason."""
    stems = [scene.path.stem for scene in scenes]
    near = neighbours(scenes, within=NEAR)
    overlapping = near.shared > SHARED_AREA
    patterns = [pattern for pattern in NAME_PATTERNS if _groups_names(pattern, stems)]
    links = ((np.ones(len(overlapping), np.bool_), "lie side by side"), (overlapping, "overlap"))
    for pattern in (*patterns, EACH_SCENE):
        named = [place_of(stem, pattern) for stem in stems]
        for linked, how in links:
            groups = _joined(named, near.first[linked], near.second[linked])
            if groups.max() + 1 < FEWEST_PLACES:
                continue
            reason = "each scene is a place" if pattern == EACH_SCENE else "scenes whose names begin alike are a place"
            if linked.any():
                reason += f"; places that {how} stay on one side"
            if not linked.all():
                reason += "; neighbours may lie on two sides, so scores flatter a little"
            return pattern, named, groups, reason
    named = list(stems)
    groups = _joined(named, near.first[overlapping], near.second[overlapping])
    n = int(groups.max()) + 1
    return EACH_SCENE, named, groups, f"the scenes show {n} separate place{'s' if n > 1 else ''}: label more places"


def _groups_names(pattern: str, stems: Sequence[str]) -> bool:
    """Whether a pattern fits all names and makes fewer, but at least three places of them."""
    if not all(re.search(pattern, stem) for stem in stems):
        return False
    return FEWEST_PLACES <= len({place_of(stem, pattern) for stem in stems}) < len(stems)


def _joined(named: Sequence[str], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """`[N]` group of each scene: of one name, or linked by a pair."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    _, name = np.unique(named, return_inverse=True)
    size = int(name.max()) + 1
    links = coo_matrix((np.ones(len(first)), (name[first], name[second])), shape=(size, size))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)[name]


def _hold_out(each: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    """Groups for validation and for calibration: about their shares of every class and of the places.

    Args:
        each: `[groups, classes + 1]` objects of each class, and places.
    """
    total = np.maximum(each.sum(0), 1)
    free = {group for group in range(len(each)) if each[group, :-1].sum()}
    sides: list[list[int]] = [[], []]
    for side, share in zip(sides, (VALIDATION_SHARE, CALIBRATION_SHARE), strict=True):
        have = np.zeros(each.shape[1])
        while len(free) > 1 and len(side) < max(1, len(each) // 4):
            best = min(sorted(free), key=lambda group: float(np.abs((have + each[group]) / total - share).sum()))
            better = np.abs((have + each[best]) / total - share).sum() < np.abs(have / total - share).sum()
            if side and not better:
                break
            side.append(best)
            free.discard(best)
            have = have + each[best]
    return sides[0], sides[1]
