"""Stored samples to values and a valid mask: nodata, alpha, mask bands, NaN, palettes."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window as RasterWindow

from geopdn.errors import RadiometryWarning

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Span:
    """Rows and columns of a rectangle inside one raster: an internal, unchecked window."""

    row: int
    col: int
    height: int
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Decoder:
    """How the samples of one file become values `[C, h, w]` and a mask `[h, w]`.

    A pixel is valid where every selected band differs from that band's nodata and is finite, and where the alpha
    band and the file's mask say so.
    """

    indexes: tuple[int, ...]
    """Bands to read, from 1."""
    nodata: tuple[float | None, ...]
    """Nodata of each of them."""
    alpha: int | None
    """The alpha band, from 1."""
    has_mask: bool
    """The file has a mask band."""
    palette: NDArray[np.uint8] | None
    """Of a one-band palette image: the chosen colours and the opacity `[entries, C + 1]` of each index."""
    sparse: bool = False
    """Blocks may be missing in the file and what they stand for is known: they are not read."""

    def read(
        self, dataset: Any, span: Span, *, resampled: bool = False
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Values, 0 where not valid, and the mask (None where every pixel of such a file is valid).

        Args:
            dataset: the file, or one of its overviews.
            span: a rectangle inside it.
            resampled: the samples are an overview's, whose masks may hold fractions: half and more is valid.

        Raises:
            rasterio.errors.RasterioIOError: a block cannot be read.
        """
        if self.sparse and self._is_absent(dataset, span):
            return self._empty(dataset, span)
        return self._decoded(dataset, span, resampled=resampled)

    def _decoded(self, dataset: Any, span: Span, *, resampled: bool) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """`read` of blocks that are in the file."""
        window = RasterWindow(span.col, span.row, span.width, span.height)
        indexes = [*self.indexes, self.alpha] if self.alpha else list(self.indexes)
        values = dataset.read(indexes, window=window)
        valid = np.ones(values.shape[-2:], np.bool_)
        known = False
        if self.alpha:
            valid &= _is_opaque(values[-1], resampled=resampled)
            values, known = values[:-1], True
        if self.has_mask:
            valid &= _is_opaque(dataset.read_masks(1, window=window), resampled=resampled)
            known = True
        for band, nodata in zip(values, self.nodata, strict=True):
            if nodata is not None and not math.isnan(nodata):
                valid &= band != band.dtype.type(nodata)
                known = True
        if values.dtype.kind == "f":
            finite = np.isfinite(values).all(0)
            if known or not finite.all():
                valid &= finite
                known = True
        if self.palette is not None:
            colours = self.palette[np.minimum(values[0], len(self.palette) - 1)]  # [h, w, C + 1]
            values = np.ascontiguousarray(np.moveaxis(colours[..., :-1], -1, 0))
            if (self.palette[:, -1] == 0).any():
                valid &= colours[..., -1] > 0
                known = True
        if not known:
            return values, None
        values[:, ~valid] = 0
        return values, valid

    def _is_absent(self, dataset: Any, span: Span) -> bool:
        """Whether no block under a rectangle is in the file; the first one that is ends the search."""
        tall, wide = dataset.block_shapes[0]
        together = dataset.interleaving is None or dataset.interleaving.name != "band"
        bands = self.indexes[:1] if together else (*self.indexes, *([self.alpha] if self.alpha else []))
        return not any(
            dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
            for row in range(span.row // tall, -(-(span.row + span.height) // tall))
            for col in range(span.col // wide, -(-(span.col + span.width) // wide))
            for band in bands
        )

    def _empty(self, dataset: Any, span: Span) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """What missing blocks stand for: nodata where there is one, else 0, in the alpha band too."""
        shape = (span.height, span.width)
        values = np.zeros((len(self.indexes), *shape), dataset.dtypes[self.indexes[0] - 1])
        invalid = self.alpha or any(nodata is not None for nodata in self.nodata)
        return values, np.zeros(shape, np.bool_) if invalid else None


def is_sparse(dataset: Any, nodata: tuple[float | None, ...]) -> bool:
    """Whether blocks missing in a file stand for something known: in a tiled GeoTIFF without palette and mask band.

    GDAL shows a file that is one compressed strip as rows, of which all but the first seem to be missing.

    Args:
        dataset: the file.
        nodata: of the bands, None where the file has none that its type can hold.
    """
    tiled = dataset.driver == "GTiff" and dataset.block_shapes[0][1] < dataset.width
    plain = tiled and palette_of(dataset) is None and not has_mask_band(dataset)
    return plain and (dataset.nodata is None) == all(value is None for value in nodata)


def _is_opaque(mask: NDArray[Any], *, resampled: bool) -> NDArray[np.bool_]:
    opaque: NDArray[np.bool_] = mask >= 128 if resampled and mask.dtype == np.uint8 else mask > 0
    return opaque


def alpha_band(dataset: Any) -> int | None:
    """The number from 1 of the alpha band, or None.

    GDAL declares the fourth band of any 8-bit GeoTIFF alpha unless told otherwise: one with a name of its own is data.
    """
    for number, (colour, name) in enumerate(zip(dataset.colorinterp, dataset.descriptions, strict=True), start=1):
        if colour == ColorInterp.alpha and (not name or "alpha" in name.lower()):
            return number
    return None


def has_mask_band(dataset: Any) -> bool:
    """Whether a mask of the whole file exists that is not its alpha band."""
    flags = dataset.mask_flag_enums[0]
    return bool(MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags)


def palette_of(dataset: Any) -> NDArray[np.uint8] | None:
    """The colours `[entries, 4]` of a one-band palette image, or None."""
    if dataset.count != 1 or dataset.colorinterp[0] != ColorInterp.palette:
        return None
    table = dataset.colormap(1)
    colours = np.zeros((max(table) + 1, 4), np.uint8)
    for index, colour in table.items():
        colours[index] = colour
    return colours


def usable_nodata(value: float | None, dtype: np.dtype[Any], *, name: str) -> float | None:
    """A nodata value as the file's dtype can hold it, or None with a warning where it cannot."""
    if value is None:
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            held = math.isnan(value) or math.isinf(value) or bool(np.isfinite(dtype.type(value)))
    else:
        limits = np.iinfo(dtype)
        held = math.isfinite(value) and limits.min <= value <= limits.max and value == int(value)
    if held:
        return value
    warnings.warn(
        f"{name}: nodata {value:g} cannot occur in {dtype} data and is ignored", RadiometryWarning, stacklevel=2
    )
    return None
