"""`geopdn train`: from georeferenced scenes and vector labels to weights."""

from pathlib import Path
from typing import Annotated, Any

import typer

from geopdn.cli.messages import say, tell
from geopdn.errors import ConfigError


def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped one.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Where checkpoints and weights go. Default: runs/NAME."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")] = False,
    all_places: Annotated[
        bool,
        typer.Option("--all-places", help="Train on the validation places too; scores then are of calibration places."),
    ] = False,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME|FILE", help="Start from weights of the same model, not from fresh ones."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps, instead of the configuration's.")] = None,
) -> None:
    """Train a model and write its weights.

    After training it is calibrated on held-out places and scored on others, as the configuration says.

    Example: geopdn train aircraft-50cm.yaml -o runs/aircraft
    """
    path = find_config(config)
    from geopdn.config_file import load_train_config

    folder = output or Path("runs") / load_train_config(path).name
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"-o {folder} is a file: name a folder")
    import sys

    from geopdn.train.fit import train as fit

    done = fit(
        path,
        output=folder,
        resume=resume,
        steps=steps,
        all_places=all_places,
        start=start,
        progress=sys.stderr.isatty(),
        say=say,
    )
    tell(f"Wrote {done.weights} and {done.curve}.")
    show_scores(done.scores)


def show_scores(found: dict[str, Any]) -> None:
    """The scores of a header, a line each."""
    for name in ("full", "default"):
        scores = found.get(name)
        if scores:
            what = f"{found['split']} places, {'full scan' if name == 'full' else 'default budget'}"
            by_class = scores.get("classes", {})
            for label, values in {"": scores, **{f", {label}": values for label, values in by_class.items()}}.items():
                shown = ", ".join(f"{k} {v}" for k, v in values.items() if v is not None and k != "classes")
                tell(f"{what.capitalize()}{label}: {shown}.")


def find_config(name: str) -> Path:
    """The file of that name, else the shipped configuration of that name.

    Raises:
        ConfigError: neither.
    """
    from importlib import resources

    path = Path(name)
    if path.is_file():
        return path
    shipped = {item.stem: item for item in Path(str(resources.files("geopdn.configs"))).glob("*.yaml")}
    if name.removesuffix(".yaml") in shipped:
        return shipped[name.removesuffix(".yaml")]
    known = ", ".join(sorted(shipped)) or "none"
    raise ConfigError(f"configuration {name!r} is neither a file nor a shipped one ({known})")
