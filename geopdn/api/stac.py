"""STAC items of results: the model is looked up by what the result says of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopdn.errors import CheckpointError, ConfigError, ResultError

if TYPE_CHECKING:
    from geopdn.output.stac import Catalogued
    from geopdn.output.stac_model import Described


def described(weights: Path, digest: str) -> Described:
    """A model as items describe it."""
    from geopdn.model.weights import read_header, shipped_models
    from geopdn.output.stac_model import Described

    header = read_header(weights)
    shipped = weights in shipped_models().values()
    return Described(
        name=header.name,
        config=header.model,
        digest=digest,
        href=None if shipped else str(weights),
        description=header.description,
        trained_on=header.trained_on,
        licence=header.licence,
    )


def model_of(facts: dict[str, Any], model: str | None) -> Described | None:
    """The model that a result was made with, None where its weights are not known here.

    Args:
        facts: of the run.
        model: name or file, None for the shipped one of the name that the result keeps.

    Raises:
        CheckpointError: the model that was named is unknown.
        ConfigError: it is not the one that the result was made with.
    """
    from geopdn.model.weights import find_weights

    name, digest = facts.get("model"), facts.get("model_digest")
    if facts.get("detector") is not None or (name is None and model is None):
        return None  # boxes are another program's, whose description geopdn does not have
    try:
        weights = find_weights(str(name) if model is None else model)
    except CheckpointError:
        if model is not None:
            raise
        return None
    found = hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
    if found != digest:
        if model is None:
            return None
        raise ConfigError(
            f"the result was made with weights {digest} ({name}), {model} has {found}: name those by --model"
        )
    return described(weights, found)


def catalogued(
    result: Path, *, scene: str | None = None, model: str | None = None, stamp: str | None = None
) -> Catalogued:
    """A GeoPackage that geopdn wrote as what becomes an item.

    Args:
        result: the file.
        scene: path or address of its scene, None where it is not known.
        model: name or file of its model, None to look it up.
        stamp: acquisition time, None for the scene's.

    Raises:
        ResultError: geopdn did not write the file.
        ConfigError: the model is another one.
    """
    import pyogrio

    from geopdn.output.saved import read_run
    from geopdn.output.stac import Catalogued

    run = read_run(result)
    try:
        about = pyogrio.read_info(result, layer="detections", force_feature_count=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise ResultError(f"{result} has no layer `detections`: search the scene again") from error
    return Catalogued(
        output=result,
        frame=run.frame,
        facts=run.facts,
        n_detections=int(about["features"]),
        scene=scene,
        model=model_of(run.facts, model),
        stamp=stamp,
    )
