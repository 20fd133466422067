"""Scenes opened for a model: which model fits, its bands, its pixel size, places on the map."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.errors import BandError, ConfigError, GeoreferenceError, SceneError

if TYPE_CHECKING:
    from geopdn.model.weights import WeightsHeader
    from geopdn.scene import PixelSource, Scene


@dataclass(frozen=True, slots=True)
class Reading:
    """How a scene is opened.

    Attributes:
        bands: the scene's bands in the model's order, None for those of the model's names.
        any_scale: accept any pixel size.
        allow_vrt: accept a VRT.
        allow_hosts: hosts of URLs that are trusted although they are not public.
        use_overviews: believe the file's overviews.
        pixel_output: accept a scene without CRS.
    """

    bands: tuple[str, ...] | None = None
    any_scale: bool = False
    allow_vrt: bool = False
    allow_hosts: tuple[str, ...] = ()
    use_overviews: bool = True
    pixel_output: bool = False

    def open(self, path: str, *, bands: Sequence[str] | None) -> "Scene":
        """Open a scene this way, reading these bands; raises what `Scene.open` does."""
        from geopdn.scene import Scene

        return Scene.open(
            path,
            bands=bands,
            allow_vrt=self.allow_vrt,
            use_overviews=self.use_overviews,
            allow_hosts=self.allow_hosts,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A scene and the model it was opened for.

    Attributes:
        scene: the file.
        source: the scene at the model's pixel size.
        weights: the model's file.
        header: the model's header.
    """

    scene: "Scene"
    source: "PixelSource"
    weights: Path
    header: "WeightsHeader"


@contextmanager
def opened(
    path: str, *, model: str | None, reading: Reading, announce: Callable[[str], None] | None = None
) -> Iterator[Opened]:
    """Open a scene for a model, or for the shipped one that fits.

    Args:
        path: the scene.
        model: name or file of a model, None to choose.
        reading: how.
        announce: receives a sentence on which model was chosen.

    Raises:
        CheckpointError: the model is unknown or no weights file.
        ConfigError: no shipped model fits, or several do.
        SceneError: the scene cannot be used with the model.
    """
    from geopdn.model.weights import find_weights, read_header
    from geopdn.scene.resample import resample

    weights = find_weights(model) if model is not None else choose_model(path, reading)
    header = read_header(weights)
    if model is None and announce is not None:
        announce(f"using the model {header.name}, the shipped one that fits {Path(path).name}")
    wanted: Sequence[str] = header.model.bands
    if reading.bands is not None:
        if len(reading.bands) != len(wanted):
            raise BandError(
                f"--bands names {len(reading.bands)} bands [{', '.join(reading.bands)}], the model {header.name} takes "
                f"{len(wanted)} [{', '.join(wanted)}]: name one for each, in this order"
            )
        wanted = reading.bands
    with reading.open(path, bands=wanted) as scene:
        require_place(scene, reading)
        source = resample(scene, pixel_size_m=header.model.pixel_size_m, any_scale=reading.any_scale)
        yield Opened(scene, source, weights, header)


@contextmanager
def opened_dates(
    paths: Sequence[str], item: Opened, *, reading: Reading, announce: Callable[[str], None] | None = None
) -> Iterator[tuple["Scene", ...]]:
    """Open earlier dates of a scene's ground; the scene itself, scenes of other ground and too many are left out.

    Args:
        paths: of the other dates.
        item: the scene, opened for its model.
        reading: how all of them are read.
        announce: receives a sentence on each that is left out.

    Raises:
        ConfigError: the model has learnt nothing from earlier dates.
        SceneError: one cannot be opened, or none of them shows ground of the scene.
    """
    from geopdn.config import MOST_DATES
    from geopdn.scene.coregister import overlap
    from geopdn.scene.dates import nearest_in_time

    header, scene = item.header, item.scene
    if paths and not header.model.dates:
        raise ConfigError(
            f"the model {header.name} has learnt nothing from earlier dates: leave --previous out, or train it with "
            "dates of your own (docs/own-data.md)"
        )
    with ExitStack() as stack:
        dates = []
        for path in paths:
            if same_file(path, scene.path):
                continue
            other = stack.enter_context(reading.open(path, bands=reading.bands or header.model.bands))
            require_place(other, replace(reading, pixel_output=False))
            if scene.crs is not None and overlap(other, item.source):
                dates.append(other)
            elif announce is not None:
                announce(f"{other.name} shows no ground of {scene.name}: left out")
        if paths and not dates:
            raise SceneError(
                f"none of the earlier dates overlaps {scene.name} on the map: expected scenes of the same ground"
            )
        chosen = nearest_in_time(scene, dates, most=MOST_DATES)
        if len(chosen) < len(dates) and announce is not None:
            announce(
                f"{len(dates)} earlier dates show ground of {scene.name}: the {MOST_DATES} nearest in time are taken"
            )
        yield tuple(chosen)


def same_file(first: str, second: str) -> bool:
    """Whether two paths or URLs are the same file."""
    return first == second or ("://" not in first + second and Path(first).resolve() == Path(second).resolve())


def require_place(scene: "Scene", reading: Reading) -> None:
    """Refuse a scene without a CRS unless pixel coordinates were asked for.

    Raises:
        GeoreferenceError: it has none.
    """
    if scene.crs is None and not reading.pixel_output:
        raise GeoreferenceError(
            f"{scene.name} has no CRS or no transform, so its pixels have no place on the map: assign them "
            "(gdal_edit.py -a_srs ... -a_ullr ...), or ask for pixel coordinates with --pixel-output"
        )


def choose_model(path: str, reading: Reading) -> Path:
    """The one shipped model that fits a scene.

    Raises:
        ConfigError: none fits, or several do; lists them.
        SceneError: the scene cannot be opened.
    """
    with reading.open(path, bands=reading.bands) as scene:
        fitting, reasons = fitting_models(scene, reading)
        if len(fitting) == 1:
            return next(iter(fitting.values()))[0]
        if fitting:
            raise ConfigError(f"the models {', '.join(fitting)} all fit {scene.name}: choose one with --model")
        why = "; ".join(f"{name} {reason}" for name, reason in reasons.items()) or "this geopdn was shipped without any"
        raise ConfigError(f"no shipped model fits {scene.name}: {why}. Give one with --model NAME or --model FILE")


def fitting_models(scene: "Scene", reading: Reading) -> tuple[dict[str, tuple[Path, "WeightsHeader"]], dict[str, str]]:
    """The shipped models that fit a scene, and why the others do not."""
    from geopdn.model.weights import read_header, shipped_models

    fitting, reasons = {}, {}
    for name, path in shipped_models().items():
        header = read_header(path)
        reason = misfit(scene, header, reading)
        if reason:
            reasons[name] = reason
        else:
            fitting[name] = (path, header)
    return fitting, reasons


def misfit(scene: "Scene", header: "WeightsHeader", reading: Reading) -> str:
    """Why a model does not fit a scene, empty where it does."""
    from geopdn.scene import select_bands
    from geopdn.scene.resample import MAX_RATIO

    model = header.model
    if reading.bands is not None:
        if len(reading.bands) != len(model.bands):
            return f"takes {len(model.bands)} bands, --bands names {len(reading.bands)}"
    else:
        try:
            select_bands(scene.all_band_names, model.bands)
        except BandError:
            return f"takes the bands [{', '.join(model.bands)}], the scene has [{', '.join(scene.all_band_names[:20])}]"
    if model.radiometry.dtypes and scene.dtype.name not in model.radiometry.dtypes:
        return f"takes {' or '.join(model.radiometry.dtypes)} values, the scene has {scene.dtype.name}"
    if scene.pixel_size is not None and not reading.any_scale:
        ratio = model.pixel_size_m / scene.pixel_size.mean_m
        if max(ratio, 1 / ratio) > MAX_RATIO:
            return f"takes pixels of {model.pixel_size_m:g} m, the scene's are {scene.pixel_size.mean_m:.3g} m"
    return ""
