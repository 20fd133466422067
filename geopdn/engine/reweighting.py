"""After each round: what has not been seen is re-weighted by what was found.

First by the evidence (`geopdn.evidence`), then, where the weights have a controller that has learnt, by its advice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geopdn.coverage import Coverage, Planned
from geopdn.detections import Detections
from geopdn.engine.grid import places_of, sampled
from geopdn.engine.seen import Seen
from geopdn.evidence import Evidence, Strata, log_evidence, strata_of
from geopdn.model.advice import Advice, Controller, DriveState, Told

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Brought:
    """What a round of windows brought.

    Attributes:
        seen: records, by index.
        planned: their windows, in the same order.
        expected: objects that were expected in them when they were planned.
        distinct: what has been found and counts, over all rounds, each object once.
    """

    seen: Sequence[Seen]
    planned: Sequence[Planned]
    expected: Sequence[float]
    distinct: Detections


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """A round as the controller learns from it. The grid is a copy; log factors and coverage change after the call.

    Attributes:
        told: what it is told, None where no window was read.
        grid: `[G, h, w]` the global grid as the windows saw it.
        log_factor: `[h, w]` what the evidence alone says of the rates.
        coverage: what was looked at; its rates are those before the round.
    """

    told: Told | None
    grid: NDArray[np.float16]
    log_factor: Floats
    coverage: Coverage


Watch = Callable[[Turn], None]


class Reweighting:
    """What one search makes of its rounds: log factors on the rates of what has not been seen.

    Args:
        coverage: its state.
        controller: is asked, None for the evidence alone.
        min_score: lowest score that counts as found.
        grid_px: side of the grid's cells in level-0 pixels.
        watch: is shown every round.
    """

    def __init__(
        self,
        coverage: Coverage,
        *,
        controller: Controller | None,
        min_score: float,
        grid_px: int,
        watch: Watch | None = None,
    ) -> None:
        self._coverage, self._controller, self._watch = coverage, controller, watch
        self._min_score, self._grid_px = min_score, grid_px
        self._strata: Strata | None = None
        self._state: DriveState | None = None

    @property
    def listens(self) -> bool:
        """Whether it needs the features of windows."""
        return self._controller is not None or self._watch is not None

    def heard(self, brought: Brought, grid: NDArray[np.float16] | None) -> Callable[[], Floats]:
        """Take in a round.

        Args:
            brought: by its windows.
            grid: `[G, h, w]` as they saw it; it may change as soon as this returns.

        Returns:
            Works out the log factors `[h, w]` on the rates of the cells.
        """
        told = None if grid is None or not self.listens else self._told(brought, grid)
        advice, like = None, None
        if self._controller is not None and told is not None and grid is not None:
            advice, self._state = self._controller.advise(told, self._state)
            like = advice.likeness(grid)
        as_seen = grid.copy() if grid is not None and self._watch is not None else None

        def factors() -> Floats:
            log_factor = self._evidence(brought.distinct)
            if self._watch is not None and as_seen is not None:
                self._watch(Turn(told, as_seen, log_factor, self._coverage))
            if advice is not None and like is not None:
                self._heed(advice, like, log_factor)
            return log_factor

        return factors

    def _told(self, brought: Brought, grid: NDArray[np.float16]) -> Told | None:
        """What the controller is told, None where no window was read."""
        rows = [k for k, s in enumerate(brought.seen) if s.pooled is not None]
        if not rows:
            return None
        seen, coverage = [brought.seen[k] for k in rows], self._coverage
        places = places_of([brought.planned[k] for k in rows])
        return Told(
            pooled=np.stack([s.pooled for s in seen if s.pooled is not None]),
            context=sampled(grid, places, grid_px=self._grid_px),
            found=np.array([(s.detections.score >= self._min_score).sum() for s in seen], np.float32),
            expected=np.array([brought.expected[k] for k in rows], np.float32),
            extent=places[:, 2] / np.float32(self._grid_px),
            seen_share=float(coverage.seen.mean()),
            n_found=len(brought.distinct),
            left=coverage.left(),
            n_cells=coverage.seen.size,
        )

    def _evidence(self, distinct: Detections) -> Floats:
        """What all windows so far found against what the prior expected there, as log factors on the unseen."""
        coverage = self._coverage
        if self._strata is None:
            self._strata = _strata(coverage)
        strata = self._strata
        row, col = coverage.cell_of(distinct.boxes)

        def part(rows: slice) -> Evidence:
            found = np.zeros(strata[rows].shape)
            mine = (row >= rows.start) & (row < rows.stop)
            np.add.at(found, (row[mine] - rows.start, col[mine]), 1.0)
            return Evidence(found, coverage.hoped_in(rows), strata[rows], coverage.seen[rows])

        return log_evidence(part, list(coverage.strips()))

    def _heed(self, advice: Advice, likeness: Floats, log_factor: Floats) -> None:
        """Add an advice to the log factors of the evidence, in strips."""
        coverage = self._coverage
        cells = self._grid_px // coverage.cell_px
        cols = np.minimum(np.arange(log_factor.shape[1]) // cells, likeness.shape[1] - 1)
        for rows in coverage.strips():
            lines = np.minimum(np.arange(rows.start, rows.stop) // cells, likeness.shape[0] - 1)
            rate = coverage.prior[:, rows].sum(0) * np.exp(log_factor[rows])
            log_factor[rows] += advice.heeded(likeness[lines][:, cols], rate)


def _strata(coverage: Coverage) -> Strata:
    """Strata `[h, w]` of the prior rates, in strips."""
    parts = [strata_of(coverage.prior[:, rows].sum(0, dtype=np.float64)) for rows in coverage.strips()]
    return np.concatenate(parts)
