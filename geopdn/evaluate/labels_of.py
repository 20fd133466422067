"""Which file says what is in which scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geopdn.errors import LabelError
from geopdn.evaluate.pairs import ENDINGS, LABEL_MARKS


@dataclass(frozen=True, slots=True)
class Labelled:
    """A scene and the file that says what is in it."""

    scene: Path
    labels: Path


def labelled(scene: Path, labels: Path) -> Labelled:
    """A scene with its labels.

    Args:
        scene: raster.
        labels: a vector file (with a column `scene` where it is about several), or a folder with one file for each
            scene: the scene's name without its ending, and `.gpkg`, `.truth.gpkg`, `.geojson` or the like.

    Raises:
        LabelError: the folder has none for this scene.
    """
    if not labels.is_dir():
        return Labelled(scene, labels)
    for mark in ("", *LABEL_MARKS):
        for ending in ENDINGS:
            path = labels / f"{scene.stem}{mark}{ending}"
            if path.is_file():
                return Labelled(scene, path)
    msg = f"{labels} has no labels for {scene.name}: expected {scene.stem}.gpkg or {scene.stem}.truth.gpkg there"
    raise LabelError(msg)
