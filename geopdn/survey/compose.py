"""A training configuration as text, with the reason beside every value that was chosen."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from geopdn.config_file import read_train_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopdn.evaluate.layers import LabelFile
    from geopdn.survey.recipe import Recipe
    from geopdn.survey.split import Split
    from geopdn.survey.values import Values

WIDTH = 120


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of `data.sources`.

    Attributes:
        scenes: glob pattern relative to the root.
        labels: path or pattern with `{stem}`, and how it is read.
    """

    scenes: str
    labels: LabelFile


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything that a configuration is written from.

    Attributes:
        name: of the model.
        counts: objects of each class.
        has_heading: whether boxes are turned.
        heading_reason: why.
        root: folder of the scenes.
        sources: scenes with labels.
        values: bands, pixel size, radiometry.
        recipe: what depends on sizes.
        split: what is held out.
        pretrained: whether ImageNet features are installed.
    """

    name: str
    counts: dict[str, int]
    has_heading: bool
    heading_reason: str
    root: Path
    sources: tuple[Source, ...]
    values: Values
    recipe: Recipe
    split: Split
    pretrained: bool


def compose(draft: Draft, *, folder: Path) -> str:
    """The configuration as YAML, which `load_train_config` accepts.

    Args:
        draft: what it says.
        folder: folder that it will lie in; its paths are relative to it.

    Raises:
        ConfigError: a value is not accepted, such as the name of a class.
    """
    classes = list(draft.counts)
    n = sum(draft.counts.values())
    description = f"{', '.join(classes)} in pixels of {draft.values.pixel_size_m:g} m"
    lines = [
        f"# Written by `geopdn configure` from {len(draft.split.places)} scenes with {n} objects.",
        "# Every value may be changed; what is left out has the defaults of geopdn/config.py.",
        f"name: {_value(draft.name)}",
        f"description: {_value(description)}",
        f"trained_on: {_value('')} # the scenes and labels in words, for whoever gets the weights",
        f"licence: {_value('')} # of the weights, as the scenes and labels allow",
        *_line("match_iou", draft.recipe.match_iou, draft.recipe.reasons, indent=0),
        *_model(draft),
        *_data(draft, folder=folder),
        *_training(draft),
    ]
    text = "\n".join(lines) + "\n"
    read_train_config(text, name="the proposed configuration")
    return text


def _model(draft: Draft) -> list[str]:
    recipe, values, why = draft.recipe, draft.values, draft.recipe.reasons
    radiometry = values.radiometry
    limits = f"kind: {radiometry.kind}, low: {_value(list(radiometry.low))}, high: {_value(list(radiometry.high))}"
    types = f", dtypes: {_value(list(radiometry.dtypes))}" if radiometry.dtypes else ""
    backbones = [f"  {key}: timm:tf_efficientnet_lite0" for key in ("global_backbone", "highres_backbone")]
    kinds = [
        f"    - {{extent: {kind.extent}, level: {kind.level}, halo: {kind.halo}}}"
        + (f" # {kind.extent} px of the scene, read as {kind.tensor}" if kind.level else "")
        for kind in recipe.kinds
    ]
    return [
        "",
        "model:",
        f"  classes: {_value(list(draft.counts))} # {', '.join(f'{count}' for count in draft.counts.values())} objects",
        *_line("bands", list(values.bands), {"bands": values.bands_reason}),
        *_line("pixel_size_m", values.pixel_size_m, {"pixel_size_m": values.pixel_reason}),
        *_comment(values.radiometry_reason, indent=2),
        f"  radiometry: {{{limits}{types}}}",
        *_line("global_scale", recipe.global_scale, why),
        *_line("size_edges_px", list(recipe.size_edges_px), why),
        *_comment(why["kinds"], indent=2),
        "  kinds:",
        *kinds,
        *_line("has_heading", draft.has_heading, {"has_heading": draft.heading_reason}),
        *(backbones if draft.pretrained else []),
        *_line("head_stride", recipe.head_stride, why),
        *_line("neck", recipe.neck, why),
    ]


def _data(draft: Draft, *, folder: Path) -> list[str]:
    split = draft.split
    lines = ["", "data:", f"  root: {_value(_relative(draft.root, folder))} # relative to this file", "  sources:"]
    for source in draft.sources:
        lines += [
            f"    - scenes: {_value(source.scenes)}",
            f"      labels: {_value(_relative(source.labels.path, draft.root))}",
        ]
        for key in ("layer", "label_field", "point_size_m"):
            value = getattr(source.labels, key)
            if value is not None:
                lines.append(f"      {key}: {_value(value)}")
        lines.append(f"      place: {json.dumps(split.pattern)} # takes the place out of a scene's name")
    per_side = {side: sum(of == side for of in split.sides) for side in ("train", "calibration", "validation")}
    lines += [
        *_comment(
            f"{split.reason}. {per_side['train']} scenes to train on, {per_side['calibration']} to calibrate, "
            f"{per_side['validation']} to score",
            indent=2,
        ),
        f"  validation: {_value(list(split.validation))} # never trained on: scores come from here",
        f"  calibration: {_value(list(split.calibration))} # never trained on: thresholds are fitted here",
    ]
    return lines


def _training(draft: Draft) -> list[str]:
    why = draft.recipe.reasons
    pretrained = (
        "ImageNet features: with few objects several times better than from scratch"
        if draft.pretrained
        else "`pip install 'geopdn[train]'` and configure again for ImageNet features, much better with few objects"
    )
    return [
        "",
        "training:",
        "  seed: 1",
        *_line("pretrained", draft.pretrained, {"pretrained": pretrained}),
        *_line("region_px", draft.recipe.region_px, why),
        *_line("window_px", draft.recipe.window_px, why),
        "  windows: 2",
        *_line("level_shares", list(draft.recipe.level_shares), why),
        "  object_share: 0.75 # of the windows; the rest shows ground without objects too",
        *(("  rotation_deg: 45 # objects lie in any direction",) if draft.has_heading else ()),
        "  zoom: 1.35",
        "  gain: 0.3",
        *(
            ("  other_overviews: 0.5 # coarse windows as files' own overviews show them, sharper than means",)
            if any(draft.recipe.level_shares[1:])
            else ()
        ),
        "  context_dropout: 0.5 # what lies around helps, but is not to be relied on elsewhere",
        "  box_weight: 3 # against the score maps: at 1 boxes are learnt too late",
        "  batch: 4 # regions a step, with 2 windows each: what two cores do in one to three seconds",
        *_line("steps", draft.recipe.steps, why),
        "  learning_rate: 0.002",
        "  warmup: 100",
        "  ema: 0.997",
        "  checkpoint_every: 100",
    ]


def _line(key: str, value: Any, reasons: dict[str, str], *, indent: int = 2) -> list[str]:
    """`key: value # reason`, the reason above where the line would be long."""
    line = f"{' ' * indent}{key}: {_value(value)}"
    short = f"{line} # {reasons[key]}"
    return [short] if len(short) <= WIDTH else [*_comment(reasons[key], indent=indent), line]


def _comment(text: str, *, indent: int) -> list[str]:
    """A comment, wrapped."""
    import textwrap

    mark = f"{' ' * indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=mark, subsequent_indent=mark)


def _value(value: Any) -> str:
    """A scalar or a list on one line, quoted where YAML would take it for something else."""
    text: str = yaml.safe_dump(_plain(value), default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any) -> Any:
    """Whole numbers as such."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _relative(path: Path, folder: Path) -> str:
    """A path relative to a folder, with forward slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()


def name_from(stem: str) -> str:
    """A name of a model after the name of a file."""
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem.lower())
    return letters.strip("-")[:60] or "my-objects"


def sources_of(scenes: Sequence[Path], labels: LabelFile, *, root: Path) -> tuple[Source, ...]:
    """Patterns for the scenes: one a file ending where all such files of the folder are meant, else one a scene.

    Args:
        scenes: files under `root`.
        labels: their labels, whose path may hold `{stem}`.
        root: folder that patterns are relative to.
    """
    import glob

    from geopdn.scene.sidecar import is_sidecar

    sources = []
    for ending in sorted({scene.suffix for scene in scenes}):
        mine = sorted(scene for scene in scenes if scene.suffix == ending)
        there = sorted(path for path in root.glob(f"*{ending}") if not is_sidecar(path))
        patterns = [f"*{ending}"] if mine == there else [glob.escape(_relative(scene, root)) for scene in mine]
        sources += [Source(pattern, labels) for pattern in patterns]
    return tuple(sources)
