"""Put the Processing script into a profile of QGIS, and take away exactly that."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.errors import OutputError
from geopdn.output.atomic import replacing
from geopdn.qgis.profiles import SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "geopdn_detect.py"

_HEAD = "# Written by `geopdn qgis install`; folders made: {folders}; sha256: {digest}\n"
_HEAD_PATTERN = re.compile(re.escape(_HEAD).replace(r"\{folders\}", r"(\d+)").replace(r"\{digest\}", r"([0-9a-f]{64})"))


def script_in(profile: Path) -> Path:
    """Where the script lies in a profile."""
    return profile / SCRIPTS / NAME


def script_text(command: Sequence[str], models: Sequence[str]) -> str:
    """The script with the command that runs geopdn, and the names of the shipped models."""
    text = resources.files("geopdn.qgis").joinpath(NAME).read_text(encoding="utf-8")
    for name, values in (("COMMAND", command), ("MODELS", models)):
        line = f"{name} = []  # written by `geopdn qgis install`\n"
        if text.count(line) != 1:
            raise ValueError(f"the script has no line {line!r}")
        text = text.replace(line, f"{name} = {json.dumps(list(values))}\n")
    return text


def install(profile: Path, *, command: Sequence[str], models: Sequence[str]) -> Path:
    """Write the script into a profile, in place of an earlier one of ours.

    Args:
        profile: its folder.
        command: what runs geopdn.
        models: names of the shipped models.

    Returns:
        The file.

    Raises:
        OutputError: a file of that name was not written by geopdn or was changed since, or it cannot be written.
    """
    path = script_in(profile)
    made = check_ours(path) if path.exists() else _missing(path.parent)
    body = script_text(command, models)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {str(path.parent)!r} cannot be made: {error}; name another --profile") from error
    head = _HEAD.format(folders=made, digest=_digest(body))
    with replacing(path) as temporary:
        temporary.write_text(head + body, encoding="utf-8", newline="\n")
    return path


def uninstall(profile: Path) -> list[Path]:
    """Remove the script, what Python compiled of it, and those folders that `install` had made and that are empty.

    Returns:
        What was removed; nothing where it was not installed.

    Raises:
        OutputError: the file was not written by geopdn or was changed since, or it cannot be removed.
    """
    path = script_in(profile)
    if not path.exists():
        return []
    made = check_ours(path)
    removed = [path, *sorted(path.parent.glob(f"__pycache__/{path.stem}.*.pyc"))]
    folders = [path.parent / "__pycache__", *[path.parent, *path.parent.parents][:made]]
    try:
        for file in removed:
            file.unlink()
        for folder in folders:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
                removed.append(folder)
    except OSError as error:
        raise OutputError(f"{str(error.filename)!r} cannot be removed: {error.strerror}; remove it by hand") from error
    return removed


def check_ours(path: Path) -> int:
    """Refuse a file that is not as `install` wrote it; returns the number of folders that were made for it.

    Raises:
        OutputError: it was not written by geopdn, or was changed since.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    head = _HEAD_PATTERN.match(text)
    if head is None or _digest(text[head.end() :]) != head[2]:
        why = "was not written by geopdn" if head is None else "was changed since geopdn wrote it"
        raise OutputError(f"{str(path)!r} {why}, so it is left alone: move it away by hand")
    return int(head[1])


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8")).hexdigest()


def _missing(folder: Path) -> int:
    """How many folders, from this one upwards, do not exist."""
    return sum(1 for place in (folder, *folder.parents) if not place.exists())
