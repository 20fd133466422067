"""Which place a scene shows: scenes of one place are not independent, so places are what is split and resampled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geopdn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence


def place_of(stem: str, pattern: str) -> str:
    """The first group of the pattern, searched in a scene's name without its ending; the name where it is not found."""
    match = re.search(pattern, stem)
    return match.group(1) if match and match.group(1) is not None else stem


def places_of(stems: Sequence[str], pattern: str | None) -> list[str]:
    """The place of every scene; without a pattern each scene is a place of its own.

    Raises:
        ConfigError: the pattern is no regular expression with one group, or fits none of the names.
    """
    if pattern is None:
        return list(stems)
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"place {pattern!r} is not a regular expression: {error}") from error
    if compiled.groups != 1:
        raise ConfigError(
            f"place {pattern!r} has {compiled.groups} groups: put one pair of brackets around the place, "
            "as in '^(site[0-9]+)_'"
        )
    if stems and not any(compiled.search(stem) for stem in stems):
        raise ConfigError(f"place {pattern!r} fits none of the scenes, such as {stems[0]!r}: correct it")
    return [place_of(stem, pattern) for stem in stems]
