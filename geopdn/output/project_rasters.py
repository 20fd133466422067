"""Rasters of a QGIS project: a scene in its colours, expected counts in a ramp that leaves the imagery visible."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.output.project_layers import Layer, common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyproj import CRS

Limits = tuple[float, float]

_RAMP = (  # share of the largest value, colour, opacity of 255
    (0.0, "#2b0a3d", 0),
    (0.02, "#5c126e", 70),
    (0.1, "#a52c60", 130),
    (0.3, "#e65d2f", 160),
    (0.6, "#fbb41a", 180),
    (1.0, "#fcffa4", 200),
)


@dataclass(frozen=True, slots=True)
class Raster:
    """A raster and how it is shown.

    Attributes:
        path: file or URL.
        title: its name for people.
        crs: its system, None for pixels.
        limits: by band, the values that become black and white; of one band that is a ramp, lowest and highest.
        bands: numbers from 1 of red, green and blue, or of the one band that is shown; none for QGIS's own choice.
        is_ramp: whether its values are shown by a ramp of colours.
    """

    path: str | Path
    title: str
    crs: CRS | None
    limits: tuple[Limits, ...]
    bands: tuple[int, ...]
    is_ramp: bool = False

    def __post_init__(self) -> None:
        if len(self.bands) not in (0, 1, 3) or len(self.limits) != len(self.bands):
            msg = f"bands {self.bands} with {len(self.limits)} limits: expected none, one or three, and as many limits"
            raise ValueError(msg)


def raster_layer(raster: Raster, *, identifier: str, source: str) -> Layer:
    """A raster as a layer of a project; a ramp is listed but drawn only on request, for it covers the imagery."""
    if not raster.bands:
        drawn = ""
    elif raster.is_ramp:
        drawn = _pipe(_ramp(raster.bands[0], raster.limits[0]))
    elif len(raster.bands) == 1:
        drawn = _pipe(_grey(raster.bands[0], raster.limits[0]))
    else:
        drawn = _pipe(_colours(raster.bands, raster.limits))
    xml = (
        f'<maplayer type="raster">{common(identifier, title=raster.title, source=source, crs=raster.crs)}'
        f"<provider>gdal</provider>{drawn}</maplayer>"
    )
    return Layer(identifier, raster.title, source, "gdal", xml, is_checked=not raster.is_ramp)


def _pipe(renderer: str) -> str:
    return (
        f'<pipe>{renderer}<brightnesscontrast brightness="0" contrast="0" gamma="1"/>'
        '<huesaturation saturation="0" grayscaleMode="0"/><rasterresampler maxOversampling="2"/></pipe>'
    )


def _colours(bands: Sequence[int], limits: Sequence[Limits]) -> str:
    names = ("red", "green", "blue")
    numbers = " ".join(f'{name}Band="{band}"' for name, band in zip(names, bands, strict=True))
    contrasts = "".join(
        f"<{name}ContrastEnhancement>{_contrast(pair)}</{name}ContrastEnhancement>"
        for name, pair in zip(names, limits, strict=True)
    )
    return f'<rasterrenderer type="multibandcolor" {numbers} opacity="1" alphaBand="-1">{contrasts}</rasterrenderer>'


def _grey(band: int, limits: Limits) -> str:
    return (
        f'<rasterrenderer type="singlebandgray" grayBand="{band}" gradient="BlackToWhite" opacity="1" alphaBand="-1">'
        f"<contrastEnhancement>{_contrast(limits)}</contrastEnhancement></rasterrenderer>"
    )


def _contrast(limits: Limits) -> str:
    low, high = limits
    return f"<minValue>{low!r}</minValue><maxValue>{high!r}</maxValue><algorithm>StretchToMinimumMaximum</algorithm>"


def _ramp(band: int, limits: Limits) -> str:
    low, high = limits
    items = "".join(
        f'<item value="{low + share * (high - low)!r}" label="{low + share * (high - low):.3g}" color="{colour}"'
        f' alpha="{alpha}"/>'
        for share, colour, alpha in _RAMP
    )
    return (
        f'<rasterrenderer type="singlebandpseudocolor" band="{band}" opacity="1" alphaBand="-1"'
        f' classificationMin="{low!r}" classificationMax="{high!r}"><rastershader>'
        f'<colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0" minimumValue="{low!r}"'
        f' maximumValue="{high!r}">{items}</colorrampshader></rastershader></rasterrenderer>'
    )
