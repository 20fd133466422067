"""A detector against a scene: what fits, what is adapted, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geopdn.detectors.spec import DetectorSpec
from geopdn.errors import BandError, SceneError

RGB = ("red", "green", "blue")


@dataclass(frozen=True, slots=True)
class SceneFacts:
    """What must be known of a scene.

    Attributes:
        name: its name.
        band_names: names of its bands.
        dtype: type of its values.
        pixel_size_m: true ground size of a pixel (x, y), None without a CRS.
    """

    name: str
    band_names: tuple[str, ...]
    dtype: str
    pixel_size_m: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Fit:
    """How a detector looks at a scene.

    Attributes:
        bands: the scene's bands, in the order of the detector's channels.
        text: what is adapted, in one line.
    """

    bands: tuple[str, ...]
    text: str


def fit(
    spec: DetectorSpec, scene: SceneFacts, *, numbers: Sequence[int] | None, largest_ratio: float, tolerance: float
) -> Fit:
    """Check a detector against a scene.

    Args:
        spec: the detector.
        scene: the scene.
        numbers: of the scene's bands, from 1, that `spec.bands` name; None where the detector names none.
        largest_ratio: factor, either way, by which pixel sizes may differ.
        tolerance: factor up to which the scene is not resampled.

    Raises:
        BandError: it is not known which bands it takes.
        SceneError: values or pixel size that do not fit.
    """
    bands = _bands(spec, scene, numbers)
    if spec.scaling.dtypes and scene.dtype not in spec.scaling.dtypes:
        raise SceneError(
            f"detector {spec.name} takes {' or '.join(spec.scaling.dtypes)} values, {scene.name} has {scene.dtype}: "
            "say what they become by --detector-values 0..3000 (limits), 2%..98%, reflectance or raw"
        )
    parts = [f"bands {', '.join(bands)}", f"{spec.scaling}"]
    own = scene.pixel_size_m
    if own is None:
        parts.insert(0, f"pixels taken to be {spec.pixel_size_m:g} m ({scene.name} has no CRS)")
    else:
        far = max(max(spec.pixel_size_m / side, side / spec.pixel_size_m) for side in own)
        if far > largest_ratio * (1 + 1e-6):
            raise SceneError(
                f"{scene.name} has pixels of {own[0]:.3g} x {own[1]:.3g} m, the detector {spec.name} expects "
                f"{spec.pixel_size_m:.3g} m: more than {largest_ratio:g} times apart, results would not be "
                "trustworthy; use another detector, or --any-scale"
            )
        resampled = far > tolerance * (1 + 1e-6)
        size = f"{own[0]:.3g} x {own[1]:.3g} m"
        parts.insert(
            0, f"resampled from {size} to {spec.pixel_size_m:.3g} m" if resampled else f"pixels of {size} as they are"
        )
    return Fit(bands, f"{scene.name} for {spec.name}: {'; '.join(parts)}")


def _bands(spec: DetectorSpec, scene: SceneFacts, numbers: Sequence[int] | None) -> tuple[str, ...]:
    if numbers is not None:
        return tuple(scene.band_names[number - 1] for number in numbers)
    lowered = [name.lower() for name in scene.band_names]
    if spec.n_bands == 3 and set(RGB) <= set(lowered):
        return RGB
    if spec.n_bands == 1 == len(scene.band_names):
        return scene.band_names
    example = ",".join(str(number) for number in range(1, spec.n_bands + 1))
    raise BandError(
        f"detector {spec.name} takes {spec.n_bands} bands and does not say which, {scene.name} has "
        f"[{', '.join(scene.band_names[:20])}]: name them in the detector's order, --detector-bands {example}"
    )
