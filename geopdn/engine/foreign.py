"""Detectors of other makers in the place of the high-resolution stage.

The scene is seen twice: at the model's pixel size by the saliency, at the detector's by the detector. Everything else
happens on the detector's grid: the expected counts are brought to it, windows are its tiles, results are its pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geopdn.budget import Budget
from geopdn.config import WindowKind
from geopdn.detections import RunResult
from geopdn.detectors import Detector, DetectorSpec, Scaling
from geopdn.detectors.values import Line
from geopdn.engine.options import DetectOptions, Inside, Progress
from geopdn.engine.overview_pass import SceneMap
from geopdn.engine.regrid import regrid_counts
from geopdn.engine.run import own_stage, run_stage
from geopdn.engine.stage import Stage, TileProgress
from geopdn.errors import BandError, ConfigError
from geopdn.geometry.window import Size, Window
from geopdn.ledger import Ledger
from geopdn.model.decoded import Decoded
from geopdn.model.weights import LoadedModel
from geopdn.scene import Pixels, PixelSource, Radiometry, Stretch, resolve_stretch

BLANK_CELL_PX = 32
CELL_PX = (8, 256)
RAW_SCORE = 0.05  # lowest of a detector that is kept for merging again
EDGE_PX = 2.0  # detectors that keep their boxes inside the tile end them about here


@dataclass(frozen=True, slots=True, eq=False)
class Guide:
    """What chooses the windows.

    Attributes:
        model: its saliency.
        source: the same scene, in the model's bands and at its pixel size.
        previous: earlier dates of the same ground, in the model's bands.
    """

    model: LoadedModel
    source: PixelSource
    previous: tuple[PixelSource, ...] = ()


def detect_with(
    detector: Detector,
    source: PixelSource,
    options: DetectOptions | None = None,
    *,
    guide: Guide | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    inside: Inside | None = None,
    ledger: Ledger | None = None,
) -> RunResult:
    """Search a scene with another detector than the model's own.

    The priorities take the detector to find every object that the saliency expects in a window's core: an estimated
    recall is one of the saliency's objects.

    Args:
        detector: looks at the windows, which are its tiles.
        source: the scene in the detector's bands and at its pixel size (see `geopdn.scene.resample`).
        options: how; the default looks everywhere without a guide, else it stops at an expected recall of 0.98.
        guide: chooses the windows. Scenes smaller than a window of its model are looked at everywhere.
        report: receives the progress.
        inside: area of interest, in pixels of `source`, see `geopdn.engine.detect`.
        ledger: see `geopdn.engine.detect`.

    Returns:
        The result, in pixels of `source`. `facts["n_invalid"]` counts boxes of the detector that were dropped because
        they were not finite or had no area.

    Raises:
        BandError: the scene has not as many bands as the detector takes.
        ConfigError: a budget other than everything without a guide.
        DetectorError: what the detector returns cannot be used.
        SceneReadError: a window cannot be read and `options.strict` is set.
    """
    options = options or DetectOptions(budget=Budget(full=True) if guide is None else Budget(recall=0.98))
    spec = detector.spec
    if len(source.band_names) != spec.n_bands:
        raise BandError(
            f"detector {spec.name} takes {spec.n_bands} bands, {source.name} was opened with "
            f"{len(source.band_names)} [{', '.join(source.band_names)}]: open it with the detector's"
        )
    if guide is None and not options.budget.full:
        raise ConfigError(
            f"a budget of {options.budget} needs a model that says where the detector {spec.name} should look: name "
            "one, or look everywhere"
        )
    own, memory = None, options.memory
    if guide is not None:
        own = own_stage(guide.source, guide.model, device=options.device, memory=memory, previous=guide.previous)
    if own is not None and own.dense:
        own, options = None, replace(options, budget=Budget(full=True))
    stage = _stage(_Finder(detector), source, own=own)
    return run_stage(stage, options, report=report, inside=inside, ledger=ledger)


@dataclass(frozen=True, slots=True, eq=False)
class _Finder:
    """A detector as the engine asks it."""

    detector: Detector

    def find(
        self, windows: NDArray[np.float32], context: NDArray[np.float32] | None, *, min_score: float
    ) -> tuple[None, Decoded]:
        """See `Finder.find`; there is no context and there are no features."""
        del context
        found = self.detector.find(np.ascontiguousarray(windows), min_score=min_score)
        n_invalid = sum(part.n_invalid for part in found)
        index = np.repeat(np.arange(len(found)), [len(part.score) for part in found])
        columns = [np.concatenate([getattr(part, name) for part in found]) for name in ("boxes", "score", "label")]
        boxes, score, label = columns
        return None, Decoded(window=index, boxes=boxes, score=score, label=label, n_invalid=n_invalid)


@dataclass(frozen=True, slots=True, eq=False)
class _Bound:
    """A scaling bound to a scene."""

    line: Line

    def apply(self, pixels: Pixels) -> NDArray[np.float32]:
        """See `ValueScaling`."""
        return self.line.apply(pixels.values)


def _stage(finder: _Finder, source: PixelSource, *, own: Stage | None) -> Stage:
    """The detector's stage; `own` is the guide's, on its view of the scene."""
    spec = finder.detector.spec
    cell = (float(BLANK_CELL_PX),) * 2 if own is None else _cell_of(own, source)
    kind, cell_px = window_kind(spec, cell_px=math.sqrt(cell[0] * cell[1]))
    stretch = _stretch(spec.scaling, source)
    limits = np.asarray(stretch.low), np.asarray(stretch.high)

    def survey(progress: TileProgress) -> SceneMap:
        if own is None:
            return blank_map(source.size, cell_px=cell_px)
        return on_grid(own.survey(progress), cell=cell, cell_px=cell_px, size=source.size)

    return Stage(
        source=source,
        scaling=_Bound(spec.scaling.bind(scales=source.scales, offsets=source.offsets, limits=limits)),
        finder=finder,
        kinds=(kind,),
        priorities=np.ones((1, 1 if own is None else own.priorities.shape[1])),
        survey=survey,
        classes=spec.classes,
        has_heading=spec.oriented,
        min_score=spec.min_score,
        raw_score=RAW_SCORE,
        pixel_size_m=spec.pixel_size_m,
        stretch=stretch.to_dict(),
        edge_px=EDGE_PX,
        names={
            **({"model": None, "model_digest": None} if own is None else own.names),
            "detector": spec.name,
            "detector_digest": finder.detector.digest,
            "detector_settings": {
                "bands": list(source.band_names),
                "values": asdict(spec.scaling),
                "tile_px": spec.tile_px,
                "overlap": spec.overlap,
            },
        },
    )


def window_kind(spec: DetectorSpec, *, cell_px: float) -> tuple[WindowKind, int]:
    """The windows of a detector, and the side of the cells that they are planned by.

    A core is whole cells, so that what is planned for is what is looked at; at least two of them a side.

    Args:
        spec: tile size and halo; the halo grows until the core is whole cells.
        cell_px: wanted side of a cell, in the detector's pixels.
    """
    widest = spec.tile_px - 2 * spec.halo_px
    cell = max(CELL_PX[0], min(round(cell_px), widest // 2, CELL_PX[1])) // 2 * 2
    core = widest // cell * cell
    return WindowKind(extent=spec.tile_px, level=0, halo=(spec.tile_px - core) // 2), cell


def _cell_of(own: Stage, source: PixelSource) -> tuple[float, float]:
    """Height and width of the guide's cells in pixels of the detector's view of the scene.

    Raises:
        ValueError: the two are not views of one scene.
    """
    assert own.net is not None
    ours, theirs = source.transform, own.source.transform
    rows, cols = math.hypot(theirs.b, theirs.e), math.hypot(theirs.a, theirs.d)
    step_y, step_x = rows / math.hypot(ours.b, ours.e), cols / math.hypot(ours.a, ours.d)
    same = (ours.c, ours.f, ours.a * step_x, ours.d * step_x, ours.b * step_y, ours.e * step_y)
    if not np.allclose(same, (theirs.c, theirs.f, theirs.a, theirs.d, theirs.b, theirs.e), rtol=1e-9, atol=1e-12):
        msg = f"the guide's source {own.source.name} is not the same scene as {source.name}: their corners differ"
        raise ValueError(msg)
    return own.net.config.cell_px * step_y, own.net.config.cell_px * step_x


def _stretch(scaling: Scaling, source: PixelSource) -> Stretch:
    """The physical values that become 0 and the top of a scaling, for this scene."""
    if scaling.kind == "percentiles":
        return resolve_stretch(source, Radiometry("percentile", scaling.low, scaling.high))
    low, high = scaling.limits_of(scales=source.scales, offsets=source.offsets)
    return Stretch(tuple(low.tolist()), tuple(high.tolist()), tuple(source.scales), tuple(source.offsets))


def blank_map(size: Size, *, cell_px: int) -> SceneMap:
    """Nothing is known: nothing expected, everything to be looked at."""
    shape = -(-size.height // cell_px), -(-size.width // cell_px)
    return SceneMap(
        rate=np.zeros((1, *shape), np.float32),
        grid=None,
        valid=np.ones(shape, np.bool_),
        statistics=False,
        source="none",
        cell_px=cell_px,
    )


def on_grid(own: SceneMap, *, cell: tuple[float, float], cell_px: int, size: Size) -> SceneMap:
    """A map of expected counts brought to cells of another view of the scene.

    Args:
        own: the guide's.
        cell: height and width of its cells in pixels of the view.
        cell_px: side of the new cells.
        size: the view's.
    """
    valid = regrid_counts(own.valid[None].astype(np.float32), cell=cell, cell_px=cell_px, size=size)[0] > 1e-6
    return SceneMap(
        rate=regrid_counts(own.rate, cell=cell, cell_px=cell_px, size=size) * valid,
        grid=None,
        valid=valid,
        statistics=own.statistics,
        source=own.source,
        cell_px=cell_px,
        unread=tuple(
            (_scaled(window, step=(cell[0] / own.cell_px, cell[1] / own.cell_px)), cause)
            for window, cause in own.unread
        ),
    )


def _scaled(window: Window, *, step: tuple[float, float]) -> Window:
    """The pixels of level 0 of another grid that touch a window."""
    full = window.at_full_resolution()
    row, col = math.floor(full.row * step[0]), math.floor(full.col * step[1])
    return Window(row, col, math.ceil(full.row_stop * step[0]) - row, math.ceil(full.col_stop * step[1]) - col)
