"""Which bands: names or numbers asked for, numbers found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geopdn.errors import BandError

if TYPE_CHECKING:
    from collections.abc import Sequence

ALIASES: tuple[frozenset[str], ...] = (
    frozenset({"blue", "b02", "b2"}),
    frozenset({"green", "b03", "b3"}),
    frozenset({"red", "b04", "b4"}),
    frozenset({"nir", "b08", "b8", "near infrared"}),
    frozenset({"swir16", "b11", "swir1"}),
)
"""Names that mean one band: the common names of STAC and Sentinel-2's."""

COLOURS = frozenset({"red", "green", "blue", "nir"})


def name_bands(descriptions: Sequence[str | None], colours: Sequence[str]) -> tuple[str, ...]:
    """A name for each band: its description, else its colour interpretation, else its number from 1.

    Colours and descriptions serve only where they are unique in the file.
    """
    described = [text.strip() if text else "" for text in descriptions]
    names: list[str] = []
    for number, (description, colour) in enumerate(zip(described, colours, strict=True), start=1):
        if description and described.count(description) == 1:
            names.append(description)
        elif not description and colour in COLOURS and colours.count(colour) == 1 and colour not in described:
            names.append(colour)
        else:
            names.append(str(number))
    return tuple(names)


def _matches(wanted: str) -> frozenset[str]:
    """Lower-case spellings of one band name, itself included."""
    key = wanted.strip().lower()
    return next((group for group in ALIASES if key in group), frozenset({key}))


def _find(all_names: Sequence[str], wanted: str | int) -> int | None:
    """The number from 1 of one band, or None: exact name first, then alias, then number."""
    if isinstance(wanted, int):
        return wanted if 1 <= wanted <= len(all_names) else None
    lowered = [name.lower() for name in all_names]
    key = wanted.strip().lower()
    if key in lowered:
        return lowered.index(key) + 1
    found = [number for number, name in enumerate(lowered, start=1) if name in _matches(wanted)]
    if len(found) == 1:
        return found[0]
    if key.isascii() and key.isdigit():
        return _find(all_names, int(key))
    return None


def select_bands(all_names: Sequence[str], wanted: Sequence[str | int] | None) -> list[int]:
    """Numbers from 1, in the order asked for, of bands given by name, alias (`red` = `B04`) or number.

    Args:
        all_names: the names of the file's bands.
        wanted: names in any case, or numbers from 1; None for all bands.

    Raises:
        BandError: a band is missing, asked for twice, or nothing is asked for.
    """
    if wanted is None:
        return list(range(1, len(all_names) + 1))
    numbers = [_find(all_names, band) for band in wanted]
    missing = [str(band) for band, number in zip(wanted, numbers, strict=True) if number is None]
    have, asked = ", ".join(all_names[:20]), ", ".join(str(band) for band in wanted)
    have += ", ..." if len(all_names) > 20 else ""
    if missing or not numbers:
        what = f"no band {', '.join(missing)}" if missing else "no band was asked for"
        raise BandError(f"{what}: the scene has [{have}], wanted [{asked}]; map them with --bands")
    found = [number for number in numbers if number is not None]
    if len(set(found)) < len(found):
        raise BandError(f"a band is asked for twice: the scene has [{have}], wanted [{asked}]; map them with --bands")
    return found
