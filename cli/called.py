"""What was called: the command as it can be called again, and the versions that a result depends on."""

import platform
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any

import typer

LIBRARIES = ("numpy", "torch", "torchvision", "timm", "rasterio", "pyproj", "shapely", "onnxruntime")
"""What changes results by its version."""

_FILES = ("output", "format_", "saliency", "picture", "project", "stac", "overwrite", "resume")
_LOOKS = ("pictures", "as_json", "quiet", "progress_json")
_MEANS = ("memory", "allow_host", "workers", "scheduler")
_NAMED = ("model", "previous")  # files, given as text
UNSEEN = frozenset((*_FILES, *_LOOKS, *_MEANS))
"""Parameters that change no detection: where files go, what is shown, what a run may take and whom it trusts."""


def options_of(context: typer.Context, *, without: Collection[str] = UNSEEN) -> str:
    """The options that were given, quoted for a shell, in the order of the command's help.

    Files are named without their folders: where they lie changes nothing that is found, and is nobody else's business.

    Args:
        context: of the command.
        without: names of parameters to leave out; arguments always are.
    """
    words: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if parameter.param_type_name != "option" or name in without or source is None or source.name == "DEFAULT":
            continue
        value: Any = context.params.get(name)
        flag = max((str(option) for option in parameter.opts), key=len)
        if value is True:
            words.append(flag)
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [flag, _name(one) if isinstance(one, Path) or name in _NAMED else str(one)]
    return shlex.join(words)


def _name(file: Any) -> str:
    return Path(str(file)).name


def command_of(name: str, scene: str, options: str) -> str:
    """The whole line for one scene, which is named without its folder."""
    return " ".join(part for part in ("geopdn", name, shlex.quote(scene), options) if part)


def versions() -> dict[str, str]:
    """Of Python and of the installed libraries."""
    from importlib.metadata import PackageNotFoundError, version

    known = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            continue
    return known
