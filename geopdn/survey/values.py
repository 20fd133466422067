"""What the pixels of the scenes are: bands that all have, pixel size, and how stored values are scaled."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from geopdn.errors import BandError, GeoreferenceError
from geopdn.scene import Radiometry, Scene, resolve_stretch, select_bands
from geopdn.scene.resample import MAX_RATIO, TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from geopdn.survey.survey import SurveyedScene

SAME_SIZE = 1.02
"""Pixel sizes within this factor are called the same."""
SAMPLED_SCENES = 6
"""Scenes whose values are looked at; each costs a pass over the pixels where it has no overviews."""
LOW_PERCENT, HIGH_PERCENT = 1.0, 99.5
ALIKE = 3.0
"""Scenes whose upper limits differ by less than this factor share fixed limits: cloud alone makes as much of it."""
BAND_NAME = r"[A-Za-z0-9][A-Za-z0-9 _.+-]{0,59}"


@dataclass(frozen=True, slots=True)
class Values:
    """How pixels are read; `*_reason` say why, in one sentence each.

    Attributes:
        bands: names, or numbers from 1, that every scene has.
        bands_reason: why these.
        pixel_size_m: true ground size.
        pixel_reason: why this.
        radiometry: how stored values are scaled.
        radiometry_reason: why so.
    """

    bands: tuple[str, ...]
    bands_reason: str
    pixel_size_m: float
    pixel_reason: str
    radiometry: Radiometry
    radiometry_reason: str


def look_at_values(scenes: Sequence[SurveyedScene], *, bands: Sequence[str] | None = None) -> Values:
    """Choose bands, pixel size and radiometry.

    Args:
        scenes: surveyed scenes, at least one.
        bands: names or numbers of the bands to use; None takes those that all scenes have.

    Raises:
        BandError: the scenes have no band in common, or lack one that is asked for.
        GeoreferenceError: pixel sizes differ by more than can be resampled.
    """
    paths = [scene.path for scene in scenes]
    chosen, bands_reason = _bands(paths, bands)
    size, pixel_reason = _pixel_size(scenes)
    radiometry, reason = _radiometry(paths, chosen)
    return Values(chosen, bands_reason, size, pixel_reason, radiometry, reason)


def _bands(paths: Sequence[Path], wanted: Sequence[str] | None) -> tuple[tuple[str, ...], str]:
    common: list[str] = []
    for path in paths:
        with Scene.open(path, bands=wanted) as scene:
            names = [
                name if re.fullmatch(BAND_NAME, name) else str(n) for n, name in enumerate(scene.all_band_names, 1)
            ]
            usable = [names[number - 1] for number in scene.band_indexes]
            here = scene.all_band_names
        common = usable if path == paths[0] else [name for name in common if _has(here, name)]
        if not common:
            raise BandError(
                f"{path.name} has the bands [{', '.join(here)}] and shares none with {paths[0].name}: "
                "name those to use with --bands"
            )
    if wanted is not None:
        return tuple(wanted), "as asked for"
    return tuple(common), "those that every scene has, by their names or numbers"


def _has(names: Sequence[str], wanted: str) -> bool:
    try:
        select_bands(names, [wanted])
    except BandError:
        return False
    return True


def _pixel_size(scenes: Sequence[SurveyedScene]) -> tuple[float, str]:
    each = np.array([scene.pixel_m for scene in scenes])
    size = float(np.median(each))
    size = round(size, 2 - math.floor(math.log10(size)))
    off = np.maximum(each / size, size / each)
    if off.max() > MAX_RATIO:
        odd = scenes[int(off.argmax())]
        raise GeoreferenceError(
            f"{odd.path.name} has pixels of {odd.pixel_m:.3g} m, most scenes of {size:g} m: they cannot be learnt from "
            f"together (a factor of {MAX_RATIO:g} at most), configure them apart"
        )
    if off.max() > SAME_SIZE:
        after = "some scenes are resampled" if off.max() > TOLERANCE else "near enough to be read as they are"
        return size, f"the middle of {each.min():.3g} to {each.max():.3g} m on the ground; {after}"
    return size, "the scenes' own, on the ground"


def _radiometry(paths: Sequence[Path], bands: Sequence[str]) -> tuple[Radiometry, str]:
    """Fixed limits where the scenes are alike, percentiles of each scene where they are not."""
    with_type = {}
    for path in paths:
        with Scene.open(path, bands=bands) as scene:
            with_type[path] = scene.dtype.name
    types = sorted(set(with_type.values()))
    if types == ["uint8"]:
        return Radiometry("fixed", (0.0,), (255.0,), ("uint8",)), "8-bit pictures, as they are"
    percentile = Radiometry("percentile", (LOW_PERCENT,), (HIGH_PERCENT,))
    step = -(-len(paths) // SAMPLED_SCENES)
    limits = []
    for path in paths[::step]:
        with Scene.open(path, bands=bands) as scene:
            limits.append(resolve_stretch(scene, percentile))
    lows, highs = np.array([one.low for one in limits]), np.array([one.high for one in limits])  # [scenes, bands]
    tops = highs.max(1)
    span = f"{len(limits)} scenes reach {tops.min():.4g} to {tops.max():.4g} ({HIGH_PERCENT:g} % of the pixels)"
    if len(types) > 1 or len(limits) < 2 or tops.min() <= 0 or tops.max() > ALIKE * tops.min():
        why = f"the scenes' values are of {' and '.join(types)}" if len(types) > 1 else span
        return Radiometry("percentile", (LOW_PERCENT,), (HIGH_PERCENT,)), f"of each scene by itself: {why}"
    low, high = min(0.0, _nice(float(lows.min()))), _nice(float(np.median(tops)))
    return Radiometry("fixed", (low,), (high,), tuple(types)), f"{span}: the middle one for all"


def _nice(value: float) -> float:
    """The next number of two digits away from zero."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{math.copysign(math.ceil(abs(value) / unit) * unit, value):.3g}")
