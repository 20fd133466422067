"""Which scenes and which labels a user means by folders and files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.errors import ConfigError, LabelError
from geopdn.evaluate.labelled import Labelled, labelled
from geopdn.scene.sidecar import is_sidecar
from geopdn.survey.problems import few

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopdn.evaluate.layers import LabelFile

RASTERS = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg")


def find_rasters(given: Sequence[Path]) -> list[Path]:
    """The rasters named, and those in the folders named; absolute, sorted, each once.

    Raises:
        ConfigError: a path does not exist, or a folder holds none.
    """
    found: set[Path] = set()
    for path in given:
        if path.is_dir():
            inside = {one for one in path.iterdir() if one.suffix.lower() in RASTERS and not is_sidecar(one)}
            if not inside:
                raise ConfigError(f"{path} holds no scene: expected files {', '.join(RASTERS)}")
            found |= inside
        elif path.is_file():
            found.add(path)
        else:
            raise ConfigError(f"{path} is neither a scene nor a folder of scenes: check the path")
    absolute = sorted({path.absolute() for path in found})
    stems = [path.stem for path in absolute]
    double = sorted({stem for stem in stems if stems.count(stem) > 1})
    if double:
        raise ConfigError(f"scenes are told apart by their names, and {few(double)} is there twice: rename one")
    return absolute


def root_of(scenes: Sequence[Path]) -> Path:
    """The folder that all scenes lie under."""
    return Path(os.path.commonpath([scene.parent for scene in scenes]))


def pair(scenes: Sequence[Path], labels: LabelFile) -> tuple[list[Labelled], LabelFile]:
    """Each scene with its file of labels, and all of them as one path or pattern with `{stem}`.

    Args:
        scenes: rasters.
        labels: one file for all, or a folder with one for each.

    Raises:
        LabelError: there are none, a scene has none, or their names follow no one pattern.
    """
    path = labels.path.absolute()
    if not path.exists():
        raise LabelError(f"{labels} does not exist: give a vector file, or a folder with one for each scene")
    pairs = [
        replace(item, labels=replace(labels, path=item.labels.path)) for item in (labelled(s, path) for s in scenes)
    ]
    if not path.is_dir():
        return pairs, replace(labels, path=path)
    patterns = {item.labels.path.name.replace(item.scene.stem, "{stem}", 1): item for item in pairs}
    if len(patterns) > 1:
        raise LabelError(f"labels in {labels} are named in several ways, {few(sorted(patterns))}: rename them alike")
    return pairs, replace(labels, path=path / next(iter(patterns)))
