"""Options that several commands share, so that they are called, described and understood alike."""

from pathlib import Path
from typing import Annotated

import typer

from geopdn.errors import ConfigError

Model = Annotated[
    str | None,
    typer.Option(metavar="NAME|FILE", help="A shipped model's name (see `geopdn models`) or a .safetensors file."),
]
Bands = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C",
        help="The scene's bands (names or numbers from 1) that stand for the model's bands, in the model's order.",
    ),
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the network runs.")]
AnyScale = Annotated[
    bool, typer.Option("--any-scale", help="Also accept pixels over three times larger or smaller than the model's.")
]
Result = Annotated[Path, typer.Argument(metavar="RESULT.gpkg", help="A GeoPackage that `geopdn detect` wrote.")]
Expected = Annotated[
    Path | None,
    typer.Option("--saliency", metavar="TIF", help="Expected counts, of `geopdn saliency` or `detect --saliency`."),
]
Previous = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SCENE",
        help="An earlier date of the same ground, on any grid; may be given several times. What it shows tells a model "
        "that has learnt from dates better where to look.",
    ),
]
AllowVrt = Annotated[bool, typer.Option("--allow-vrt", help="Accept a VRT whose sources lie in its own folder.")]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Peak memory of the whole process, such as 2GB or 1500MB, on a CPU. Default: no bound; `geopdn info` says "
        "what a run takes.",
    ),
]
AllowHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="HOST",
        help="Trust this host of URLs although it is not a public one; may be given several times.",
    ),
]
NoOverviews = Annotated[
    bool, typer.Option("--no-overviews", help="Do not believe the scene's overviews; read full resolution instead.")
]
PixelOutput = Annotated[
    bool, typer.Option("--pixel-output", help="Accept a scene without CRS and write pixel coordinates (.gpkg only).")
]
LabelField = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="The labels' column with the class names. Default: `label`, where there is one."
    ),
]
Layer = Annotated[
    str | None, typer.Option(metavar="NAME", help="The labels' layer. Default: `labels`, else the only one.")
]
PointSize = Annotated[
    float | None,
    typer.Option(min=0.01, metavar="METRES", help="Side of the square that stands for a label that is a point."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary; errors and warnings remain.")]
SceneFile = Annotated[str, typer.Argument(metavar="SCENE", help="A raster file or an http(s):// URL.")]
OptionalFile = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write.")]


def split_bands(text: str | None) -> tuple[str, ...] | None:
    """The bands of `a,b,c`.

    Raises:
        ConfigError: an empty name.
    """
    if text is None:
        return None
    bands = tuple(part.strip() for part in text.split(","))
    if not all(bands):
        raise ConfigError(f"--bands {text!r}: expected names or numbers with commas between, such as 3,2,1")
    return bands
