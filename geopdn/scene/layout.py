"""How a file stores its pixels: bands, types, scales, blocks; what cannot be read is refused here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from geopdn.errors import BandError, ResourceLimitError
from geopdn.geometry.window import Size
from geopdn.scene.bands import name_bands, select_bands
from geopdn.scene.decode import Decoder, alpha_band, has_mask_band, is_sparse, palette_of, usable_nodata

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BANDS = 64
MAX_BLOCK_BYTES = 512 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The constant facts of a file and of the bands chosen from it (one entry a band, in the order chosen)."""

    all_band_names: tuple[str, ...]
    """Every band but alpha; of a palette image its colours."""
    band_names: tuple[str, ...]
    """The bands that are read."""
    band_indexes: tuple[int, ...]
    """Their numbers in the file, from 1."""
    dtype: np.dtype[Any]
    """Type of the values read."""
    nodata: tuple[float | None, ...]
    """As far as the type can hold it."""
    scales: tuple[float, ...]
    """Physical value = stored value * scale + offset."""
    offsets: tuple[float, ...]
    """See `scales`."""
    block: Size
    """What GDAL decodes at a time."""
    block_bytes: int
    """What a thread holds to read one: decoded, with all bands stored together; of a single strip, as it is stored."""
    is_one_strip: bool
    """The file is one compressed strip: GDAL shows rows, each thread holds all of it and decodes from its start."""
    decoder: Decoder
    """Reads them."""


def layout_of(dataset: Any, wanted: Sequence[str | int] | None, *, name: str) -> Layout:
    """Describe an open dataset.

    Args:
        dataset: the file at full resolution.
        wanted: names or numbers of the bands to read, or None for all.
        name: how messages call the file.

    Raises:
        BandError: bands are missing, of several types, or complex.
        ResourceLimitError: more than 64 bands to read, or a block of more than 512 MiB.
    """
    palette, alpha = palette_of(dataset), alpha_band(dataset)
    data = [number for number in range(1, dataset.count + 1) if number != alpha]
    if palette is not None:
        names: tuple[str, ...] = ("red", "green", "blue")
    else:
        descriptions = [dataset.descriptions[number - 1] for number in data]
        names = name_bands(descriptions, [dataset.colorinterp[number - 1].name for number in data])
    chosen = select_bands(names, wanted)
    if len(chosen) > MAX_BANDS:
        raise ResourceLimitError(
            f"{name} has {len(chosen)} bands to read, at most {MAX_BANDS} are possible: choose some with --bands"
        )
    indexes = tuple(1 if palette is not None else data[number - 1] for number in chosen)
    stored = _common_dtype([dataset.dtypes[number - 1] for number in indexes], name=name)
    block, block_bytes = _checked_block(dataset, itemsize=stored.itemsize, name=name)
    strip_bytes = _one_strip(dataset, block)
    held = {n: usable_nodata(dataset.nodatavals[n - 1], stored, name=name) for n in dict.fromkeys(indexes)}
    plain = palette is not None
    return Layout(
        all_band_names=names,
        band_names=tuple(names[number - 1] for number in chosen),
        band_indexes=indexes,
        dtype=np.dtype(np.uint8) if plain else stored,
        nodata=tuple(held[number] for number in indexes),
        scales=tuple(1.0 if plain else float(dataset.scales[number - 1]) for number in indexes),
        offsets=tuple(0.0 if plain else float(dataset.offsets[number - 1]) for number in indexes),
        block=block,
        block_bytes=max(block_bytes, strip_bytes),
        is_one_strip=strip_bytes > 0,
        decoder=Decoder(
            indexes=tuple(held),
            nodata=tuple(held.values()),
            alpha=alpha,
            has_mask=has_mask_band(dataset),
            palette=None if palette is None else palette[:, [*(number - 1 for number in chosen), 3]],
            sparse=is_sparse(dataset, tuple(held.values())),
        ),
    )


def _common_dtype(names: Sequence[str], *, name: str) -> np.dtype[Any]:
    """The one real type of the bands."""
    kinds = sorted(set(names))
    if any(kind.startswith("complex") for kind in kinds):
        raise BandError(f"{name} has {kinds[0]} values, expected real ones: store the amplitude and use that")
    if len(kinds) > 1:
        raise BandError(f"{name} mixes the types {', '.join(kinds)}: choose bands of one type with --bands")
    dtype: np.dtype[Any] = np.dtype(kinds[0])
    return dtype


def _checked_block(dataset: Any, *, itemsize: int, name: str) -> tuple[Size, int]:
    """The size of a block and its bytes, refused where decoding one would take too much memory."""
    height, width = dataset.block_shapes[0]
    together = dataset.count if dataset.interleaving is not None and dataset.interleaving.name == "pixel" else 1
    decoded = height * width * together * itemsize
    if decoded > MAX_BLOCK_BYTES:
        raise ResourceLimitError(
            f"{name}: one block of {height} x {width} px decodes to {decoded >> 20} MiB, at most "
            f"{MAX_BLOCK_BYTES >> 20} MiB are possible: rewrite it with `gdal_translate -of COG`"
        )
    return Size(height, width), decoded


def _one_strip(dataset: Any, block: Size) -> int:
    """Bytes, as stored, of a file that is one compressed strip; 0 for any other."""
    shown_as_rows = dataset.driver == "GTiff" and block.height == 1 < dataset.height and block.width == dataset.width
    if not shown_as_rows or dataset.compression is None:
        return 0
    sizes = [int(dataset.get_tag_item(f"BLOCK_SIZE_0_{row}", "TIFF", bidx=1) or 0) for row in (0, 1)]
    return sizes[0] if sizes[1] == 0 else 0
