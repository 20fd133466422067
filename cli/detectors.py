"""A detector of the user's own: stated, loaded, and fitted to scenes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.api.scenes import Reading, require_place
from geopdn.cli.messages import say
from geopdn.errors import BandError, ConfigError, ResourceLimitError

if TYPE_CHECKING:
    from geopdn.detectors import Detector
    from geopdn.scene import PixelSource, Scene


@dataclass(frozen=True, slots=True)
class Stated:
    """What the options say of a detector; None and empty where they say nothing.

    Attributes:
        file: the ONNX file.
        item: a STAC item that describes it.
        pixel_size: in metres.
        bands: `a,b,c`.
        classes: `a,b,c`.
        tile: side of a tile in pixels.
        overlap: of neighbouring tiles, in per cent of a side.
        values: see `geopdn.detectors.parse_values`.
        layout: see `geopdn.detectors.layouts`.
    """

    file: Path | None = None
    item: Path | None = None
    pixel_size: float | None = None
    bands: str | None = None
    classes: str | None = None
    tile: int | None = None
    overlap: float | None = None
    values: str | None = None
    layout: str | None = None


def load_detector(stated: Stated, *, quiet: bool) -> "Detector | None":
    """The detector of the options, None where they name none.

    Raises:
        ConfigError: facts without a detector, or facts missing or wrong.
        DetectorError: a file cannot be used.
    """
    if stated.file is None:
        if stated != Stated():
            raise ConfigError("options that begin with --detector- describe a detector: name its file by --detector")
        return None
    from geopdn.detectors.card import Card
    from geopdn.detectors.layouts import LAYOUTS
    from geopdn.detectors.mlm import read_item
    from geopdn.detectors.onnx_file import load_onnx
    from geopdn.detectors.values import parse_values

    if stated.layout is not None and stated.layout not in LAYOUTS:
        raise ConfigError(f"--detector-layout {stated.layout!r}: expected one of {', '.join(LAYOUTS)}")
    card = Card(
        says=("options",) if stated != Stated(file=stated.file, item=stated.item) else (),
        classes=_names(stated.classes, option="--detector-classes", example="plane,ship"),
        pixel_size_m=stated.pixel_size,
        tile_px=stated.tile,
        bands=_names(stated.bands, option="--detector-bands", example="3,2,1"),
        scaling=None if stated.values is None else parse_values(stated.values),
        overlap=None if stated.overlap is None else stated.overlap / 100,
        layout=stated.layout,
    )
    described = None if stated.item is None else read_item(stated.item)
    detector, known = load_onnx(stated.file, stated=card, described=described)
    spec = detector.spec
    if not quiet:
        names = ", ".join(spec.classes[:4]) + (", ..." if len(spec.classes) > 4 else "")
        say(
            f"detector {spec.name}, by its {' and '.join(known.says)}: {names}; tiles of {spec.tile_px} px, pixels of "
            f"{spec.pixel_size_m:g} m, output {detector.layout}"
        )
    return detector


def _names(text: str | None, *, option: str, example: str) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise ConfigError(f"{option} {text!r}: expected names with commas between, such as {example}")
    return names


@contextmanager
def opened_for(
    detector: "Detector", path: str, *, reading: Reading, quiet: bool
) -> "Iterator[tuple[Scene, PixelSource]]":
    """Open a scene in a detector's bands, and a view of it at its pixel size.

    Raises:
        BandError: the scene has not the detector's bands, or it is not known which they are.
        SceneError: the scene cannot be used with the detector.
    """
    from geopdn.detectors.adapt import RGB, SceneFacts, fit
    from geopdn.scene.resample import MAX_RATIO, TOLERANCE, resample

    spec = detector.spec
    with _open(path, spec.bands, reading) as scene:
        require_place(scene, reading)
        size = scene.pixel_size
        facts = SceneFacts(
            name=scene.name,
            band_names=scene.all_band_names,
            dtype=scene.dtype.name,
            pixel_size_m=None if size is None else (size.x_m, size.y_m),
        )
        fitted = fit(
            spec,
            facts,
            numbers=_numbers(scene, spec.bands or (RGB if spec.n_bands == len(RGB) else ())),
            largest_ratio=float("inf") if reading.any_scale else MAX_RATIO,
            tolerance=TOLERANCE,
        )
    if not quiet:
        say(fitted.text)
    with _open(path, fitted.bands, reading) as scene:
        yield scene, resample(scene, pixel_size_m=spec.pixel_size_m, any_scale=reading.any_scale)


def _open(path: str, bands: Sequence[str] | None, reading: Reading) -> "Scene":
    """The scene in a detector's bands, in all of them where it does not say which."""
    try:
        return reading.open(path, bands=bands)
    except (BandError, ResourceLimitError) as error:
        raise type(error)(str(error).replace("--bands", "--detector-bands")) from None


def _numbers(scene: "Scene", wanted: Sequence[str]) -> list[int] | None:
    """The scene's bands of those names, None where it has not all of them."""
    from geopdn.scene import select_bands

    try:
        return select_bands(scene.all_band_names, wanted)
    except BandError:
        return None
