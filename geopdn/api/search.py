"""What the command line and Python share: a scene that was opened, searched by its model, in an area."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from geopdn.errors import SceneError

if TYPE_CHECKING:
    from geopdn.api.scenes import Opened
    from geopdn.detections import RunResult
    from geopdn.engine import DetectOptions, Progress
    from geopdn.engine.options import Inside
    from geopdn.ledger import Ledger
    from geopdn.model.weights import LoadedModel
    from geopdn.scene import PixelSource, Scene

Run: TypeAlias = "Callable[[DetectOptions, Callable[[Progress], None], Inside | None], RunResult]"
"""Searches a scene, given options, progress and what lies in the area of interest."""


def load_model(path: Path) -> "LoadedModel":
    """Weights, loaded once for scenes that follow each other, and again when the file has changed."""
    state = path.stat()
    return _loaded(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _loaded(path: Path, *_: int) -> "LoadedModel":
    from geopdn.model.weights import load_weights

    return load_weights(path, at_once=False)


def forget_model() -> None:
    """Load weights again when they are asked for next."""
    _loaded.cache_clear()


def read_ahead(item: "Opened") -> None:
    """Begin to read the overview that the model will look at, while the network is got ready."""
    from geopdn.scene.overview import read_ahead as begin

    begin(item.source, level=item.header.model.overview_level)


def own_run(
    source: "PixelSource", weights: Path, *, ledger: "Ledger | None" = None, previous: "Sequence[PixelSource]" = ()
) -> Run:
    """The search of a scene by a model's own windows; the weights are loaded when it starts.

    Args:
        source: the scene at the model's pixel size.
        weights: the model's file.
        ledger: keeps what windows have brought, see `geopdn.engine.detect`.
        previous: earlier dates of the same ground, likewise.
    """

    def run(options: "DetectOptions", report: "Callable[[Progress], None]", inside: "Inside | None") -> "RunResult":
        from geopdn.engine import detect

        model = load_model(weights)
        return detect(source, model, options, report=report, inside=inside, ledger=ledger, previous=previous)

    return run


def run_in(
    scene: "Scene",
    source: "PixelSource",
    run: Run,
    options: "DetectOptions",
    *,
    report: "Callable[[Progress], None]",
    polygon: Any,
) -> "RunResult":
    """Search a scene, in an area if there is one; its polygon is part of the result.

    Args:
        scene: the file.
        source: the scene as it is searched, see `geopdn.scene.resample`.
        run: searches it.
        options: how.
        report: receives the progress.
        polygon: area of interest in map units of the scene, or None.

    Raises:
        SceneError: the file was changed meanwhile.
    """
    if polygon is None:
        result = run(options, report, None)
    else:
        import shapely

        from geopdn.geometry.area import InsidePolygon

        result = run(options, report, InsidePolygon(polygon, source.transform))
        result = replace(result, facts={**result.facts, "aoi": shapely.to_wkt(polygon, rounding_precision=-1)})
    if scene.changed():
        raise SceneError(f"{scene.name} was changed while it was read: nothing was written, run again")
    return result


def require_map(source: "PixelSource") -> None:
    """Refuse a scene that is looked at whole, of which there is no map of expected counts.

    Raises:
        SceneError: it is smaller than a window.
    """
    from geopdn.config import DENSE_SIDE

    size = source.size
    if max(size.height, size.width) < DENSE_SIDE:
        raise SceneError(
            f"{source.name} is {size.width} x {size.height} px at the model's pixel size: scenes under "
            f"{DENSE_SIDE} x {DENSE_SIDE} are looked at whole, so there is no saliency to write"
        )
