"""`geopdn review`: marks that people made in a report, written to a copy of the result."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from geopdn.cli import options


def review(
    result: Annotated[Path, typer.Argument(metavar="RESULT.gpkg", help="The GeoPackage that the report shows.")],
    marks: Annotated[Path, typer.Argument(metavar="MARKS.json", help="The file that the report saved.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.gpkg",
            help="The reviewed copy. Default: RESULT.reviewed.gpkg in the working folder.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write what people marked in a report into a copy of its result, for `evaluate` and `train`.

    In them, what is right or missed is a label, what is wrong is none, and what nobody marked is not scored.

    Exit codes: 0 complete, 2 usage, 3 input cannot be used, 6 output cannot be written.

    Example: geopdn review port.detections.gpkg port.marks.json -o port.reviewed.gpkg
    """
    target = Path(f"{result.stem}.reviewed.gpkg") if output is None else output
    from geopdn.output.write import check_destination

    check_destination(target, inputs=[result, marks], overwrite=overwrite, endings=(".gpkg",))

    from geopdn.output.fields import RIGHT, WRONG
    from geopdn.output.found import read_found
    from geopdn.output.marks import read_marks
    from geopdn.output.review import write_reviewed

    write_reviewed(result, read_marks(marks), target)
    after = read_found(target)
    counts = Counter(after.table["review"])
    record = {"right": counts[RIGHT], "wrong": counts[WRONG], "missed": len(after.added), "open": counts[""]}
    if as_json:
        record_of = {"result": str(result), "output": str(target), **record}
        typer.echo(json.dumps(record_of, allow_nan=False, ensure_ascii=False))
    elif not quiet:
        typer.echo(
            f"{record['right']} of {len(after)} detections are right, {record['wrong']} wrong, {record['open']} not "
            f"reviewed; {record['missed']} objects were missed. Wrote {target}."
        )
