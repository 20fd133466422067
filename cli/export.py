"""`geopdn export`: a model's three streams, and a detector that stands alone, as ONNX files."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geopdn.cli import options
from geopdn.cli.destinations import checked_folder
from geopdn.cli.messages import say, tell
from geopdn.cli.progress import meter
from geopdn.errors import ConfigError

if TYPE_CHECKING:
    from geopdn.model.export import OnnxPart
    from geopdn.model.weights import WeightsHeader


def export(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A shipped model's name (see `geopdn models`) or a .safetensors file."),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where MODEL.PART.onnx go. Default: here.")
    ] = Path(),
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="global|highres|fusion|detector", help="One of the files, may be repeated. Default: all four."
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a model as ONNX: its three streams, and a detector for other programs.

    The detector looks at one window without the global stream; QGIS with Deepness, GeoDeep and `geopdn detect
    --detector` run it by what it says of itself. Every file is compared with PyTorch before it appears. This takes a
    quarter of a minute to a minute a file.

    Example: geopdn export aircraft-50cm --part detector
    """
    from geopdn.model.export import export_part, require_onnx
    from geopdn.model.parts import PARTS
    from geopdn.model.weights import find_weights, load_weights
    from geopdn.output.atomic import replacing

    parts = list(dict.fromkeys(part or PARTS))
    unknown = [name for name in parts if name not in PARTS]
    if unknown:
        raise ConfigError(f"--part {unknown[0]!r}: expected {', '.join(PARTS)}")
    require_onnx()
    weights = find_weights(model)
    names = {name: f"{weights.stem}.{name}.onnx" for name in parts}
    with checked_folder(output, list(names.values()), inputs=[weights], overwrite=overwrite):
        loaded = load_weights(weights)
        done = []
        with meter(weights.stem, quiet=quiet, unit="parts") as show:
            for number, name in enumerate(parts):
                show("parts", number, len(parts))
                done.append(export_part(loaded, name))
            show("parts", len(parts), len(parts))
        with ExitStack() as files:  # all of them, or none
            for item in done:
                files.enter_context(replacing(output / names[item.part])).write_bytes(item.content)
    if as_json:
        record = {
            "model": loaded.header.name,
            "weights": loaded.digest,
            "licence": loaded.header.licence,
            "files": [_record(item, output / names[item.part], loaded.header) for item in done],
        }
        tell(json.dumps(record, allow_nan=False, ensure_ascii=False))
        return
    if any(item.difference is None for item in done):
        say("warning: not compared with PyTorch, as onnxruntime is not installed: pip install onnxruntime")
    if not quiet:
        tell(_summary(done, [output / name for name in names.values()], loaded.header))


def _record(item: "OnnxPart", path: Path, header: "WeightsHeader") -> dict[str, Any]:
    return {
        "part": item.part,
        "output": str(path),
        "bytes": len(item.content),
        "inputs": {name: list(shape) for name, shape in item.inputs.items()},
        "outputs": {name: list(shape) for name, shape in item.outputs.items()},
        "difference": item.difference,
        "values": _values(header, alone=item.part == "detector"),
    }


def _summary(done: "list[OnnxPart]", paths: list[Path], header: "WeightsHeader") -> str:
    """One paragraph: files, how they were compared, what goes in and comes out, what values are."""
    size = sum(len(item.content) for item in done) / 1e6
    text = [f"Wrote {_listed([str(path) for path in paths])} ({size:.1f} MB)"]
    differences = [item.difference for item in done if item.difference is not None]
    if differences:
        text[0] += f", which answer as PyTorch does, to {max(differences):.1g} of the largest value"
    text += [f"{item.part} takes {_shapes(item.inputs)} and gives {_shapes(item.outputs)}" for item in done]
    text.append(_values(header, alone=any(item.part == "detector" for item in done)))
    text.append(f"Licence of the weights: {header.licence or 'unknown'}")
    return ". ".join(text) + "."


def _shapes(shapes: dict[str, tuple[int | str, ...]]) -> str:
    return _listed([f"{name} [{', '.join(map(str, shape))}]" for name, shape in shapes.items()])


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _values(header: "WeightsHeader", *, alone: bool) -> str:
    """What the caller has to feed; for a detector that stands alone also what other programs can do of it."""
    from geopdn.model.detector_keys import takes_bytes

    config = header.model
    stretch = config.radiometry
    low, high = (", ".join(f"{value:g}" for value in side) for side in (stretch.low, stretch.high))
    if stretch.kind == "percentile":
        text = f"percentiles {low} and {high} of each band of the scene as 0 and 1"
    else:
        text = f"physical values (stored * scale + offset) {low} to {high} as 0 to 1"
    text = f"Values: bands {', '.join(config.bands)}, {text}"
    if not alone:
        return text
    if takes_bytes(config):
        return f"{text}; programs that read the detector's keys do that to 8-bit rasters"
    return (
        f"{text}; `geopdn detect --detector` does that by itself, Deepness and GeoDeep cannot: give them an 8-bit "
        "raster of these bands in which 0 and 255 stand for these two values"
    )
