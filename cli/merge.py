"""`geopdn merge`: decide again what a run found, without the model."""

import json
import re
import time
from pathlib import Path
from typing import Annotated

import typer

from geopdn.cli import options
from geopdn.cli.messages import tell
from geopdn.errors import ConfigError

METHODS = ("nms", "soft", "wbf")
_SCORE = re.compile(r"(.+?)=([^=,]*)(?:,|\Z)", re.DOTALL)


def merge(
    result: Annotated[Path, typer.Argument(metavar="RESULT.gpkg", help="A GeoPackage that `geopdn detect` wrote.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="The file to write, its ending decides the format. Default: RESULT.merged.gpkg in the working folder.",
        ),
    ] = None,
    min_score: Annotated[
        str | None,
        typer.Option(
            metavar="X|CLASS=X,CLASS=Y",
            help="Lowest score that is kept, of all classes or of some. Default: as it was.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--merge",
            metavar="nms|soft|wbf",
            help="Of boxes that show one object the best stands, all stand with lower scores, or they become their "
            "mean. Default: as it was.",
        ),
    ] = None,
    iou: Annotated[
        float | None,
        typer.Option(metavar="0.3", help="Boxes that overlap by more show one object. Default: as it was."),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make new detections from the raw ones of a run, with other scores or another rule, in seconds.

    Exit codes: 0 complete, 2 usage, 3 input cannot be used, 6 output cannot be written.

    Example: geopdn merge port.detections.gpkg --min-score vessel=0.3,aircraft=0.6 -o port.strict.gpkg
    """
    scores = None if min_score is None else parse_scores(min_score)
    if method is not None and method not in METHODS:
        raise ConfigError(f"--merge {method!r}: expected {', '.join(METHODS)}")
    if iou is not None and not 0 <= iou < 1:
        raise ConfigError(f"--iou {iou}: expected a number from 0 to below 1")
    target = Path(f"{result.stem}.merged.gpkg") if output is None else output

    from geopdn.output.write import check_crs, check_destination, write_result

    check_destination(target, inputs=[result], overwrite=overwrite)

    from geopdn.output.saved import read_run
    from geopdn.output.summary import merged_json, merged_text
    from geopdn.remerge import remerge

    started = time.monotonic()
    run = read_run(result)
    check_crs(target, run.frame.crs)
    merged = remerge(run, min_score=scores, method=method, iou=iou)  # type: ignore[arg-type]
    write_result(merged, target, overwrite=overwrite)
    seconds = time.monotonic() - started
    if as_json:
        record = {"result": str(result), **merged_json(merged, seconds=seconds, output=target)}
        tell(json.dumps(record, allow_nan=False, ensure_ascii=False))
    elif not quiet:
        tell(merged_text(merged, seconds=seconds, output=target))


def parse_scores(text: str) -> float | dict[str, float]:
    """`0.4` as a number, `vessel=0.3,aircraft=0.6` by class; names may hold commas and equals signs.

    Raises:
        ConfigError: it is neither.
    """
    try:
        return _by_class(text) if "=" in text else _score(text)
    except ValueError as error:
        raise ConfigError(
            f"--min-score {text!r}: expected a number from 0 to 1, or CLASS=NUMBER for some classes, by commas"
        ) from error


def _by_class(text: str) -> dict[str, float]:
    found = list(_SCORE.finditer(text))
    if "".join(match[0] for match in found) != text or text.endswith(","):
        raise ValueError(text)
    return {match[1].strip(): _score(match[2]) for match in found}


def _score(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value
