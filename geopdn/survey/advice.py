"""Whether the windows and the overview of a configuration suit the objects that its labels mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geopdn.survey.draft import sizes_px
from geopdn.survey.recipe import Sizes, levels, overview_scale

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geopdn.config import ModelConfig
    from geopdn.survey.survey import Survey


def window_advice(seen: Survey, model: ModelConfig) -> str:
    """One line: how long the objects are, which levels suit them, and which others the configuration has.

    Args:
        seen: scenes of which at least one has an object.
        model: what is to be trained.
    """
    sizes = Sizes.of(sizes_px(seen, model.pixel_size_m))
    fine, coarse = levels(sizes)
    suits = _choice(range(fine, coarse + 1), overview_scale(sizes))
    has = _choice((kind.level for kind in model.kinds), model.global_scale)
    text = f"objects are mostly {sizes.short:.0f} to {sizes.long:.0f} px long at {model.pixel_size_m:g} m"
    if has == suits:
        return f"{text}: {has} suit them"
    return f"{text}: {suits} would suit them; the configuration has {has} (`geopdn configure` proposes all values)"


def _choice(of_windows: Iterable[int], scale: float) -> str:
    """Levels of windows and of the overview in words."""
    shares = ", ".join(f"1/{1 << level}" for level in sorted(set(of_windows)))
    return f"windows at {shares} and an overview at 1/{round(1 / scale)}"
