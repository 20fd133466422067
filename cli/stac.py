"""`geopdn stac`: a STAC item of a result."""

from pathlib import Path
from typing import Annotated

import typer

from geopdn.cli import options
from geopdn.cli.messages import say


def stac(
    result: options.Result,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="JSON", help="The item. Default: RESULT.stac.json beside the result."),
    ] = None,
    scene: Annotated[
        str | None,
        typer.Option(
            metavar="SCENE", help="Its scene. Default: the result's, beside it or in the working folder, or no link."
        ),
    ] = None,
    model: options.Model = None,
    datetime: Annotated[
        str | None,
        typer.Option(metavar="ISO8601", help="When the scene was taken, where its file does not say it."),
    ] = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a STAC item of a result: footprint, time, projection, files, and the model by the MLM extension.

    Addresses of files are relative: move them together. The same result gives the same bytes.

    Example: geopdn stac airport.detections.gpkg --datetime 2024-05-01T10:30:00Z
    """
    from geopdn.api.stac import catalogued
    from geopdn.cli.project import scene_beside
    from geopdn.output.stac import item_path, write_item
    from geopdn.output.write import check_destination

    target = item_path(result) if output is None else output
    inputs: list[str | Path] = [path for path in (result, scene) if path is not None]
    check_destination(target, inputs=inputs, overwrite=overwrite, endings=(".json",))
    if scene is None:
        beside = scene_beside(result)
        scene = None if beside is None else str(beside)
    found = catalogued(result, scene=scene, model=model, stamp=datetime)
    if found.model is None and found.facts.get("model") is not None and not quiet:
        say(f"the weights of {found.facts['model']} are not those shipped under this name, so the item says nothing of "
            "the model: name them by --model")  # fmt: skip
    write_item(found, target)
    if not quiet:
        typer.echo(f"Wrote {target}.")
