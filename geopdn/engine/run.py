"""One scene from pixels to a result: look, plan, inspect in rounds, merge."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geopdn import __version__
from geopdn.detections import Detections, Reason, RunResult, WindowRecord
from geopdn.engine.overview_pass import SceneMap, look_at_overview
from geopdn.engine.rounds import Seen, advise, fuse, inspect_windows
from geopdn.errors import SceneReadError
from geopdn.geometry.ground import pixel_size
from geopdn.geometry.window import Size, Window
from geopdn.merge import core_array, merge
from geopdn.model.patchdrivenet import DENSE_SIDE, PatchDriveNet
from geopdn.model.weights import LoadedModel
from geopdn.plan import (
    Budget,
    Coverage,
    Planned,
    Spending,
    gamma_poisson,
    pixels_read,
    plan_windows,
    recall_estimate,
    scan,
    scan_is_cheaper,
    scan_kind,
)
from geopdn.scene import PixelSource, Radiometry, Stretch, resolve_stretch
from geopdn.scene.frame import frame_of

ROUNDS = 4
MAX_ROUNDS = 8
FEW_WINDOWS = 24  # plans this small are looked at in one round
RAW_SCORE = 0.05


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands; given to the callback after each window.

    Attributes:
        stage: `overview` or `windows`.
        done: tiles or windows finished.
        total: as planned so far; grows when a round adds windows.
        found: detections so far, before duplicates are removed.
    """

    stage: str
    done: int
    total: int
    found: int


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """How a scene is searched.

    Attributes:
        budget: how much may be spent.
        min_score: lowest score of the result, None for the model's own.
        device: `cpu` or `cuda`.
        drive: what re-weights the unseen after each round: the Gamma-Poisson update, that and the LSTM, or nothing.
        fusion: whether later windows see what earlier ones found.
        strict: raise when a window cannot be read, instead of recording it.
        keep_saliency: put the expected counts into the result.
        scan_with: index of the window kind of a full scan, None for the best by the model's priorities.
    """

    budget: Budget = field(default_factory=lambda: Budget(recall=0.98))
    min_score: float | None = None
    device: str = "cpu"
    drive: str = "gamma-poisson"
    fusion: bool = True
    strict: bool = False
    keep_saliency: bool = False
    scan_with: int | None = None


@dataclass(slots=True, eq=False)
class _Search:
    """The state of one run."""

    source: PixelSource
    net: PatchDriveNet
    stretch: Stretch
    options: DetectOptions
    device: torch.device
    min_score: float
    report: Callable[[Progress], None]
    planned: list[Planned]
    records: list[WindowRecord]
    found: list[Detections]
    total: int = 0

    def look(self, windows: Sequence[Planned], *, reason: Reason, round_: int, grid: torch.Tensor | None) -> list[Seen]:
        """Inspect windows and record them."""
        start = len(self.planned)
        self.planned += windows
        self.total = max(self.total, len(self.planned))
        done = len(self.records)

        def finished(seen: Seen) -> None:
            nonlocal done
            done += 1
            self.n_found += int((seen.detections.score >= self.min_score).sum())
            self.report(Progress("windows", done, self.total, self.n_found))

        seen = inspect_windows(
            [(start + i, item) for i, item in enumerate(windows)],
            source=self.source,
            stretch=self.stretch,
            net=self.net,
            grid=grid,
            device=self.device,
            min_score=min(RAW_SCORE, self.min_score),
            done=finished,
        )
        for item, s in zip(windows, seen, strict=True):
            if s.status == "failed" and self.options.strict:
                raise SceneReadError(s.cause)
            kind = self.net.config.kinds[item.kind].name if reason != "dense" else "dense"
            self.records.append(
                WindowRecord(
                    index=s.index,
                    window=item.window,
                    core=item.core,
                    kind=kind,
                    reason=reason,
                    round=round_,
                    expected=round(item.gain, 4),
                    status=s.status,  # type: ignore[arg-type]
                    cause=s.cause,
                )
            )
            self.found.append(s.detections)
        return seen

    n_found: int = 0


def detect(
    source: PixelSource,
    model: LoadedModel,
    options: DetectOptions | None = None,
    *,
    report: Callable[[Progress], None] = lambda _: None,
    inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None,
) -> RunResult:
    """Search a scene.

    Args:
        source: the scene at the model's pixel size (see `geopdn.scene.resample`).
        model: network and header.
        options: how; the default stops at an expected recall of 0.98.
        report: receives the progress.
        inside: limits the search: given level-0 positions `[N, 2]` (column, row), says which lie in the area of
            interest. Nothing outside is planned for or returned.

    Returns:
        The result; `facts["failures"]` counts windows that could not be read.

    Raises:
        SceneReadError: a window cannot be read and `options.strict` is set.
    """
    options = options or DetectOptions()
    device = torch.device(options.device)
    net = model.net.to(device, memory_format=torch.channels_last).eval()
    stretch = resolve_stretch(source, Radiometry.from_dict(net.config.radiometry.model_dump()))
    min_score = model.header.min_score if options.min_score is None else options.min_score
    search = _Search(source, net, stretch, options, device, min_score, report, [], [], [])
    with torch.inference_mode():
        if source.size.height < DENSE_SIDE and source.size.width < DENSE_SIDE:
            path, estimate, scene_map, coverage = "dense", 1.0, None, None
            search.look([_whole(source.size)], reason="dense", round_=0, grid=None)
        else:
            path, estimate, scene_map, coverage = _drive(search, inside)
    merged = merge(Detections.concatenate(search.found), cores=core_array(search.records), size=source.size)
    detections = merged.detections.take(merged.detections.score >= min_score)
    if inside is not None:
        detections = detections.take(inside(detections.boxes[:, :2]))
    records = _with_counts(search.records, detections)
    failures = sum(record.status == "failed" for record in records)
    if scene_map is not None:
        records, failures = _with_unread(records, scene_map, source.size, failures)
    read = [record.window for record in records if record.status == "read"]
    pixels = pixels_read(read, size=source.size)
    facts: dict[str, Any] = {
        "model": model.header.name,
        "model_digest": model.digest,
        "geopdn": __version__,
        "budget": str(options.budget),
        "config_hash": _config_hash(model, options, min_score),
        "path": path,
        "min_score": min_score,
        "pixel_size_m": net.config.pixel_size_m,
        "overview": "none" if scene_map is None else scene_map.source,
        "overview_statistics": scene_map is not None and scene_map.statistics,
        "stretch": stretch.to_dict(),
        "pixels_total": source.size.area,
        "pixels_read": pixels,
        "share": pixels / source.size.area,
        "n_windows": len(read),
        "n_failed": failures,
        "expected_total": None if coverage is None else round(float(coverage.totals().sum()), 3),
        "estimated_recall": None if estimate is None else round(estimate, 4),
        "duplicates": merged.n_duplicates,
    }
    keep = options.keep_saliency and scene_map is not None
    return RunResult(
        frame=frame_of(source),
        classes=tuple(net.config.classes),
        has_heading=net.config.has_heading,
        detections=detections,
        windows=tuple(records),
        facts=facts,
        saliency=scene_map.rate.sum(0) if keep and scene_map is not None else None,
        cell_px=net.cell_px if keep else 0,
    )


def saliency_of(source: PixelSource, model: LoadedModel, *, device: str = "cpu") -> RunResult:
    """The expected counts alone: no window is looked at."""
    return detect(source, model, DetectOptions(budget=Budget(windows=0), device=device, keep_saliency=True))


def saliency_rates(
    source: PixelSource, model: LoadedModel, *, device: str = "cpu"
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Expected counts by size class `[K, h, w]`, and the cells `[h, w]` that have valid pixels."""
    stretch = resolve_stretch(source, Radiometry.from_dict(model.net.config.radiometry.model_dump()))
    with torch.inference_mode():
        scene_map = look_at_overview(source, model.net.to(device).eval(), stretch=stretch, device=torch.device(device))
    return scene_map.rate, scene_map.valid


def _whole(size: Size) -> Planned:
    side_h, side_w = -(-size.height // 32) * 32, -(-size.width // 32) * 32
    core = Window(0, 0, size.height, size.width)
    return Planned(kind=0, core=core, window=Window(0, 0, side_h, side_w), gain=0.0)


def _drive(
    search: _Search, inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None
) -> tuple[str, float | None, SceneMap, Coverage]:
    """Stages 1 to 4 on a large scene."""
    net, source, budget = search.net, search.source, search.options.budget
    scene_map = look_at_overview(
        source,
        net,
        stretch=search.stretch,
        device=search.device,
        progress=lambda done, total: search.report(Progress("overview", done, total, 0)),
    )
    if inside is not None:
        scene_map.valid &= _cells_inside(inside, scene_map.valid.shape, net.cell_px)
        scene_map.rate *= scene_map.valid
    priorities = net.patch_priorities().double().cpu().numpy()
    coverage = Coverage(scene_map.rate, priorities, kinds=net.config.kinds, cell_px=net.cell_px, size=source.size)
    windows, after = (
        plan_windows(_copy(coverage), budget=budget, spent=Spending()) if not budget.full else ([], Spending())
    )
    if budget.full or (budget.recall is not None and _only_recall(budget) and scan_is_cheaper(after.ms, coverage)):
        best = scan_kind(net.config.kinds, priorities, coverage.totals())
        kind = best if search.options.scan_with is None else search.options.scan_with
        everything = [
            w for w in scan(net.config.kinds, kind, size=source.size) if _has_valid(w, scene_map, net.cell_px)
        ]
        for item in everything:
            coverage.cover(kind, item.core)
        search.look(everything, reason="scan", round_=0, grid=scene_map.grid)
        return "scan", 1.0, scene_map, coverage
    _rounds(search, coverage, scene_map, planned_ms=after.ms, n_planned=len(windows))
    if math.isclose(coverage.reachable(), 0.0):
        return "sparse", None, scene_map, coverage
    return "sparse", recall_estimate(coverage, n_found=search.n_found), scene_map, coverage


def _rounds(search: _Search, coverage: Coverage, scene_map: SceneMap, *, planned_ms: float, n_planned: int) -> None:
    budget, net, options = search.options.budget, search.net, search.options
    spent, state = Spending(), None
    search.total = n_planned
    rounds = 1 if n_planned <= FEW_WINDOWS or options.drive == "static" else ROUNDS
    for round_ in range(MAX_ROUNDS):
        last = round_ >= rounds - 1
        windows, spent = plan_windows(
            coverage,
            budget=budget,
            spent=spent,
            n_found=search.n_found,
            until_ms=None if last else planned_ms / rounds,
        )
        if not windows:
            break
        expected = [coverage.expected_in(item.core) for item in windows]
        seen = search.look(windows, reason="plan", round_=round_, grid=scene_map.grid)
        if options.drive == "static" or rounds == 1:
            break
        if options.fusion:
            scene_map.grid = fuse(scene_map.grid, seen, windows, net=net)
        log_factor = _evidence(search, coverage)
        if options.drive == "lstm":
            advice, state = advise(
                seen,
                windows,
                expected,
                net=net,
                grid=scene_map.grid,
                seen_share=float(coverage.seen.mean()),
                min_score=search.min_score,
                state=state,
            )
            h, w = log_factor.shape
            log_factor = log_factor + np.kron(advice, np.ones((4, 4), np.float32))[:h, :w]
        coverage.redirect(log_factor)


def _evidence(search: _Search, coverage: Coverage) -> NDArray[np.float32]:
    """Gamma-Poisson log ratio of what all windows so far found to what the prior expected there."""
    _, h, w = coverage.prior.shape
    detections = Detections.concatenate(search.found)
    kept = detections.take(detections.score >= search.min_score)
    row = np.clip((kept.boxes[:, 1] // coverage.cell_px).astype(int), 0, h - 1)
    col = np.clip((kept.boxes[:, 0] // coverage.cell_px).astype(int), 0, w - 1)
    found = np.zeros((h, w))
    np.add.at(found, (row, col), 1.0)
    expected = (coverage.prior * coverage.found).sum(0, dtype=np.float64) * coverage.seen
    return gamma_poisson(found, expected)


def _copy(coverage: Coverage) -> Coverage:
    """A coverage in the same state, to plan on without looking."""
    other = Coverage(
        coverage.prior, coverage.priorities, kinds=coverage.kinds, cell_px=coverage.cell_px, size=coverage.size
    )
    other.rate, other.found, other.seen = coverage.rate, coverage.found.copy(), coverage.seen.copy()
    return other


def _only_recall(budget: Budget) -> bool:
    return budget.share is None and budget.windows is None and budget.seconds is None


def _has_valid(item: Planned, scene_map: SceneMap, cell_px: int) -> bool:
    core = item.core
    rows = slice(core.row // cell_px, -(-core.row_stop // cell_px))
    cols = slice(core.col // cell_px, -(-core.col_stop // cell_px))
    return bool(scene_map.valid[rows, cols].any())


def _cells_inside(
    inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]], shape: tuple[int, ...], cell_px: int
) -> NDArray[np.bool_]:
    """Cells of which a corner or the centre lies in the area of interest."""
    h, w = shape
    mask = np.zeros((h, w), np.bool_)
    col = np.arange(w, dtype=np.float64)
    for row in range(h):
        for dy, dx in ((0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1)):
            points = np.stack([(col + dx) * cell_px, np.full(w, (row + dy) * cell_px)], 1)
            mask[row] |= inside(points)
    return mask


def _with_counts(records: Sequence[WindowRecord], detections: Detections) -> list[WindowRecord]:
    found = np.bincount(detections.window, minlength=len(records)) if len(records) else np.zeros(0, int)
    return [replace(record, found=int(found[record.index])) for record in records]


def _with_unread(
    records: list[WindowRecord], scene_map: SceneMap, size: Size, failures: int
) -> tuple[list[WindowRecord], int]:
    """Damage met while the overview was computed, where no window has met it, is recorded as failed windows."""
    known = [record.core for record in records if record.status == "failed"]
    for window, cause in scene_map.unread:
        core = window.at_full_resolution().clip(size)
        if core is None or any(core.intersection(other) for other in known):
            continue
        records.append(
            WindowRecord(
                index=len(records),
                window=core,
                core=core,
                kind="overview",
                reason="scan",
                round=0,
                expected=0.0,
                status="failed",
                cause=cause,
            )
        )
        failures += 1
    return records, failures


def _config_hash(model: LoadedModel, options: DetectOptions, min_score: float) -> str:
    record = {
        "model": model.digest,
        "budget": asdict(options.budget),
        "min_score": min_score,
        "drive": options.drive,
        "fusion": options.fusion,
        "geopdn": __version__,
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def native_pixel_size(source: PixelSource) -> float | None:
    """True ground size of the scene's pixels in metres at its centre, None without a CRS."""
    if source.crs is None:
        return None
    size = pixel_size(source.transform, source.crs, col=source.size.width / 2, row=source.size.height / 2)
    return size.mean_m
