"""What a STAC item with the Machine Learning Model extension says of a detector.

https://github.com/stac-extensions/mlm, versions 1.4 and 1.5: `mlm:input`, `mlm:output`, `value_scaling`,
`classification:classes`, and `gsd` of the item, its bands or its model asset. No link in it is followed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from geopdn.detectors.card import Card
from geopdn.detectors.metadata import class_names
from geopdn.detectors.values import STORED, Scaling
from geopdn.errors import ConfigError, DetectorError

MAX_BYTES = 4_000_000
FLOATS = ("float32", "float64")
GSD_KEYS = ("gsd", "spatial_resolution", "raster:spatial_resolution")


def read_item(path: Path) -> Card:
    """The card of an item.

    Raises:
        DetectorError: it cannot be read, or does not describe a detector that geopdn can feed.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DetectorError(f"{path} has over {MAX_BYTES} bytes: expected a STAC item")
        item = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DetectorError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DetectorError(f"{path} is not JSON: expected a STAC item") from error
    properties = item.get("properties") if isinstance(item, dict) else None
    if not isinstance(properties, dict) or "mlm:input" not in properties:
        raise DetectorError(f"{path} has no 'mlm:input' in its properties: expected a STAC item with the MLM extension")
    try:
        return _card(item, properties, name=path.name)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DetectorError(f"{path} cannot be understood as a STAC MLM item: {error!r}") from error


def _card(item: dict[str, Any], properties: dict[str, Any], *, name: str) -> Card:
    inputs, outputs = properties["mlm:input"], properties.get("mlm:output", [])
    if len(inputs) != 1 or len(outputs) > 1:
        raise DetectorError(f"{name}: {len(inputs)} inputs and {len(outputs)} outputs: expected one of each")
    given, result = inputs[0], outputs[0] if outputs else {}
    tasks = result.get("tasks", properties.get("mlm:tasks", []))
    if tasks and not {"object-detection", "detection"} & set(tasks):
        raise DetectorError(f"{name} describes a model for {', '.join(map(str, tasks))}: expected object-detection")
    bands = tuple(_band(band, name=name) for band in given.get("bands", []))
    sides = dict(zip(given["input"]["dim_order"], given["input"]["shape"], strict=True))
    if sides["height"] != sides["width"]:
        raise DetectorError(f"{name}: tiles of {sides['width']} x {sides['height']} px: expected square ones")
    classes = result.get("classification:classes", result.get("classification_classes"))
    named = None if not classes else {c.get("value", i): c.get("name", c.get("title")) for i, c in enumerate(classes)}
    return Card(
        says=("STAC MLM item",),
        classes=None if named is None else class_names(named, name=name),
        pixel_size_m=_gsd(item, properties),
        tile_px=int(sides["width"]) if sides["width"] > 0 else None,
        bands=bands or None,
        n_bands=len(bands) or max(0, *(int(sides.get(key, 0)) for key in ("channel", "bands"))) or None,
        scaling=_scaling(given, name=name),
    )


def _band(band: Any, *, name: str) -> str:
    if isinstance(band, dict):
        if band.get("expression") is not None:
            raise DetectorError(f"{name}: band {band.get('name')!r} is computed: only bands of the scene can be fed")
        band = band["name"]
    return str(band)


def _gsd(item: dict[str, Any], properties: dict[str, Any]) -> float | None:
    """Ground sampling distance in metres: the item's, else the one that all bands of the item or an asset share."""
    if properties.get("gsd") is not None:
        return float(properties["gsd"])
    found = set()
    for owner in (properties, *item.get("assets", {}).values()):
        for part in (owner, *(band for key in ("bands", "raster:bands", "eo:bands") for band in owner.get(key, []))):
            found |= {part[key] for key in GSD_KEYS if part.get(key)}
    return float(next(iter(found))) if len(found) == 1 else None


def _scaling(given: dict[str, Any], *, name: str) -> Scaling | None:
    """The input's scaling, of stored values; None where it is told in a way that cannot be followed."""
    stated = given.get("value_scaling")
    if stated is None:
        elsewhere = ("pre_processing_function", "norm_type", "statistics", "scaling")  # the middle ones before 1.4
        return None if any(given.get(key) for key in elsewhere) else STORED
    if given.get("pre_processing_function"):
        return None
    steps = stated if isinstance(stated, list) else [stated]
    low, high, mean, std = (tuple(side) for side in zip(*(_step(one, name=name) for one in steps), strict=True))
    mean, std = (side if len(set(side)) > 1 else side[:1] for side in (mean, std))
    try:
        dtypes = FLOATS if any(_of_unit_values(one) for one in steps) else ()
        return Scaling("stored", low, high, mean=mean, std=std, dtypes=dtypes)
    except ConfigError as error:
        raise DetectorError(f"{name}: value_scaling: {error}") from None


def _step(one: dict[str, Any], *, name: str) -> tuple[float, float, float, float]:
    """Low, high, mean and standard deviation, as of `Scaling`."""
    kind = one["type"]
    if kind is None:
        return 0.0, 1.0, 0.0, 1.0
    if kind == "min-max":
        return float(one["minimum"]), float(one["maximum"]), 0.0, 1.0
    if kind == "z-score":
        return 0.0, 1.0, float(one["mean"]), float(one["stddev"])
    if kind == "offset":
        return 0.0, 1.0, float(one["value"]), 1.0
    if kind == "scale":
        return 0.0, float(one["value"]), 0.0, 1.0
    raise DetectorError(
        f"{name}: value_scaling of type {str(kind)[:60]!r} cannot be followed: expected min-max, z-score, offset or "
        "scale; state the values with --detector-values"
    )


def _of_unit_values(one: dict[str, Any]) -> bool:
    """Whether a scaling is meant for values from 0 to 1, like ImageNet's mean and standard deviation."""
    numbers = {"z-score": ("mean", "stddev"), "min-max": ("minimum", "maximum")}.get(one["type"], ())
    return bool(numbers) and all(abs(float(one[key])) <= 1 for key in numbers)
