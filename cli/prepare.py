"""`geopdn prepare`: an overview with minimum and maximum beside the mean, written once."""

from typing import Annotated

import typer

from geopdn.cli import options
from geopdn.cli.messages import tell
from geopdn.cli.progress import meter


def prepare(
    scene: options.SceneFile,
    *,
    output: options.OptionalFile = None,
    level: Annotated[
        int, typer.Option(min=1, max=3, help="Cells of 2, 4 or 8 pixels; models use 4 or 8, and 8 is derived from 4.")
    ] = 2,
    overwrite: options.Overwrite = False,
    allow_vrt: options.AllowVrt = False,
    allow_host: options.AllowHosts = None,
    quiet: options.Quiet = False,
) -> None:
    """Write a scene's overview once, for later runs.

    They then need not read all pixels. It also holds the minimum and maximum of each cell, which show small
    objects better than means do. Without -o it goes beside the scene as SCENE.geopdn-overview.tif, where `detect`
    finds it; the scene is not changed.

    Example: geopdn prepare airport.tif
    """
    from geopdn.output.write import check_destination
    from geopdn.scene import Scene
    from geopdn.scene.prepare import prepare as write_overview
    from geopdn.scene.prepare import sidecar_path

    with Scene.open(scene, allow_vrt=allow_vrt, allow_hosts=allow_host or ()) as item:
        if "://" not in scene:
            target = output or sidecar_path(scene)
            check_destination(target, inputs=[scene], overwrite=overwrite, endings=(".tif",))
        with meter(item.name, quiet=quiet, unit="pixels") as show:
            path = write_overview(
                item,
                destination=output,
                level=level,
                overwrite=overwrite,
                progress=lambda done, total: show("", done, total),
            )
    if not quiet:
        tell(f"Wrote {path}.")
