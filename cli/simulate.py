"""`geopdn simulate`: scenes with truth, for tests and demonstrations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geopdn.cli import options
from geopdn.cli.messages import tell
from geopdn.cli.progress import meter
from geopdn.errors import ConfigError

if TYPE_CHECKING:
    from geopdn.scene.simulation import Kind

KINDS: "dict[str, Kind]" = {"airport": "airport", "harbour": "harbour"}
PIXEL_SIZE_M = {"airport": 0.5, "harbour": 10.0}


def simulate(
    kind: Annotated[str, typer.Argument(metavar="airport|harbour", help="What is drawn.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="TIF", help="The scene; the truth goes to NAME.truth.gpkg.")
    ],
    size: Annotated[int, typer.Option(min=1, help="Side in pixels.")] = 4096,
    seed: Annotated[int, typer.Option(min=0, help="Selects the scene.")] = 0,
    objects: Annotated[int, typer.Option(min=0, help="Objects in it.")] = 50,
    clouds: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the area under clouds.")] = 0.0,
    occupied_share: Annotated[
        float, typer.Option(min=0.001, max=1, help="Share of the area in which the objects stand.")
    ] = 0.05,
    origin: Annotated[
        tuple[float, float],
        typer.Option(metavar="X Y", help="Map coordinates of the upper left corner; scenes of several places differ."),
    ] = (431_000.0, 4_870_000.0),
    epsg: Annotated[int, typer.Option(help="Code of the scene's system, a projected one in metres.")] = 32631,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw a georeferenced scene, with its truth.

    It is drawn tile by tile, of any size; the same values give the same pixels.

    Example: geopdn simulate airport -o airport.tif --size 8192 --seed 3
    """
    if kind not in KINDS:
        raise ConfigError(f"kind of scene {kind!r}: expected {' or '.join(KINDS)}")
    from geopdn.geometry.window import Size
    from geopdn.output.write import check_destination
    from geopdn.scene.simulate import simulate as draw
    from geopdn.scene.simulation import Simulation

    truth = output.with_suffix(".truth.gpkg")
    check_destination(output, overwrite=overwrite, endings=(".tif",))
    check_destination(truth, overwrite=overwrite)
    simulation = Simulation(
        kind=KINDS[kind],
        size=Size(size, size),
        seed=seed,
        n_objects=objects,
        pixel_size_m=PIXEL_SIZE_M[kind],
        epsg=epsg,
        origin=origin,
        clouds=clouds,
        occupied_share=occupied_share,
    )
    with meter(output.name, quiet=quiet, unit="tiles") as show:
        draw(simulation, output, truth=truth, progress=lambda done, total: show("tiles", done, total))
    if not quiet:
        tell(f"Wrote {output} and {truth}.")
