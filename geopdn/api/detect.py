"""`geopdn.detect`: search one scene from Python, as `geopdn detect` does, without writing anything."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from os import PathLike, fspath
from typing import TYPE_CHECKING

from geopdn.api.area import area_of, read_area
from geopdn.api.device import resolve_device
from geopdn.api.result import Result
from geopdn.api.scenes import Reading, opened, opened_dates
from geopdn.api.search import own_run, read_ahead, run_in
from geopdn.budget import parse_budget
from geopdn.errors import ConfigError
from geopdn.scene.reader import Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopandas import GeoDataFrame

    from geopdn.engine import Progress


def detect(
    scene: str | PathLike[str] | Scene,
    model: str | PathLike[str] | None = None,
    *,
    budget: str | float | None = None,
    recall: float | None = None,
    previous: Sequence[str | PathLike[str]] = (),
    aoi: str | PathLike[str] | GeoDataFrame | None = None,
    bands: Sequence[str | int] | None = None,
    min_score: float | None = None,
    audit: int = 0,
    device: str = "auto",
    strict: bool = False,
    keep_saliency: bool = False,
    any_scale: bool = False,
    allow_vrt: bool = False,
    pixel_output: bool = False,
    report: Callable[[Progress], None] = lambda _: None,
) -> Result:
    """Find objects in a scene, looking closely only where it pays.

    Args:
        scene: a raster file, an `http(s)://` URL, or an open scene, whose bands and settings are taken over (it is
            opened again, and stays open).
        model: name of a shipped model or a `.safetensors` file; None for the shipped one that fits the scene.
        budget: how much to look at: a share of the pixels (0.2), or as text `64w`, `30s` or `full`.
        recall: stop when this share of what a full scan would find is expected to be found. Without budget and recall
            it is 0.98.
        previous: earlier dates of the same ground, files or URLs; what they show tells a model that has learnt from
            dates better where to look.
        aoi: search only inside the polygons of this vector file or table, of any CRS.
        bands: the scene's bands (names or numbers from 1) that stand for the model's, in the model's order.
        min_score: lowest score that is kept; None for the model's own threshold.
        audit: look at this many windows more, drawn at random from what was not selected.
        device: `auto`, `cpu` or `cuda`.
        strict: fail at the first window that cannot be read, instead of recording it.
        keep_saliency: keep the expected counts, `result.run.saliency`.
        any_scale: also accept pixels over three times larger or smaller than the model's.
        allow_vrt: accept a VRT whose sources lie in its own folder.
        pixel_output: accept a scene without CRS: results are in pixels.
        report: receives the progress.

    Returns:
        What was found; the same input gives the same detections.

    Raises:
        GeopdnError: of the class that says what cannot be done.
    """
    spend = parse_budget(None if budget is None else str(budget), recall=recall)
    if min_score is not None and not (math.isfinite(min_score) and 0 <= min_score <= 1):
        raise ConfigError(f"min_score {min_score}: expected a number from 0 to 1")
    if audit < 0:
        raise ConfigError(f"audit {audit}: expected a number of windows, 0 or more")
    given, use_overviews = bands, True
    if isinstance(scene, Scene):
        of_scene, of_vrt, use_overviews = scene.settings[:3]
        given, allow_vrt = (of_scene if bands is None else bands), (allow_vrt or of_vrt)
    path = scene.path if isinstance(scene, Scene) else fspath(scene)
    reading = Reading(
        bands=None if given is None else tuple(str(band) for band in given),
        any_scale=any_scale,
        allow_vrt=allow_vrt,
        use_overviews=use_overviews,
        pixel_output=pixel_output,
    )
    area = None if aoi is None else read_area(aoi)
    started = time.monotonic()
    with (
        opened(path, model=None if model is None else fspath(model), reading=reading) as item,
        opened_dates([fspath(one) for one in previous], item, reading=reading) as dates,
    ):
        polygon = None if area is None else area_of(area, item.source)
        read_ahead(item)
        from geopdn.engine import DetectOptions

        options = DetectOptions(
            budget=spend,
            audit=audit,
            min_score=min_score,
            device=resolve_device(device),
            strict=strict,
            keep_saliency=keep_saliency,
        )
        run = own_run(item.source, item.weights, previous=dates)
        found = run_in(item.scene, item.source, run, options, report=report, polygon=polygon)
        seconds = time.monotonic() - started
        return Result(found, scene=path, weights=item.weights, reading=reading, seconds=seconds)
