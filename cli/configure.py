"""`geopdn configure`: look at scenes and labels, write a training configuration that fits them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geopdn.cli import options
from geopdn.cli.messages import say, tell
from geopdn.errors import ConfigError

if TYPE_CHECKING:
    from geopdn.survey.compose import Draft
    from geopdn.survey.survey import Survey


def configure(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCENES... LABELS",
            help="Scenes or a folder of them; last their labels: a vector file of any CRS with boxes, polygons or "
            "points, or a folder with SCENE.gpkg for each scene.",
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="YAML", help="The configuration; its name becomes the model's.")
    ],
    label_field: options.LabelField = None,
    layer: options.Layer = None,
    point_size: options.PointSize = None,
    bands: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Bands to use, names or numbers from 1. Default: all that are common."),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Look at scenes and their labels and write a training configuration that fits them.

    Windows, levels and the overview follow from the sizes of the objects, places are held out, and what is wrong
    with the labels is said. Every value stands in the file with its reason.

    Example: geopdn configure scenes labels.gpkg --label-field kind -o ships.yaml
    """
    if len(inputs) < 2:
        raise ConfigError("expected scenes and, last, their labels: geopdn configure scenes labels.gpkg -o ships.yaml")
    from geopdn.evaluate.layers import LabelFile
    from geopdn.output.atomic import replacing
    from geopdn.output.write import check_destination
    from geopdn.survey.compose import compose, name_from
    from geopdn.survey.draft import make_draft
    from geopdn.survey.find import find_rasters, pair
    from geopdn.survey.problems import counted, stop_at_errors
    from geopdn.survey.sides import side_problems
    from geopdn.survey.survey import survey

    check_destination(output, inputs=inputs, overwrite=overwrite, endings=(".yaml", ".yml"))
    given = LabelFile(inputs[-1], layer=layer, label_field=label_field, point_size_m=point_size)
    pairs, labels = pair(find_rasters(inputs[:-1]), given)
    seen = survey(pairs)
    stop_at_errors(seen.problems, say=say)
    n_objects = sum(len(scene.truth) for scene in seen.scenes)
    say(f"{counted(len(pairs), 'scene')}, {counted(n_objects, 'object')}; looking at pixel values")
    draft = make_draft(seen, name=name_from(output.stem), labels=labels, bands=options.split_bands(bands))
    of_split = list(side_problems(seen.scenes, draft.split.sides, seen.classes))
    stop_at_errors(of_split, say=say)
    text = compose(draft, folder=output.absolute().parent)
    with replacing(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    _summary(draft, seen, n_problems=len(seen.problems) + len(of_split))
    weights = Path("runs") / draft.name / f"{draft.name}.safetensors"
    tell(f"Wrote {output}. Read it, change what you know better, then:")
    tell(f"  geopdn train {output}")
    tell(f"  geopdn detect SCENE --model {weights}")


def _summary(draft: "Draft", seen: "Survey", *, n_problems: int) -> None:
    """Objects, sizes and choices as a table on stdout."""
    import numpy as np

    from geopdn.cli.tables import print_facts
    from geopdn.survey.problems import counted

    sides = np.concatenate([scene.sides_m for scene in seen.scenes])
    label = np.concatenate([scene.truth.labels for scene in seen.scenes])
    size = draft.values.pixel_size_m
    rows = [("scenes", f"{len(seen.scenes)}, pixels of {size:g} m, bands {', '.join(draft.values.bands)}")]
    for index, (name, n) in enumerate(draft.counts.items()):
        rows.append((name, f"{counted(n, 'object')}{_range(sides[label == index, 0], size)}"))
    windows = ", ".join(f"{kind.extent} px at 1/{1 << kind.level}" for kind in draft.recipe.kinds)
    rows += [
        ("windows", f"{windows}; overview at 1/{round(1 / draft.recipe.global_scale)}"),
        *((side, _side(draft, seen, side)) for side in ("train", "calibration", "validation")),
        ("problems", f"{n_problems}, in the warnings above" if n_problems else "none"),
    ]
    print_facts(rows)


def _side(draft: "Draft", seen: "Survey", side: str) -> str:
    """Scenes, objects and places of one side of the split."""
    from geopdn.survey.problems import counted, few

    every = zip(seen.scenes, draft.split.places, strict=True)
    mine = [(len(scene.truth), place) for scene, place in every if draft.split.side_of(place) == side]
    if not mine:
        return "none"
    scenes, objects = counted(len(mine), "scene"), counted(sum(n for n, _ in mine), "object")
    return f"{scenes}, {objects}: {few(sorted({place for _, place in mine}), most=8)}"


def _range(lengths: object, pixel_m: float) -> str:
    """Lengths in metres and in pixels, empty where there are none."""
    import numpy as np

    values = np.asarray(lengths, np.float64)
    if not len(values):
        return ""
    low, middle, high = np.percentile(values, [10, 50, 90])
    metres = f"{low:.3g} to {high:.3g} m long, half under {middle:.3g} m"
    return f", {metres} ({low / pixel_m:.0f} to {high / pixel_m:.0f} px)"
