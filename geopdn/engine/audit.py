"""The audit of a search: windows drawn at random from what was not selected, and what they say of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.audit import draw_units, estimate_missed
from geopdn.coverage import Coverage, scan
from geopdn.engine.drive import Search
from geopdn.engine.options import Inside
from geopdn.engine.overview_pass import SceneMap

SEED = 20


def audit(search: Search, coverage: Coverage, scene_map: SceneMap, *, n: int, inside: Inside | None) -> dict[str, Any]:
    """Look at `n` windows of what no window covered and estimate what the rest of it holds.

    Args:
        search: the run, after its drive; what the audit finds is added to it.
        coverage: its state.
        scene_map: what the overview says.
        n: windows to draw.
        inside: area of interest, see `detect`.

    Returns:
        Facts: windows drawn and left, objects found in them, `missed` in the rest with `low` and `high` of a 95 %
        interval. Objects in covered places that the network did not see are not part of it.
    """
    unseen = ~coverage.seen & scene_map.valid
    kind = coverage.scan_kind
    units = [item for item in scan(coverage.kinds, kind, size=coverage.size) if unseen[coverage.cells(item.core)].any()]
    strata = draw_units(np.array([coverage.gain(kind, item.core) for item in units]), n, rng=_rng(search))
    drawn = [units[i] for stratum in strata for i in stratum.drawn]
    first = len(search.records)
    if drawn:
        search.look(
            drawn, reason="audit", round_=search.records[-1].round + 1 if search.records else 0, grid=scene_map.grid
        )
    counts = _counts(search, coverage, first=first, unseen=unseen, inside=inside)
    ends = np.cumsum([len(stratum.drawn) for stratum in strata])[:-1]
    result = estimate_missed(strata, [part.astype(np.float64) for part in np.split(counts, ends)] if strata else [])
    return {
        "windows": len(drawn),
        "left": len(units) - len(drawn),
        "found": int(counts.sum()),
        "missed": round(result.missed, 2),
        "low": round(result.low, 2),
        "high": round(result.high, 2),
    }


def nothing_left() -> dict[str, Any]:
    """The audit of a run that looked everywhere."""
    return {"windows": 0, "left": 0, "found": 0, "missed": 0.0, "low": 0.0, "high": 0.0}


def _rng(search: Search) -> np.random.Generator:
    """The same scene audited twice draws the same windows."""
    size = search.stage.source.size
    return np.random.default_rng([SEED, size.height, size.width])


def _counts(
    search: Search, coverage: Coverage, *, first: int, unseen: NDArray[np.bool_], inside: Inside | None
) -> NDArray[np.int64]:
    """Objects `[n_drawn]` that only the audit's windows found, in cells that nothing had covered."""
    found = search.distinct()
    found = found.take(found.window >= first)
    keep = unseen[coverage.cell_of(found.boxes)]
    if inside is not None:
        keep &= inside(found.boxes[:, :2])
    return np.bincount(found.window[keep] - first, minlength=len(search.records) - first)
