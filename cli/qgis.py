"""`geopdn qgis`: projects of results, and the Processing algorithm."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from geopdn.cli import options
from geopdn.cli.messages import say, tell
from geopdn.errors import ConfigError

qgis = typer.Typer(
    name="qgis",
    help="Projects for QGIS, and the search as a Processing algorithm in it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Profile = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH", help="A user profile of QGIS, or its folder. Default: the one QGIS starts with."),
]


@qgis.command()
def project(
    result: options.Result,
    *,
    scene: Annotated[
        str | None,
        typer.Option(
            metavar="SCENE", help="The raster below. Default: the result's, beside it or in the working folder."
        ),
    ] = None,
    saliency: options.Expected = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.qgz", help="The project. Default: RESULT.qgz beside the result."),
    ] = None,
    overwrite: options.Overwrite = False,
    allow_vrt: options.AllowVrt = False,
    allow_host: options.AllowHosts = None,
    quiet: options.Quiet = False,
) -> None:
    """Write a QGIS project: the scene, expected counts, and all layers of a result, styled and zoomed to the scene.

    Paths are relative: move the folder as a whole.

    Example: geopdn qgis project airport.detections.gpkg --scene airport.tif
    """
    from geopdn.cli.project import scene_beside, write_project_of
    from geopdn.output.write import check_destination

    target = result.with_suffix(".qgz") if output is None else output
    inputs: list[str | Path] = [path for path in (result, scene, saliency) if path is not None]
    check_destination(target, inputs=inputs, overwrite=overwrite, endings=(".qgz",))
    if scene is None:
        beside = scene_beside(result)
        scene = None if beside is None else str(beside)
        if scene is None and not quiet:
            say(f"the scene of {result} is neither beside it nor in the working folder: add it with --scene")
    write_project_of(result, target, scene=scene, saliency=saliency, allow_vrt=allow_vrt, allow_hosts=allow_host or ())
    if not quiet:
        tell(f"Wrote {target}, open it in QGIS.")


@qgis.command()
def install(
    *,
    profile: Profile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")] = False,
) -> None:
    """Put the search into QGIS's Processing toolbox: Scripts > geopdn > Find objects in a huge scene.

    It runs this geopdn; install again after it has moved.

    Example: geopdn qgis install
    """
    from geopdn.model.weights import shipped_models
    from geopdn.qgis.install import check_ours, script_in
    from geopdn.qgis.install import install as write
    from geopdn.qgis.profiles import profile_folders

    command = program()
    for folder in profile_folders(profile):
        path = script_in(folder)
        if path.exists():
            check_ours(path)
        if not dry_run:
            write(folder, command=command, models=sorted(shipped_models()))
        tell(f"{'Would write' if dry_run else 'Wrote'} {path}, which runs {' '.join(command)}")
    if not dry_run:
        tell("Start QGIS again: Processing > Toolbox > Scripts > geopdn.")


@qgis.command()
def uninstall(*, profile: Profile = None) -> None:
    """Remove from QGIS what `geopdn qgis install` wrote there, and nothing else.

    Example: geopdn qgis uninstall
    """
    from geopdn.qgis.install import uninstall as remove
    from geopdn.qgis.profiles import profile_folders

    for folder in profile_folders(profile):
        removed = remove(folder)
        for path in removed:
            tell(f"Removed {path}")
        if not removed:
            tell(f"Nothing of geopdn's in {folder}")


def program() -> list[str]:
    """The command that runs this geopdn: its program in this environment, or this Python with its module.

    Raises:
        ConfigError: Python does not say where it is.
    """
    if not sys.executable:
        raise ConfigError("this Python does not know where it lies: set GEOPDN_EXECUTABLE where QGIS runs")
    beside = Path(sys.executable).with_name("geopdn.exe" if sys.platform == "win32" else "geopdn")
    return [str(beside)] if beside.is_file() else [sys.executable, "-m", "geopdn.cli.main"]
