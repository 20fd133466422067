"""The drive: look at the overview, plan, inspect in rounds, re-weight what has not been seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from geopdn.budget import Budget, Spending, window_cost
from geopdn.coverage import Coverage, Planned, scan
from geopdn.detections import Detections, Reason, WindowRecord
from geopdn.engine.beside import Beside
from geopdn.engine.options import DetectOptions, Inside, Progress
from geopdn.engine.overview_pass import SceneMap
from geopdn.engine.reweighting import Brought, Reweighting, Watch
from geopdn.engine.rounds import fuse, inspect_windows
from geopdn.engine.seen import Book, Seen
from geopdn.engine.stage import Stage
from geopdn.errors import SceneReadError
from geopdn.explore import explore
from geopdn.geometry.area import InsidePolygon
from geopdn.ledger import Ledger
from geopdn.merge import core_array, merge
from geopdn.plan import plan_windows, recall_estimate, scan_is_cheaper
from geopdn.rivals import choose

ROUNDS = 12  # that the plan of the start is divided into
MAX_ROUNDS = 36  # the last one is planned to the end
LEAST_A_ROUND = 4  # windows of the first kind's cost
SEED = 4


@dataclass(slots=True, eq=False)
class Search:
    """The state of one run.

    Attributes:
        stage: the scene, what looks at its windows, and what says where.
        options: how it is searched.
        device: where the network runs.
        min_score: lowest score that counts as found.
        keep_score: lowest score of the result.
        report: receives the progress.
        ledger: keeps what windows have brought, None where nothing is kept.
        watch: is shown every round, for the controller to learn from.
        records: windows looked at, by index.
        found: detections of each, in the same order.
        total: windows planned so far.
        n_found: detections that count, duplicates included.
        n_invalid: boxes of a detector that were not finite or had no area.
    """

    stage: Stage
    options: DetectOptions
    device: str
    min_score: float
    keep_score: float
    report: Callable[[Progress], None]
    ledger: Ledger | None = None
    watch: Watch | None = None
    records: list[WindowRecord] = field(default_factory=list)
    found: list[Detections] = field(default_factory=list)
    total: int = 0
    n_found: int = 0
    n_invalid: int = 0

    @property
    def raw_score(self) -> float:
        """Lowest score that is kept for merging again."""
        return min(self.stage.raw_score, self.min_score, self.keep_score)

    def look(
        self,
        windows: Sequence[Planned],
        *,
        reason: Reason,
        round_: int,
        grid: NDArray[np.float16] | None,
        keep_features: bool = False,
    ) -> list[Seen]:
        """Inspect windows and record them.

        Args:
            windows: what to look at.
            reason: why.
            round_: of the search.
            grid: what conditions the head, None without.
            keep_features: give back what the network saw, for fusion and advice: 8 kB a window and more.
        """
        start = done = len(self.records)
        self.total = max(self.total, start + len(windows))

        def finished(seen: Seen) -> None:
            nonlocal done
            done += 1
            self.n_found += int((seen.detections.score >= self.min_score).sum())
            self.report(Progress("windows", done, self.total, self.n_found))

        book = None
        if self.ledger is not None:
            book = Book(self.ledger, round_, self.options.strict, keep_features)
        seen = inspect_windows(
            [(start + i, item) for i, item in enumerate(windows)],
            source=self.stage.source,
            scaling=self.stage.scaling,
            finder=self.stage.finder,
            curves=None if self.stage.net is None else self.stage.net.probabilities,
            grid=grid,
            grid_px=0 if self.stage.net is None else self.stage.net.config.grid_px,
            edge_px=self.stage.edge_px,
            device=self.device,
            min_score=self.raw_score,
            keep_features=keep_features,
            concurrent=self.stage.net is not None,
            n_workers=None if self.options.memory is None else self.options.memory.workers,
            book=book,
            done=finished,
        )
        for item, s in zip(windows, seen, strict=True):
            if s.status == "failed" and self.options.strict:
                raise SceneReadError(s.cause)
            kind = self.stage.kinds[item.kind].name if reason != "dense" else "dense"
            self.records.append(
                WindowRecord(
                    index=s.index,
                    window=item.window,
                    core=item.core,
                    kind=kind,
                    reason=reason,
                    round=round_,
                    expected=round(item.gain, 4),
                    status=s.status,
                    cause=s.cause,
                )
            )
            self.found.append(s.detections)
            self.n_invalid += s.n_invalid
        return seen

    def distinct(self) -> Detections:
        """What has been found and counts, each object once."""
        if not self.found:
            return Detections.empty()
        found = Detections.concatenate(self.found)
        kept = found.take(found.score >= self.min_score)
        return merge(kept, cores=core_array(self.records), size=self.stage.source.size).detections


def drive(search: Search, inside: Inside | None) -> tuple[str, float | None, SceneMap, Coverage]:
    """Stages 1 to 4 on a large scene."""
    stage, budget = search.stage, search.options.budget
    scene_map = stage.survey(lambda done, total: search.report(Progress("overview", done, total, 0)))
    cell_px, size = scene_map.cell_px, stage.source.size
    if search.options.strict and scene_map.unread:
        raise SceneReadError(scene_map.unread[0][1])
    if inside is not None:
        scene_map.valid &= _cells_inside(inside, scene_map.valid.shape, cell_px)
        scene_map.rate *= scene_map.valid
    priorities = stage.priorities
    if search.options.only_kind is not None:
        priorities = priorities * (np.arange(len(priorities)) == search.options.only_kind)[:, None]
    coverage = Coverage(scene_map.rate, priorities, kinds=stage.kinds, cell_px=cell_px, size=size)
    if budget.full:
        kind = _tile_kind(search, coverage)
        everything = [w for w in scan(stage.kinds, kind, size=size) if _has_valid(w, scene_map)]
        for item in everything:
            coverage.cover(kind, item.core)
        search.look(everything, reason="scan", round_=0, grid=scene_map.grid)
        return "scan", 1.0, scene_map, coverage
    if search.options.rule != "coverage":
        kind = _tile_kind(search, coverage)
        windows = choose(search.options.rule, coverage, budget=budget, kind=kind, seed=search.options.seed)
        search.look(windows, reason="plan", round_=0, grid=scene_map.grid)
        return "sparse", recall_estimate(coverage, n_found=len(search.distinct())), scene_map, coverage
    planned_ms = _remainder_ms(coverage, budget, 0)
    only = coverage.scan_kind if budget.only_recall and scan_is_cheaper(planned_ms, coverage) else None
    n_found = _rounds(search, coverage, scene_map, planned_ms=planned_ms, only=only)
    if math.isclose(coverage.reachable(), 0.0):
        return "sparse", None, scene_map, coverage
    return "sparse", recall_estimate(coverage, n_found=n_found), scene_map, coverage


def _rounds(search: Search, coverage: Coverage, scene_map: SceneMap, *, planned_ms: float, only: int | None) -> int:
    """Windows in rounds, each planned on what the earlier ones found.

    Args:
        search: the run.
        coverage: its state.
        scene_map: what the overview says; its grid is fused with what windows see.
        planned_ms: nominal milliseconds of the whole plan, as far as known before the first window.
        only: see `plan_windows`; given up as soon as what is left to do has become little enough.

    Returns:
        Distinct objects found.
    """
    budget, net, options, size = search.options.budget, search.stage.net, search.options, search.stage.source.size
    spent, found = Spending(), Detections.empty()
    static = options.drive == "static"
    fusing = options.fusion and net is not None and scene_map.grid is not None
    reweighting = Reweighting(
        coverage,
        controller=net.controller if net is not None and options.drive == "lstm" else None,
        min_score=search.min_score,
        grid_px=0 if net is None else net.config.grid_px,
        watch=search.watch,
    )
    keep = fusing or reweighting.listens
    explored_ms, rng = 0.0, np.random.default_rng([SEED, size.height, size.width])
    beside = Beside()
    a_round = max(planned_ms / ROUNDS, LEAST_A_ROUND * window_cost(search.stage.kinds[0]))
    for round_ in range(MAX_ROUNDS):
        if round_ and only is not None and not scan_is_cheaper(_remainder_ms(coverage, budget, len(found)), coverage):
            only = None
        windows, spent = plan_windows(
            coverage,
            budget=budget,
            spent=spent,
            n_found=len(found),
            until_ms=None if static or round_ == MAX_ROUNDS - 1 else a_round,
            only=only,
        )
        if not windows:
            break
        search.total = max(search.total, round(spent.windows * planned_ms / max(spent.ms, 1e-9)))
        expected = [coverage.expected_in(item.core) for item in windows]
        beside.wait()
        seen = search.look(windows, reason="plan", round_=round_, grid=scene_map.grid, keep_features=keep)
        if budget.recall is not None and options.explore and not static:
            extra, after = explore(coverage, budget=budget, spent=spent, explored_ms=explored_ms, rng=rng)
            explored_ms, spent = explored_ms + after.ms - spent.ms, after
            expected += [coverage.expected_in(item.core) for item in extra]
            seen += search.look(extra, reason="explore", round_=round_, grid=scene_map.grid, keep_features=keep)
            windows = windows + extra
        found = search.distinct()
        if static:
            break
        factors = reweighting.heard(Brought(seen, windows, expected, found), scene_map.grid)
        if fusing and net is not None and scene_map.grid is not None:
            beside.begin(partial(fuse, scene_map.grid, seen, windows, net=net))
        coverage.redirect(factors())
    beside.wait()
    return len(found)


def _remainder_ms(coverage: Coverage, budget: Budget, n_found: int) -> float:
    """Nominal milliseconds of the windows that would be planned from here, to the end."""
    return plan_windows(coverage.copy(), budget=budget, spent=Spending(), n_found=n_found)[1].ms


def _tile_kind(search: Search, coverage: Coverage) -> int:
    """The kind of window that tiles the scene: as the options say, else the best."""
    return coverage.scan_kind if search.options.scan_with is None else search.options.scan_with


def _has_valid(item: Planned, scene_map: SceneMap) -> bool:
    core, cell_px = item.core, scene_map.cell_px
    rows = slice(core.row // cell_px, -(-core.row_stop // cell_px))
    cols = slice(core.col // cell_px, -(-core.col_stop // cell_px))
    return bool(scene_map.valid[rows, cols].any())


def _cells_inside(inside: Inside, shape: tuple[int, ...], cell_px: int) -> NDArray[np.bool_]:
    """Cells of which a corner or the centre lies in the area of interest, or that its edge runs through."""
    h, w = shape
    mask = inside.edge_cells(shape, cell_px) if isinstance(inside, InsidePolygon) else np.zeros((h, w), np.bool_)
    col = np.arange(w, dtype=np.float64)
    for row in range(h):
        for dy, dx in ((0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1)):
            points = np.stack([(col + dx) * cell_px, np.full(w, (row + dy) * cell_px)], 1)
            mask[row] |= inside(points)
    return mask
