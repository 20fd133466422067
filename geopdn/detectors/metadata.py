"""What an ONNX file says of itself: the keys of Deepness, of GeoDeep and of Ultralytics.

Deepness and GeoDeep write JSON values (https://qgis-plugin-deepness.readthedocs.io, "Adding metadata to ONNX model";
GeoDeep's `scripts/yolo2geodeep.py`), Ultralytics Python literals (`ultralytics/engine/exporter.py`), and YOLOv5's own
exporter writes `names` and `stride` only. Nothing is evaluated: literals are parsed, and bounded.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from geopdn.detectors.card import Card, first_said
from geopdn.detectors.values import BYTES, Scaling
from geopdn.errors import ConfigError, DetectorError

MAX_TEXT = 200_000
MAX_CLASSES = 10_000
MAX_NAME = 200

LAYOUT_OF_DET_TYPE = {
    "YOLO_v5_or_v7_default": "yolov5",
    "YOLO_v5": "yolov5",
    "YOLO_v6": "yolov5",  # its objectness is always 1
    "YOLO_v7": "yolov5",
    "YOLO_v8": "yolov8",
    "YOLO_v9": "yolov8",
    "YOLO_Ultralytics": "yolov8",
    "YOLO_Ultralytics_segmentation": "yolov8",
    "YOLO_Ultralytics_obb": "yolov8-obb",
    "retinanet": "torchvision",
}
"""What Deepness (`DetectorType`) and GeoDeep call the layouts."""

DEEPNESS_KEYS = (
    "model_type", "class_names", "resolution", "tile_size", "tiles_size", "tiles_overlap", "standardization_mean",
    "standardization_std", "det_conf", "det_iou_thresh", "det_type",
)  # fmt: skip
ULTRALYTICS_KEYS = ("names", "stride", "task", "imgsz", "end2end")


def card_of(metadata: Mapping[str, str], *, name: str) -> Card:
    """The card of a file's metadata; Deepness's keys go before Ultralytics's.

    Raises:
        DetectorError: a value cannot be understood, or the model is no detector.
    """
    long = [key for key in (*DEEPNESS_KEYS, *ULTRALYTICS_KEYS) if len(metadata.get(key, "")) > MAX_TEXT]
    if long:
        raise DetectorError(f"{name}: its metadata {long[0]!r} has over {MAX_TEXT} characters: not a detector's card")
    return first_said(_deepness(metadata, name=name), _ultralytics(metadata, name=name))


def _deepness(metadata: Mapping[str, str], *, name: str) -> Card:
    found = {key: _literal(metadata[key], key=key, name=name) for key in DEEPNESS_KEYS if key in metadata}
    if not found:
        return Card()
    kind = str(found.get("model_type", "Detector"))
    if kind.lower() != "detector":
        raise DetectorError(f"{name} is a {kind[:60]!r} by its metadata: expected a Detector")

    def number(key: str) -> float | None:
        return _number(found, key, name=name) if key in found else None

    resolution, overlap, tile = number("resolution"), number("tiles_overlap"), number("tile_size")
    tile = number("tiles_size") if tile is None else tile
    return Card(
        says=("Deepness keys",),
        classes=class_names(found["class_names"], name=name) if "class_names" in found else None,
        pixel_size_m=None if resolution is None else resolution / 100,
        tile_px=None if tile is None else round(tile),
        scaling=_standardized(found, name=name),
        overlap=None if overlap is None else overlap / 100,
        min_score=number("det_conf"),
        layout=_layout(found, name=name),
        iou=number("det_iou_thresh"),
    )


def _standardized(found: Mapping[str, Any], *, name: str) -> Scaling:
    """Bytes as 0 to 1, then the standardization."""
    mean, std = (
        tuple(_numbers(found.get(key, [default]), key=key, name=name))
        for key, default in (("standardization_mean", 0.0), ("standardization_std", 1.0))
    )
    try:
        return replace(BYTES, mean=mean, std=std)
    except ConfigError as error:
        raise DetectorError(f"{name}: standardization_mean and standardization_std: {error}") from None


def _layout(found: Mapping[str, Any], *, name: str) -> str | None:
    if "det_type" not in found:
        return None
    det_type = str(found["det_type"])
    if det_type not in LAYOUT_OF_DET_TYPE:
        known = ", ".join(LAYOUT_OF_DET_TYPE)
        raise DetectorError(f"{name}: det_type {det_type[:60]!r} is not known: expected one of {known}")
    return LAYOUT_OF_DET_TYPE[det_type]


def _ultralytics(metadata: Mapping[str, str], *, name: str) -> Card:
    if "names" not in metadata:
        return Card()
    card = Card(
        says=("Ultralytics keys",),
        classes=class_names(_literal(metadata["names"], key="names", name=name), name=name),
        scaling=BYTES,
    )
    if "imgsz" in metadata:
        sides = _numbers(_literal(metadata["imgsz"], key="imgsz", name=name), key="imgsz", name=name)
        if len(set(sides)) != 1:
            raise DetectorError(f"{name} takes tiles of {sides} px: expected square ones; export it with one imgsz")
        card = replace(card, tile_px=round(sides[0]))
    task = metadata.get("task")
    if task is None:
        return card
    if task not in ("detect", "obb", "segment"):
        raise DetectorError(f"{name} is a model for the task {task[:60]!r}: expected detect, obb or segment")
    final = metadata.get("end2end") == "True" or "'nms': True" in metadata.get("args", "")
    plain = {"detect": "yolov8", "obb": "yolov8-obb", "segment": "yolov8"}
    layout = {"detect": "end2end", "obb": "end2end-obb", "segment": "end2end"} if final else plain
    return replace(card, layout=layout[task])


def class_names(value: Any, *, name: str) -> tuple[str, ...]:
    """Names from a mapping of consecutive numbers from 0 (numbers or texts), a list, or a mapping in a list.

    Raises:
        DetectorError: none of these, gaps, or too many.
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict):
        try:
            numbered = {int(key): text for key, text in value.items()}
        except (TypeError, ValueError):
            numbered = {}
        if sorted(numbered) != list(range(len(value))):
            raise DetectorError(f"{name}: its class names must be numbered from 0 without gaps, got {str(value)[:200]}")
        value = [numbered[number] for number in range(len(value))]
    good = isinstance(value, list | tuple) and 0 < len(value) <= MAX_CLASSES
    if not good or not all(_is_name(text) for text in value):
        raise DetectorError(f"{name}: its class names are {str(value)[:200]}: expected names by number from 0")
    return tuple(text.strip() for text in value)


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and text.isprintable() and 0 < len(text.strip()) <= MAX_NAME


def _literal(text: str, *, key: str, name: str) -> Any:
    """A JSON value or a Python literal; a bare word is a text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        if text.isidentifier():
            return text
        raise DetectorError(f"{name}: its {key} is {text[:80]!r}: expected JSON or a Python literal") from error


def _number(found: Mapping[str, Any], key: str, *, name: str) -> float:
    value = _numbers(found[key], key=key, name=name)
    if len(value) != 1:
        raise DetectorError(f"{name}: its metadata {key} is {str(found[key])[:80]}: expected one number")
    return value[0]


def _numbers(value: Any, *, key: str, name: str) -> list[float]:
    parts = list(value) if isinstance(value, list | tuple) else [value]
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError, OverflowError):
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise DetectorError(f"{name}: its metadata {key} is {str(value)[:80]}: expected numbers")
    return numbers
