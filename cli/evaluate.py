"""`geopdn evaluate`: score detections against labels."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geopdn.cli import options
from geopdn.cli.destinations import checked_folder
from geopdn.cli.messages import say, tell
from geopdn.errors import ConfigError

if TYPE_CHECKING:
    from geopdn.detections import SceneFrame
    from geopdn.evaluate.evaluation import Evaluation
    from geopdn.scene import Scene

INCOMPLETE = 5
ENDINGS = (".md", ".json")
REPORT, RECORD = "report.md", "report.json"
CURVE, DIAGRAM = "precision_recall.png", "reliability.png"


def evaluate(
    detections: Annotated[
        Path,
        typer.Argument(
            help="A file that geopdn wrote, or polygons with a column `score`; or a folder of "
            "SCENE.detections.gpkg (.geojson, .fgb) as `geopdn detect` writes it."
        ),
    ],
    labels: Annotated[
        Path,
        typer.Argument(
            help="What is truly there: vector labels of any CRS. For several scenes one file, whose column `scene`, "
            "if any, names the scene of each label, or a folder of SCENE.gpkg, SCENE.truth.gpkg or SCENE.labels.gpkg."
        ),
    ],
    *,
    scene: Annotated[
        str | None,
        typer.Option(
            metavar="SCENE", help="The scene: labels outside it, or where it has no pixels, do not count as missed."
        ),
    ] = None,
    iou: Annotated[float, typer.Option(metavar="X", help="Overlap from which an object counts as found.")] = 0.5,
    place: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Which scenes show one place: a regular expression with one group, searched in their names, such as "
            "'^(site[0-9]+)_'. Intervals are by place. Default: each scene is a place.",
        ),
    ] = None,
    label_field: options.LabelField = None,
    layer: options.Layer = None,
    point_size: options.PointSize = None,
    ignore_regions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Polygons of any CRS in which not all objects are labelled: what else is found there counts neither "
            "way.",
        ),
    ] = None,
    one_class: Annotated[bool, typer.Option("--one-class", help="Compare places only, not class names.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Also write the report: a file .md or .json, or a folder for both and two plots (precision against "
            "recall, and reliability).",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Score detections against labels.

    Average precision with upright and turned boxes, precision, recall and F1 with 95 % intervals by place, recall
    by length, class and place, and whether scores are probabilities.

    Exit codes: 0 complete, 2 usage, 3 input cannot be used, 5 scenes without labels or without detections were left
    out, 6 output cannot be written.

    Example: geopdn evaluate airport.detections.gpkg airport.truth.gpkg --scene airport.tif

    Example: geopdn evaluate results labels.gpkg --place '^(site[0-9]+)_' -o report
    """
    if not 0 < iou <= 1:
        raise ConfigError(f"--iou {iou}: expected a number above 0 and at most 1")
    if scene is not None and detections.is_dir():
        raise ConfigError(f"--scene is for one file, {detections} is a folder: leave it out, GeoPackages record theirs")
    given: list[str | Path] = [detections, labels, *(one for one in (scene, ignore_regions) if one)]
    with _checked(output, inputs=given, overwrite=overwrite):
        from geopdn.evaluate.layers import LabelFile
        from geopdn.evaluate.report import evaluate_result

        there = LabelFile(
            labels, layer=layer, label_field=label_field, point_size_m=point_size, ignore_regions=ignore_regions
        )
        with _opened(scene) as (frame, source):
            report = evaluate_result(
                detections, there, frame=frame, source=source, iou=iou, one_class=one_class, place=place
            )
        if output is not None:
            _write(report, output)
    tell(_record(report) if as_json else report.to_markdown(), nl=False)
    for names, what in (
        (report.without_labels, "has detections but no labels"),
        (report.without_result, "has labels but no detections"),
    ):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            say(f"warning: not scored: {names[0]}{more} {what}")
    raise typer.Exit(INCOMPLETE if report.without_labels or report.without_result else 0)


@contextmanager
def _checked(output: Path | None, *, inputs: list[str | Path], overwrite: bool) -> Iterator[None]:
    """Refuse a destination that cannot work; a new folder is made, and removed if it stays empty.

    Raises:
        ConfigError: an unknown ending, or an output that is an input.
        OutputError: a folder is missing or cannot be written, or a file exists.
    """
    from geopdn.output.write import check_destination

    if output is None:
        yield
        return
    if not _is_folder(output):
        check_destination(output, inputs=inputs, overwrite=overwrite, endings=ENDINGS)
        yield
        return
    with checked_folder(output, (REPORT, RECORD, CURVE, DIAGRAM), inputs=inputs, overwrite=overwrite):
        yield


def _write(report: "Evaluation", output: Path) -> None:
    """Write the report to a file, or with its plots to a folder."""
    from geopdn.output.atomic import replacing

    texts = {output: _record(report) if output.suffix.lower() == ".json" else report.to_markdown()}
    if _is_folder(output):
        from geopdn.evaluate.plots import draw_precision_recall, draw_reliability

        draw_precision_recall(report, output / CURVE)
        draw_reliability(report, output / DIAGRAM)
        pictures = [("Precision against recall", CURVE), ("Scores against the share that is right", DIAGRAM)]
        texts = {output / RECORD: _record(report), output / REPORT: report.to_markdown(pictures=pictures)}
    for path, text in texts.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="\n")


def _is_folder(output: Path) -> bool:
    return output.is_dir() or not output.suffix


def _record(report: "Evaluation") -> str:
    return json.dumps(report.to_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


@contextmanager
def _opened(scene: str | None) -> "Iterator[tuple[SceneFrame | None, Scene | None]]":
    """The scene's grid and its pixels, where it is given."""
    if scene is None:
        yield None, None
        return
    from geopdn.scene import Scene
    from geopdn.scene.frame import frame_of

    with Scene.open(scene) as item:
        yield frame_of(item), item
