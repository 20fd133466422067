"""The model behind a result by STAC's Machine Learning Model extension (MLM), version 1.5."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geopdn.config import ModelConfig

MLM = "https://stac-extensions.github.io/mlm/v1.5.0/schema.json"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
TASKS = ("object-detection",)

_NAME = re.compile(r"[^a-zA-Z0-9_.-]+")
_CLASS = re.compile(r"[^0-9A-Za-z_-]+")


@dataclass(frozen=True, slots=True)
class Described:
    """A model as an item describes it.

    Attributes:
        name: short name.
        config: how it is built and fed.
        digest: SHA-256 of the weights, first 16 hex digits.
        href: where the weights are; None for those that came with geopdn, which are named by their digest.
        description: one sentence.
        trained_on: training data in words.
        licence: of the weights.
    """

    name: str
    config: ModelConfig
    digest: str
    href: str | None = None
    description: str = ""
    trained_on: str = ""
    licence: str = ""


def model_properties(model: Described, facts: dict[str, Any]) -> dict[str, Any]:
    """Properties of an item: what the model is, how this run fed it, and what comes out.

    Args:
        model: the model.
        facts: of the run; its stretch says which stored values became 0 and 1.
    """
    config, kind = model.config, model.config.kinds[0]
    given: dict[str, Any] = {
        "name": "windows",
        "description": "Windows of the scene, and its overview, in stored values",
        "bands": list(config.bands),
        "input": {
            "shape": [-1, len(config.bands), kind.tensor, kind.tensor],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": "float32",
        },
        "resize_type": None,
    }
    if facts.get("stretch"):
        given["value_scaling"] = _scaling(facts["stretch"])
    return {
        "mlm:name": mlm_name(model.name),
        "mlm:architecture": "PatchDriveNet",
        "mlm:framework": "PyTorch",
        "mlm:tasks": list(TASKS),
        "mlm:input": [given],
        "mlm:output": [
            {
                "name": "boxes",
                "description": "Of each object centre x and y, length, width (pixels), angle (radians), score, class",
                "tasks": list(TASKS),
                "result": {"shape": [-1, 7], "dim_order": ["object", "value"], "data_type": "float64"},
                "classification:classes": [
                    {"value": value, "name": _CLASS.sub("-", name), "title": name}
                    for value, name in enumerate(config.classes)
                ],
            }
        ],
        "mlm:hyperparameters": {
            key: facts[key] for key in ("budget", "min_score", "merge", "config_hash") if facts.get(key) is not None
        }
        or {"budget": "unknown"},
        "bands": _bands(config),
    }


def model_asset(model: Described) -> dict[str, Any]:
    """The weights as an asset."""
    trained_on = f"Trained on {model.trained_on}" if model.trained_on else ""
    words = [word.rstrip(".") for word in (model.description, trained_on, model.licence) if word]
    return {
        "href": model.href or f"urn:geopdn:model:{mlm_name(model.name)}:{model.digest}",
        "title": f"Weights {model.name} ({model.digest})",
        **({"description": ". ".join(words)} if words else {}),
        "type": "application/octet-stream",
        "roles": ["mlm:model", "mlm:weights"],
        "mlm:artifact_type": "safetensors",
        "bands": _bands(model.config),  # STAC 1.1 allows bands of an item only where an asset has some
    }


def _bands(config: ModelConfig) -> list[dict[str, str]]:
    return [{"name": name} for name in config.bands]


def mlm_name(name: str) -> str:
    """The name with the letters that MLM allows: at least three, the first a letter, the last no sign."""
    plain = _NAME.sub("-", name).strip("_.-")
    return plain if len(plain) > 2 and plain[0].isalpha() else f"model-{plain or 'unnamed'}"


def _scaling(stretch: dict[str, list[float]]) -> list[dict[str, Any]]:
    """The stored values that became 0 and 1, band by band."""
    bands = zip(stretch["low"], stretch["high"], stretch["scale"], stretch["offset"], strict=True)
    return [
        {"type": "min-max", "minimum": (low - offset) / scale, "maximum": (high - offset) / scale}
        for low, high, scale, offset in bands
    ]
