"""`geopdn evaluate`: score detections against labels."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geopdn.cli import options
from geopdn.errors import ConfigError

if TYPE_CHECKING:
    from geopdn.detections import SceneFrame


def evaluate(
    detections: Annotated[Path, typer.Argument(help="A file that geopdn wrote, or polygons with a column `score`.")],
    labels: Annotated[Path, typer.Argument(help="What is truly there: vector labels of any CRS.")],
    *,
    scene: Annotated[
        str | None, typer.Option(metavar="SCENE", help="The scene: labels outside it do not count as missed.")
    ] = None,
    iou: Annotated[float, typer.Option(metavar="X", help="Overlap from which an object counts as found.")] = 0.5,
    one_class: Annotated[bool, typer.Option("--one-class", help="Compare places only, not class names.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Also write the report: .md or .json.")
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Score detections against labels.

    Average precision, recall, F1, mean offset, recall by length and by class.

    Example: geopdn evaluate airport.detections.gpkg airport.truth.gpkg --scene airport.tif
    """
    from geopdn.output.write import check_destination

    if not 0 < iou <= 1:
        raise ConfigError(f"--iou {iou}: expected a number above 0 and at most 1")
    if output is not None:
        given: list[str | Path] = [detections, labels, *([scene] if scene else [])]
        check_destination(output, inputs=given, overwrite=overwrite, endings=(".md", ".json"))
    from geopdn.evaluate.report import evaluate_result

    frame = None if scene is None else _frame(scene)
    report = evaluate_result(detections, labels, frame=frame, iou=iou, one_class=one_class)
    record = json.dumps(report.to_dict(), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    if output is not None:
        from geopdn.output.atomic import replacing

        with replacing(output) as temporary:
            temporary.write_text(record if output.suffix.lower() == ".json" else report.to_markdown(), encoding="utf-8")
    typer.echo(record if as_json else report.to_markdown(), nl=False)


def _frame(scene: str) -> "SceneFrame":
    from geopdn.scene import Scene
    from geopdn.scene.frame import frame_of

    with Scene.open(scene) as item:
        return frame_of(item)
