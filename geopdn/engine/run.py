"""One scene from pixels to a result: look, plan, inspect in rounds, merge."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn import __version__
from geopdn.budget import Budget, pixels_read
from geopdn.config import DENSE_SIDE
from geopdn.coverage import Coverage, Planned
from geopdn.detections import OVERVIEW_KIND, Detections, RunResult, WindowRecord
from geopdn.engine.audit import audit, nothing_left
from geopdn.engine.dates import dates_of
from geopdn.engine.drive import Search, drive
from geopdn.engine.options import DetectOptions, Inside, Progress
from geopdn.engine.overview_pass import SceneMap, look_at_overview
from geopdn.engine.stage import Stage, TileProgress
from geopdn.errors import ConfigError
from geopdn.geometry.window import Size, Window
from geopdn.ledger import Ledger
from geopdn.memory import MemoryPlan
from geopdn.merge import MergeRule, decide
from geopdn.model.network import network_of
from geopdn.model.weights import LoadedModel
from geopdn.scene import PixelSource, Radiometry, resolve_stretch
from geopdn.scene.frame import frame_of

RAW_PROBABILITY = 0.001  # lowest that is kept for merging again


def detect(
    source: PixelSource,
    model: LoadedModel,
    options: DetectOptions | None = None,
    *,
    report: Callable[[Progress], None] = lambda _: None,
    inside: Inside | None = None,
    ledger: Ledger | None = None,
    previous: Sequence[PixelSource] = (),
) -> RunResult:
    """Search a scene.

    Args:
        source: the scene at the model's pixel size (see `geopdn.scene.resample`).
        model: network and header.
        options: how; the default stops at an expected recall of 0.98.
        previous: earlier dates of the same ground, in the model's bands, on any grid: what they show tells the network
            better where to look.
        report: receives the progress.
        inside: limits the search: given level-0 positions `[N, 2]` (column, row), says which lie in the area of
            interest. Nothing outside is planned for or returned.
        ledger: keeps what windows have brought; those that it holds from an earlier run are not looked at again, and
            the result is the same as without.

    Returns:
        The result; `facts["n_failed"]` counts windows that could not be read.

    Raises:
        ConfigError: there are earlier dates and the model has learnt nothing from any.
        LedgerError: the ledger is of another run, or damaged.
        SceneError: an earlier date is not one of this ground.
        SceneReadError: a window cannot be read and `options.strict` is set.
    """
    options = options or DetectOptions()
    stage = own_stage(
        source,
        model,
        device=options.device,
        statistics=options.statistics,
        memory=options.memory,
        previous=previous,
    )
    return run_stage(stage, options, report=report, inside=inside, ledger=ledger)


def own_stage(
    source: PixelSource,
    model: LoadedModel,
    *,
    device: str = "cpu",
    statistics: bool = True,
    memory: MemoryPlan | None = None,
    previous: Sequence[PixelSource] = (),
) -> Stage:
    """The model's own high-resolution stage, on the scene at the model's pixel size.

    Args:
        source: the scene.
        model: network and header.
        device: where the network runs.
        statistics: see `DetectOptions`.
        memory: likewise.
        previous: earlier dates, see `detect`.
    """
    require_dates(model, previous)
    net = network_of(model, device=device, dates=bool(previous))
    radiometry = Radiometry.from_dict(net.config.radiometry.model_dump())
    stretch = resolve_stretch(source, radiometry)
    dates = dates_of(source, previous, radiometry=radiometry)
    names: dict[str, Any] = {"model": model.header.name, "model_digest": model.digest, "runtime": net.runtime}
    if dates:
        names["previous"] = [date.source.name for date in dates]

    def survey(progress: TileProgress) -> SceneMap:
        return look_at_overview(
            source,
            net,
            stretch=stretch,
            progress=progress,
            statistics=statistics,
            memory=memory,
            dates=dates,
        )

    return Stage(
        source=source,
        scaling=stretch,
        finder=net,
        kinds=net.config.kinds,
        priorities=net.priorities,
        survey=survey,
        classes=tuple(net.config.classes),
        has_heading=net.config.has_heading,
        min_score=model.header.min_score,
        raw_score=RAW_PROBABILITY,
        pixel_size_m=net.config.pixel_size_m,
        stretch=stretch.to_dict(),
        names=names,
        net=net,
        dense=source.size.height < DENSE_SIDE and source.size.width < DENSE_SIDE,
    )


def require_dates(model: LoadedModel, previous: Sequence[PixelSource]) -> None:
    """Refuse earlier dates where a model can make nothing of them.

    Raises:
        ConfigError: it has learnt nothing from any.
    """
    if previous and not model.header.model.dates:
        raise ConfigError(
            f"the model {model.header.name} has learnt nothing from earlier dates: leave {previous[0].name} out, or "
            "train it with dates of your own (docs/own-data.md)"
        )


def run_stage(
    stage: Stage,
    options: DetectOptions,
    *,
    report: Callable[[Progress], None],
    inside: Inside | None,
    ledger: Ledger | None = None,
) -> RunResult:
    """`detect`, whatever looks at the windows.

    Args:
        stage: the scene, what looks at it, and what says where.
        options: how it is searched.
        report: receives the progress.
        inside: area of interest, see `detect`.
        ledger: see `detect`.
    """
    source = stage.source
    min_score = stage.min_score if options.min_score is None else options.min_score
    keep_score = min_score if options.keep_score is None else options.keep_score
    search = Search(stage, options, options.device, min_score, keep_score, report, ledger)
    if ledger is not None:
        ledger.begin(_ledger_record(stage, options, min_score))
    estimate: float | None = 1.0
    scene_map: SceneMap | None = None
    coverage: Coverage | None = None
    if stage.dense:
        path = "dense"
        search.look([_whole(source.size, level=stage.kinds[0].level)], reason="dense", round_=0, grid=None)
    else:
        path, estimate, scene_map, coverage = drive(search, inside)
    audited: dict[str, Any] | None = None
    if options.audit and path == "sparse" and scene_map is not None and coverage is not None:
        audited = audit(search, coverage, scene_map, n=options.audit, inside=inside)
    elif options.audit:
        audited = nothing_left()
    raw, rule = Detections.concatenate(search.found), MergeRule((keep_score,) * len(stage.classes))
    decision = decide(raw, search.records, size=source.size, rule=rule, inside=inside)
    records = list(decision.windows)
    failures = sum(record.status == "failed" for record in records)
    if scene_map is not None:
        records, failures = _with_unread(records, scene_map, source.size, failures)
    read = [record.window for record in records if record.status == "read"]
    pixels = pixels_read(read, size=source.size)
    mapped = scene_map is not None and scene_map.source != "none"
    facts: dict[str, Any] = {
        **stage.names,
        "geopdn": __version__,
        "budget": str(options.budget),
        "config_hash": _config_hash(stage, options, min_score),
        "path": path,
        "min_score": min_score,
        "raw_score": search.raw_score,
        "merge": rule.to_dict(stage.classes),
        "aoi": None if inside is None else "unknown",
        "pixel_size_m": stage.pixel_size_m,
        "overview": "none" if scene_map is None else scene_map.source,
        "overview_statistics": scene_map is not None and scene_map.statistics,
        "stretch": stage.stretch,
        "pixels_total": source.size.area,
        "pixels_read": pixels,
        "share": pixels / source.size.area,
        "n_windows": len(read),
        "n_failed": failures,
        "expected_total": None if coverage is None or not mapped else round(float(coverage.totals().sum()), 3),
        "estimated_recall": None if estimate is None else round(estimate, 4),
        "audit": audited,
        "duplicates": decision.n_duplicates,
    }
    if stage.net is None:
        facts["n_invalid"] = search.n_invalid
    keep = options.keep_saliency and mapped
    return RunResult(
        frame=frame_of(source),
        classes=stage.classes,
        has_heading=stage.has_heading,
        detections=decision.detections,
        windows=tuple(records),
        facts=facts,
        saliency=scene_map.rate.sum(0) if scene_map is not None and keep else None,
        cell_px=scene_map.cell_px if scene_map is not None and keep else 0,
        raw=raw,
    )


def saliency_of(
    source: PixelSource,
    model: LoadedModel,
    *,
    device: str = "cpu",
    memory: MemoryPlan | None = None,
    previous: Sequence[PixelSource] = (),
) -> RunResult:
    """The expected counts alone: no window is looked at."""
    options = DetectOptions(budget=Budget(windows=0), device=device, keep_saliency=True, memory=memory)
    return detect(source, model, options, previous=previous)


def saliency_rates(
    source: PixelSource, model: LoadedModel, *, device: str = "cpu", previous: Sequence[PixelSource] = ()
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Expected counts by size class `[K, h, w]`, and the cells `[h, w]` that have valid pixels."""
    radiometry = Radiometry.from_dict(model.header.model.radiometry.model_dump())
    stretch, dates = resolve_stretch(source, radiometry), dates_of(source, previous, radiometry=radiometry)
    net = network_of(model, device=device, dates=bool(dates))
    scene_map = look_at_overview(source, net, stretch=stretch, dates=dates)
    return scene_map.rate, scene_map.valid


def _whole(size: Size, *, level: int) -> Planned:
    """One window over the whole scene, at the level that the model's first kind is read at."""
    step = 32 << level
    height, width = (-(-side // step) * 32 for side in (size.height, size.width))
    core = Window(0, 0, size.height, size.width)
    return Planned(kind=0, core=core, window=Window(0, 0, height, width, level), gain=0.0)


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
                kind=OVERVIEW_KIND,
                reason="scan",
                round=0,
                expected=0.0,
                status="failed",
                cause=cause,
            )
        )
        failures += 1
    return records, failures


def _config_hash(stage: Stage, options: DetectOptions, min_score: float) -> str:
    record = _config(stage, options, min_score)
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def _ledger_record(stage: Stage, options: DetectOptions, min_score: float) -> dict[str, Any]:
    """All that what windows bring depends on, but for the scene's file and the area of interest."""
    source = stage.source
    return {
        **_config(stage, options, min_score),
        "device": options.device,
        "scan_with": options.scan_with,
        "workers": None if options.memory is None else options.memory.workers,
        "pixels": [source.size.height, source.size.width],
        "bands": list(source.band_names),
        "stretch": stage.stretch,
    }


def _config(stage: Stage, options: DetectOptions, min_score: float) -> dict[str, Any]:
    return {
        **stage.names,
        "budget": asdict(options.budget),
        "min_score": min_score,
        "keep_score": options.keep_score,
        "drive": options.drive,
        "audit": options.audit,
        "explore": options.explore,
        "fusion": options.fusion,
        "rule": options.rule,
        "seed": options.seed,
        "only_kind": options.only_kind,
        "statistics": options.statistics,
        "geopdn": __version__,
    }
