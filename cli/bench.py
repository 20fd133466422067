"""`geopdn bench`: accuracy against cost, on the user's own scenes."""

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geopdn.cli import options
from geopdn.cli.destinations import checked_folder
from geopdn.cli.messages import say, tell
from geopdn.errors import ConfigError

if TYPE_CHECKING:
    from geopdn.evaluate.bench import Row, Strategy

FILES = REPORT, RECORD, PICTURE = "bench.md", "bench.json", "bench.png"


def bench(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCENE... LABELS",
            help="Scenes, and last what is truly there: a vector file, or a folder with SCENE.gpkg for each scene.",
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help=f"Where {REPORT}, {RECORD} and {PICTURE} go."),
    ] = None,
    model: options.Model = None,
    shares: Annotated[
        str, typer.Option(metavar="A,B,...", help="Budgets as shares of the pixels.")
    ] = "0.02,0.05,0.1,0.2,0.4",
    recalls: Annotated[
        str, typer.Option(metavar="A,B,...", help="Recall targets for the default strategy; empty for none.")
    ] = "0.8,0.9,0.95,0.98",
    strategy: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A strategy to measure (may be repeated). Default: all of them."),
    ] = None,
    sahi: Annotated[
        bool, typer.Option("--sahi", help="Also run SAHI on the same network (pip install 'geopdn[bench]').")
    ] = False,
    iou: Annotated[float, typer.Option(metavar="X", help="Overlap from which an object counts as found.")] = 0.5,
    device: options.Device = "auto",
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Measure accuracy against cost: full scan, random windows, rivals' rules, PatchDriveNet.

    Every row of the table is a run of its own with the same weights.

    Example: geopdn bench airport.tif airport.truth.gpkg -o bench
    """
    if len(inputs) < 2:
        raise ConfigError("expected scenes and, last, their labels: geopdn bench scene.tif labels.gpkg")
    if not 0 < iou <= 1:
        raise ConfigError(f"--iou {iou}: expected a number above 0 and at most 1")
    budgets, targets = _numbers("--shares", shares), _numbers("--recalls", recalls)
    folder = nullcontext() if output is None else checked_folder(output, FILES, inputs=inputs, overwrite=overwrite)
    with folder:
        from geopdn.api.device import resolve_device
        from geopdn.api.scenes import Reading, choose_model
        from geopdn.api.search import load_model
        from geopdn.cli.measure import bytes_read
        from geopdn.evaluate.bench import run_bench, strategies, to_markdown
        from geopdn.evaluate.labelled import labelled
        from geopdn.model.weights import find_weights

        scenes = [labelled(scene, inputs[-1]) for scene in inputs[:-1]]
        weights = find_weights(model) if model is not None else choose_model(str(inputs[0]), Reading())
        loaded = load_model(weights)
        rows = run_bench(
            scenes,
            loaded,
            chosen=_chosen(strategies(loaded.header.model.kinds), strategy),
            shares=budgets,
            recalls=targets,
            iou=iou,
            device=resolve_device(device),
            bytes_read=bytes_read,
            with_sahi=sahi,
            say=say,
        )
        text = to_markdown(rows)
        record = json.dumps([row.to_dict() for row in rows], indent=1, allow_nan=False) + "\n"
        if output is not None:
            _write(output, text, record, rows, title=f"{loaded.header.name}, {len(scenes)} scenes, IoU {iou:g}")
    tell(record if as_json else text, nl=False)


def _numbers(option: str, text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        values = [-1.0]
    if not all(0 < value <= 1 for value in values):
        raise ConfigError(f"{option} {text!r}: expected numbers above 0 and at most 1 with commas between: 0.05,0.1")
    return values


def _chosen(known: "Sequence[Strategy]", wanted: Sequence[str] | None) -> "list[Strategy]":
    names = {item.name: item for item in known}
    unknown = [name for name in wanted or [] if name not in names]
    if unknown:
        raise ConfigError(f"--strategy {unknown[0]!r}: expected one of {'; '.join(names)}")
    return [names[name] for name in wanted] if wanted else list(known)


def _write(folder: Path, text: str, record: str, rows: "Sequence[Row]", *, title: str) -> None:
    from geopdn.evaluate.bench_picture import draw_bench
    from geopdn.output.atomic import replacing

    for name, content in ((REPORT, text), (RECORD, record)):
        with replacing(folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    with replacing(folder / PICTURE) as temporary:
        draw_bench(rows, temporary, title=title)
    say(f"wrote {folder / REPORT}, {RECORD} and {PICTURE}")
