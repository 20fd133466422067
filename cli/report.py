"""`geopdn report`: a result as one HTML page to look through and to review."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geopdn.cli import options
from geopdn.cli.messages import say
from geopdn.errors import SceneError

if TYPE_CHECKING:
    from geopdn.output.found import Found
    from geopdn.output.report.images import Placed


def report(
    result: options.Result,
    *,
    scene: Annotated[
        str | None,
        typer.Option(
            metavar="SCENE", help="Where pictures come from. Default: the result's, beside it or in the working folder."
        ),
    ] = None,
    saliency: options.Expected = None,
    pictures: Annotated[
        int, typer.Option(metavar="N", min=0, help="Pictures of the N best detections, at full resolution.")
    ] = 500,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.html", help="The page. Default: RESULT.html beside the result."),
    ] = None,
    overwrite: options.Overwrite = False,
    allow_vrt: options.AllowVrt = False,
    quiet: options.Quiet = False,
) -> None:
    """Write one HTML page of a result: map, pictures of what was found, histograms, cost, how it was made.

    It loads nothing from anywhere and works without a network. Detections can be marked right or wrong in it and
    missed ones added; `geopdn review` writes the marks to a copy of the result.

    Exit codes: 0 complete, 2 usage, 3 input cannot be used, 6 output cannot be written.

    Example: geopdn report airport.detections.gpkg --saliency airport.saliency.tif
    """
    from geopdn.output.write import check_destination

    target = result.with_suffix(".html") if output is None else output
    inputs: list[str | Path] = [path for path in (result, scene, saliency) if path is not None]
    check_destination(target, inputs=inputs, overwrite=overwrite, endings=(".html", ".htm"))

    from geopdn.output.found import read_found
    from geopdn.output.report.page import write_report

    found = read_found(result)
    whole, close_ups, note = _pictures(found, scene, most=pictures, allow_vrt=allow_vrt)
    if note and not quiet:
        say(f"warning: {note}")
    expected = None
    if saliency is not None:
        from geopdn.cli.report_pictures import expected_counts

        expected = expected_counts(saliency, found.frame)
    write_report(found, target, whole=whole, expected=expected, close_ups=close_ups, note=note)
    if not quiet:
        size = target.stat().st_size / 1e6
        typer.echo(f"Wrote {target} ({size:.1f} MB, {len(close_ups)} pictures), open it in a browser.")


def _pictures(
    found: "Found", scene: str | None, *, most: int, allow_vrt: bool
) -> tuple["Placed | None", list["Placed | None"], str]:
    """The scene, close-ups of the best detections, and what the reader should know of them.

    Raises:
        SceneError: a scene that was named cannot be used.
    """
    from geopdn.cli.project import scene_beside
    from geopdn.cli.report_pictures import ScenePictures, open_shown
    from geopdn.output.report.records import MOST_LISTED

    path = scene
    if path is None:
        beside = scene_beside(found.path)
        path = None if beside is None else str(beside)
    if path is None:
        return None, [], _without(f"The scene {found.frame.name} was not found", found)
    try:
        with open_shown(path, allow_vrt=allow_vrt) as item:
            shown = ScenePictures(item, found.frame)
            n = min(most, MOST_LISTED)
            return shown.whole(), [shown.around(ring) if len(ring) else None for ring in found.rings[:n]], ""
    except SceneError as error:
        if scene is not None:
            raise
        return None, [], _without(f"The scene could not be used ({error})", found)


def _without(why: str, found: "Found") -> str:
    from geopdn.output.fields import PICTURE

    kept = PICTURE in found.table.columns
    rest = "pictures are the small ones that the result keeps" if kept else "there are no pictures"
    return f"{why}: the map shows outlines only, and {rest}. `geopdn report --scene SCENE` makes them."
