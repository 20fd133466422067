"""Scenes and labels of a configuration, found, checked and split by place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from geopdn.config import DataConfig
from geopdn.errors import ConfigError
from geopdn.evaluate.layers import LabelFile
from geopdn.evaluate.places import place_of
from geopdn.scene.sidecar import is_sidecar

Split = Literal["train", "calibration", "validation"]


@dataclass(frozen=True, slots=True)
class LabelledScene:
    """One raster with its labels.

    Attributes:
        path: the raster.
        labels: the vector file, and how it is read.
        place: name of the ground it shows; scenes of one place never lie on two sides of a split.
        split: side of the split.
        weight: see `SceneLabels.weight`.
    """

    path: Path
    labels: LabelFile
    place: str
    split: Split
    weight: float


def find_scenes(data: DataConfig, *, base: Path) -> list[LabelledScene]:
    """All scenes of a data section, sorted by path.

    Args:
        data: the section.
        base: folder that a relative `root` starts from.

    Raises:
        ConfigError: a folder, a label file or a named place does not exist, or a pattern finds nothing.
    """
    both = set(data.validation) & set(data.calibration)
    if both:
        raise ConfigError(f"places {sorted(both)} are in both validation and calibration: give each to one")
    found = []
    for source in data.sources:
        root = _folder(source.root or data.root, base=base)
        regions = None if source.ignore_regions is None else base / source.ignore_regions
        if regions is not None and not regions.is_file():
            raise ConfigError(f"ignore regions {regions} do not exist: set the path relative to the configuration file")
        paths = sorted(path for path in root.glob(source.scenes) if not is_sidecar(path))
        if not paths:
            raise ConfigError(f"data.sources: no file matches {source.scenes!r} under {root}")
        for path in paths:
            labels = LabelFile(
                root / source.labels.replace("{stem}", path.stem),
                layer=source.layer,
                label_field=source.label_field,
                point_size_m=source.point_size_m,
                ignore_regions=regions,
            )
            if not labels.path.is_file():
                raise ConfigError(f"labels {labels} of scene {path.name} do not exist")
            place = place_of(path.stem, source.place)
            split: Split = (
                "validation" if place in data.validation else "calibration" if place in data.calibration else "train"
            )
            found.append(LabelledScene(path, labels, place, split, source.weight))
    missing = (set(data.validation) | set(data.calibration)) - {scene.place for scene in found}
    if missing:
        known = ", ".join(sorted({scene.place for scene in found})[:20])
        raise ConfigError(f"places {sorted(missing)} have no scene; places found: {known}")
    if not any(scene.split == "train" for scene in found):
        raise ConfigError("every place is held out: nothing is left to train on")
    return found


def _folder(name: str, *, base: Path) -> Path:
    folder = (base / name).resolve()
    if not folder.is_dir():
        raise ConfigError(f"data root {name!r}: {folder} is not a folder; set it relative to the configuration file")
    return folder
