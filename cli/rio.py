"""`rio geopdn`: the search as a command of rasterio's `rio`.

rio takes commands of click's own classes, and Typer has another click inside: this one hands every argument on to
`geopdn detect`, so that there is one list of options. Only `rio` imports this module; rasterio brings click.
"""

import click


@click.command(
    name="geopdn",
    short_help="Find sparse objects in huge scenes.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def geopdn(arguments: tuple[str, ...]) -> None:
    """Find sparse objects in scenes, as `geopdn detect` does: rio geopdn SCENE -o OUT --budget 0.2."""
    from geopdn.cli.main import run

    run(["detect", *(arguments or ("--help",))])
