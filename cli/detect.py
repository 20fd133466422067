"""`geopdn detect`: search scenes and write what was found."""

import math
from pathlib import Path
from typing import Annotated

import typer

from geopdn.api.area import read_area
from geopdn.api.device import resolve_device
from geopdn.api.scenes import Reading
from geopdn.cli import options
from geopdn.cli.called import options_of
from geopdn.cli.destinations import checked, plan_jobs
from geopdn.cli.detectors import Stated, load_detector
from geopdn.cli.ledgers import unfinished
from geopdn.cli.memory import bound_of
from geopdn.cli.messages import say
from geopdn.cli.outcomes import INCOMPLETE, outcome_of, outcome_or_error
from geopdn.cli.search import Wish
from geopdn.cli.workers import on_workers
from geopdn.errors import ConfigError

SEVERITY = (6, 4, 3, 2, INCOMPLETE, 0)
"""Exit codes of several scenes: the first of these that occurred."""


def detect(
    context: typer.Context,
    scenes: Annotated[list[str], typer.Argument(metavar="SCENE...", help="Raster files or http(s):// URLs.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The file to write, its ending decides the format; a folder for several scenes. "
            "Default: SCENE.detections.gpkg in the working folder.",
        ),
    ] = None,
    model: options.Model = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="0.2|64w|30s|full",
            help="How much to look at: a share of the pixels, a number of windows, nominal seconds, or everything.",
        ),
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option(
            metavar="0.98", help="Stop when this share of what a full scan would find is expected to be found."
        ),
    ] = None,
    audit: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Also look at N windows drawn at random from what was not selected, beside the budget, and estimate "
            "how many objects were missed, with a 95 % interval.",
        ),
    ] = 0,
    previous: options.Previous = None,
    aoi: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Search only inside these polygons, of any CRS.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(metavar="X", help="Lowest score that is kept; default: the model's own threshold.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="gpkg|geojson|fgb|parquet", help="Format where -o names no file.")
    ] = None,
    saliency: Annotated[
        Path | None, typer.Option(metavar="TIF", help="Also write the expected counts as a raster.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(metavar="PNG", help="Also draw a picture of the run.")] = None,
    pictures: Annotated[
        int,
        typer.Option(metavar="N", min=0, help="Keep small pictures of the N best detections in a .gpkg, for map tips."),
    ] = 500,
    project: Annotated[
        bool, typer.Option("--project", help="Also write a QGIS project, OUT.qgz beside OUT.gpkg: everything in place.")
    ] = False,
    stac: Annotated[
        bool, typer.Option("--stac", help="Also write a STAC item, OUT.stac.json beside OUT: for catalogues.")
    ] = False,
    bands: options.Bands = None,
    device: options.Device = "auto",
    memory: options.Memory = None,
    overwrite: options.Overwrite = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where a run that was stopped or killed ended; scenes that are complete are skipped."
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail at the first window that cannot be read, instead of recording it.")
    ] = False,
    any_scale: options.AnyScale = False,
    allow_vrt: options.AllowVrt = False,
    allow_host: options.AllowHosts = None,
    pixel_output: options.PixelOutput = False,
    no_overviews: options.NoOverviews = False,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Search N scenes at a time, each in a process of its own with its share of the cores; --memory is for "
            "each of them.",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Search scenes on the workers of this dask scheduler (tcp://host:8786); they must see the same paths.",
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    progress_json: Annotated[
        bool, typer.Option("--progress-json", help="Progress as JSON objects, one a line on stderr, for programs.")
    ] = False,
    detector: Annotated[
        Path | None,
        typer.Option(
            metavar="ONNX",
            help="Looks at the windows instead of the model, which only chooses them; without --model everything is "
            "looked at. Its own metadata (Deepness, GeoDeep, Ultralytics) says how it is fed.",
        ),
    ] = None,
    detector_item: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="A STAC item (MLM extension) that describes it."),
    ] = None,
    detector_pixel_size: Annotated[
        float | None, typer.Option(metavar="METRES", help="Pixel size it was trained at.")
    ] = None,
    detector_bands: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="The scene's bands, in the order of its channels."),
    ] = None,
    detector_values: Annotated[
        str | None,
        typer.Option(
            metavar="raw|reflectance|0..3000|2%..98%",
            help="Its values: as stored, physical ones, or what becomes 0 to 1 (0 to 255 with :255).",
        ),
    ] = None,
    detector_classes: Annotated[str | None, typer.Option(metavar="A,B,C", help="Its classes, in order.")] = None,
    detector_tile: Annotated[int | None, typer.Option(metavar="PIXELS", help="Side of its tiles.")] = None,
    detector_overlap: Annotated[
        float | None,
        typer.Option(metavar="PERCENT", help="Overlap of its tiles: twice the longest object."),
    ] = None,
    detector_layout: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT", help="Its output: yolov5, yolov8, yolov8-obb, end2end, end2end-obb or torchvision."
        ),
    ] = None,
) -> None:
    """Find objects in scenes, looking closely only where it pays.

    Exit codes: 0 complete, 2 usage, 3 input cannot be used, 4 resource limit, 5 complete but for windows
    that could not be read, 6 output cannot be written, 130 interrupted.

    Example: geopdn detect airport.tif --budget 0.2 -o airport.gpkg --picture airport.png
    """
    from geopdn.budget import parse_budget

    unguided = detector is not None and model is None
    if unguided and (recall is not None or budget not in (None, "full") or bands is not None or previous):
        raise ConfigError(
            "--budget, --recall, --previous and --bands are for the model that says where the detector should look: "
            "name one by --model (the detector's bands are --detector-bands)"
        )
    if workers is not None and scheduler is not None:
        raise ConfigError("--workers starts processes here, --scheduler has its own elsewhere: give one of them")
    spend = parse_budget("full" if unguided else budget, recall=recall)
    if min_score is not None and not (math.isfinite(min_score) and 0 <= min_score <= 1):
        raise ConfigError(f"--min-score {min_score}: expected a number from 0 to 1")
    bound = bound_of(memory)
    if bound is not None and detector is not None:
        raise ConfigError("--memory bounds searches by geopdn's own models: what a --detector takes is not known")
    if bound is not None and previous:
        raise ConfigError("--memory does not know what earlier dates take: leave it or --previous out")
    jobs = plan_jobs(
        scenes, output=output, format_=format_, saliency=saliency, picture=picture, project=project, stac=stac
    )
    alone = len(jobs) == 1
    if resume:
        jobs = unfinished(jobs, overwrite=overwrite)
        if not jobs:
            return
    reading = Reading(
        bands=options.split_bands(bands),
        any_scale=any_scale,
        allow_vrt=allow_vrt,
        allow_hosts=tuple(allow_host or ()),
        use_overviews=not no_overviews,
        pixel_output=pixel_output,
    )
    stated = Stated(
        file=detector,
        item=detector_item,
        pixel_size=detector_pixel_size,
        bands=detector_bands,
        classes=detector_classes,
        tile=detector_tile,
        overlap=detector_overlap,
        values=detector_values,
        layout=detector_layout,
    )
    given = [path for path in (aoi, detector, detector_item, *(previous or ())) if path is not None]
    with checked(jobs, inputs=given, overwrite=overwrite):
        looking = load_detector(stated, quiet=quiet)  # refuses what no worker could use either
        if unguided and not quiet:
            say("no --model: the detector looks everywhere")
        wish = Wish(
            model=model,
            detector=looking if workers is None and scheduler is None else None,
            budget=spend,
            audit=audit,
            min_score=min_score,
            device=device if device == "auto" else resolve_device(device),
            strict=strict,
            area=None if aoi is None else read_area(aoi),
            reading=reading,
            overwrite=overwrite,
            quiet=quiet,
            memory=bound,
            pictures=pictures,
            progress_json=progress_json,
            called=options_of(context),
            resume=resume,
            previous=tuple(previous or ()),
        )
        if workers is not None or scheduler is not None:
            codes = on_workers(jobs, wish, stated, workers=workers or 1, scheduler=scheduler, as_json=as_json)
        else:
            find = outcome_of if alone else outcome_or_error
            codes = [find(job, wish, as_json=as_json, quiet=quiet).show() for job in jobs]
    raise typer.Exit(next(code for code in SEVERITY if code in codes))
