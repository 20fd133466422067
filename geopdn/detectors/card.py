"""What is known of a detector before anybody has filled the gaps."""

from __future__ import annotations

from dataclasses import dataclass, fields

from geopdn.detectors.spec import DEFAULT_OVERLAP, DEFAULT_SCORE, DetectorSpec
from geopdn.detectors.values import Scaling
from geopdn.errors import ConfigError

ASK = {
    "classes": "its classes (--detector-classes plane,ship)",
    "pixel_size_m": "its pixel size (--detector-pixel-size METRES)",
    "tile_px": "its tile size (--detector-tile PIXELS)",
    "scaling": "how its values are scaled (--detector-values raw|reflectance|0..3000|2%..98%)",
}
"""Facts that a detector needs, and the option that states each."""


@dataclass(frozen=True, slots=True)
class Card:
    """Facts about a detector, None where nothing states them. See `DetectorSpec` for what they mean.

    Attributes:
        says: where the facts come from: `Deepness keys`, `Ultralytics keys`, ...
        layout: how its output is laid out, see `geopdn.detectors.layouts`.
        iou: overlap above which two of its boxes are one object.
    """

    says: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    pixel_size_m: float | None = None
    tile_px: int | None = None
    bands: tuple[str, ...] | None = None
    n_bands: int | None = None
    scaling: Scaling | None = None
    overlap: float | None = None
    min_score: float | None = None
    layout: str | None = None
    iou: float | None = None


def first_said(*cards: Card) -> Card:
    """Each fact from the first of the cards that states it."""
    facts = {
        item.name: next((value for card in cards if (value := getattr(card, item.name)) is not None), None)
        for item in fields(Card)
        if item.name != "says"
    }
    return Card(says=tuple(dict.fromkeys(text for card in cards for text in card.says)), **facts)


def complete(card: Card, *, name: str, oriented: bool) -> DetectorSpec:
    """The detector that a card describes.

    Raises:
        ConfigError: facts are missing; says which and how to state them.
    """
    missing = [ask for fact, ask in ASK.items() if getattr(card, fact) is None]
    if missing or card.classes is None or card.pixel_size_m is None or card.tile_px is None or card.scaling is None:
        source = f"by its {' and '.join(card.says)}" if card.says else "it has no metadata that geopdn knows"
        raise ConfigError(f"detector {name} does not say ({source}): {'; '.join(missing)}")
    return DetectorSpec(
        name=name,
        classes=card.classes,
        pixel_size_m=card.pixel_size_m,
        tile_px=card.tile_px,
        scaling=card.scaling,
        bands=card.bands,
        n_bands=card.n_bands or len(card.bands or ()) or 3,
        oriented=oriented,
        overlap=DEFAULT_OVERLAP if card.overlap is None else card.overlap,
        min_score=DEFAULT_SCORE if card.min_score is None else card.min_score,
    )
