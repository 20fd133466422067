"""`geopdn saliency`: where objects are expected, as a raster."""

from pathlib import Path
from typing import Annotated

import typer

from geopdn.api.device import resolve_device
from geopdn.api.scenes import Reading, opened, opened_dates
from geopdn.api.search import load_model, require_map
from geopdn.cli import options
from geopdn.cli.memory import bound_of, plan_for, within
from geopdn.cli.messages import say, tell
from geopdn.cli.progress import meter
from geopdn.errors import ConfigError


def saliency(
    scene: options.SceneFile,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="TIF", help="The raster to write.")],
    model: options.Model = None,
    previous: options.Previous = None,
    bands: options.Bands = None,
    device: options.Device = "auto",
    memory: options.Memory = None,
    overwrite: options.Overwrite = False,
    any_scale: options.AnyScale = False,
    allow_vrt: options.AllowVrt = False,
    allow_host: options.AllowHosts = None,
    pixel_output: Annotated[bool, typer.Option("--pixel-output", help="Accept a scene without CRS.")] = False,
    no_overviews: options.NoOverviews = False,
    quiet: options.Quiet = False,
) -> None:
    """Write where objects are expected, as a raster.

    One pixel is one cell of the overview, its value the expected number of objects; nothing is looked at closely.

    Example: geopdn saliency airport.tif -o airport.saliency.tif
    """
    from geopdn.budget import Budget
    from geopdn.output.write import check_destination

    check_destination(output, inputs=[scene, *(previous or ())], overwrite=overwrite, endings=(".tif",))
    place = device if device == "auto" else resolve_device(device)
    bound = bound_of(memory)
    if bound is not None and previous:
        raise ConfigError("--memory does not know what earlier dates take: leave it or --previous out")
    reading = Reading(
        bands=options.split_bands(bands),
        any_scale=any_scale,
        allow_vrt=allow_vrt,
        allow_hosts=tuple(allow_host or ()),
        use_overviews=not no_overviews,
        pixel_output=pixel_output,
    )
    announce = None if quiet else say
    with (
        opened(scene, model=model, reading=reading, announce=announce) as item,
        opened_dates(previous or (), item, reading=reading, announce=announce) as dates,
    ):
        nothing = Budget(windows=0)
        plan = plan_for(
            item.scene, item.source, item.header.model, item.weights, bound=bound, device=place, budget=nothing
        )
        require_map(item.source)
        weights = load_model(item.weights)
        from geopdn.engine import saliency_of
        from geopdn.errors import SceneError
        from geopdn.output.saliency import write_saliency

        with within(plan), meter(item.scene.name, quiet=quiet) as show:
            show("overview", 0, 1)
            result = saliency_of(item.source, weights, device=resolve_device(place), memory=plan, previous=dates)
            show("overview", 1, 1)
        if item.scene.changed():
            raise SceneError(f"{item.scene.name} was changed while it was read: nothing was written, run again")
        write_saliency(result, output, overwrite=overwrite)
    if not quiet:
        expected, cell = result.facts["expected_total"], result.cell_px
        tell(
            f"Expecting {expected:,.1f} objects in {result.frame.name}, by cells of {cell} x {cell} px. Wrote {output}."
        )
    if result.facts["n_failed"]:
        raise typer.Exit(5)
