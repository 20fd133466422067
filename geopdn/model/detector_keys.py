"""What other programs want to know of a detector: Deepness's and GeoDeep's keys, see `geopdn.detectors.metadata`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geopdn.config import ModelConfig
    from geopdn.model.weights import WeightsHeader

IOU = 0.3  # as results are merged by default
BYTE = 255.0


def detector_keys(header: WeightsHeader) -> dict[str, str]:
    """Keys and JSON values; limits of values only where they can be said (`takes_bytes`)."""
    config, kind = header.model, header.model.kinds[0]
    keys: dict[str, Any] = {
        "model_type": "Detector",
        "class_names": dict(enumerate(config.classes)),
        "resolution": 100 * config.pixel_size_m * (1 << kind.level),  # cm
        "tile_size": kind.tensor,
        "tiles_overlap": 200 * kind.halo / kind.extent,  # %
        "det_conf": header.min_score,
        "det_iou_thresh": IOU,
        "det_type": "YOLO_Ultralytics_obb" if config.has_heading else "YOLO_v5_or_v7_default",
    }
    if takes_bytes(config):
        low, high = (_of_each(side, len(config.bands)) for side in (config.radiometry.low, config.radiometry.high))
        keys["standardization_mean"] = [value / BYTE for value in low]
        keys["standardization_std"] = [(top - bottom) / BYTE for bottom, top in zip(low, high, strict=True)]
    return {key: json.dumps(value) for key, value in keys.items()}


def takes_bytes(config: ModelConfig) -> bool:
    """Whether the model's limits are of 8-bit values, which is all that Deepness and GeoDeep can feed."""
    stretch = config.radiometry
    whole = set(stretch.low) == {0.0} and set(stretch.high) == {BYTE}
    return stretch.kind == "fixed" and (stretch.dtypes == ("uint8",) or (whole and not stretch.dtypes))


def _of_each(values: tuple[float, ...], n: int) -> list[float]:
    return list(values) if len(values) == n else [values[0]] * n
