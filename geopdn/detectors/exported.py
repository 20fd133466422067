"""What a detector that `geopdn export` wrote says of itself: the header of its weights.

It knows more than Deepness's and GeoDeep's keys, which have no words for bands, physical values or percentiles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from geopdn.config import ModelConfig
from geopdn.detectors.card import Card
from geopdn.detectors.spec import MOST_OVERLAP
from geopdn.detectors.values import Scaling
from geopdn.errors import ConfigError, DetectorError

HEADER = "geopdn"
PART = "geopdn_part"
MAX_TEXT = 4_000_000


def exported_card(metadata: Mapping[str, str], *, name: str) -> Card:
    """The card of a file of geopdn's own, an empty one of others.

    Raises:
        DetectorError: it is another part of a model than the detector, or its header cannot be understood.
    """
    text, part = metadata.get(HEADER), metadata.get(PART)
    if text is None or part is None:
        return Card()
    if part != "detector":
        raise DetectorError(
            f"{name} is the part {part[:60]!r} of a geopdn model, which finds nothing by itself: name the file of its "
            "part 'detector' (geopdn export MODEL --part detector)"
        )
    if len(text) > MAX_TEXT:
        raise DetectorError(f"{name}: its metadata {HEADER!r} has over {MAX_TEXT} characters: not a model's header")
    try:
        record = json.loads(text)
        return _card(ModelConfig.model_validate(record["model"]), min_score=float(record["min_score"]))
    except (ValidationError, ConfigError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DetectorError(
            f"{name}: its geopdn header cannot be understood ({' '.join(str(error).split())[:200]}): export it again"
        ) from error


def _card(config: ModelConfig, *, min_score: float) -> Card:
    kind, stretch = config.kinds[0], config.radiometry
    values: Any = {"fixed": "physical", "percentile": "percentiles"}[stretch.kind]
    return Card(
        says=("geopdn header",),
        classes=config.classes,
        pixel_size_m=config.pixel_size_m * (1 << kind.level),
        tile_px=kind.tensor,
        bands=config.bands,
        n_bands=len(config.bands),
        scaling=Scaling(values, stretch.low, stretch.high, dtypes=stretch.dtypes),  # the network clips by itself
        overlap=min(2 * kind.halo / kind.extent, MOST_OVERLAP),
        min_score=min_score,
        layout="yolov8-obb" if config.has_heading else "yolov5",
    )
