"""Which labels belong to which file of detections, in files and folders named after the scenes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geopdn.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RESULT_MARK = ".detections"
LABEL_MARKS = (".truth", ".labels")
ENDINGS = (".gpkg", ".geojson", ".fgb")


@dataclass(frozen=True, slots=True)
class Pair:
    """The detections of one scene with the file that holds its labels.

    Attributes:
        scene: the scene's name without folder and ending, after the name of the detections.
        result: the detections.
        labels: the labels; several pairs may share one file.
    """

    scene: str
    result: Path
    labels: Path


@dataclass(frozen=True, slots=True)
class Pairing:
    """Pairs sorted by scene, and what has no counterpart.

    Attributes:
        pairs: detections with labels.
        without_labels: scenes with detections that no labels belong to.
        without_result: scenes with labels that no detections belong to.
    """

    pairs: tuple[Pair, ...]
    without_labels: tuple[str, ...] = ()
    without_result: tuple[str, ...] = ()


def find_pairs(results: Path, labels: Path) -> Pairing:
    """Pair detections with labels by name.

    Args:
        results: one file, or a folder of `SCENE.detections.gpkg` (`.geojson`, `.fgb`) as `geopdn detect` writes them.
        labels: one file for all scenes, or a folder of `SCENE.gpkg`, `SCENE.truth.gpkg` or `SCENE.labels.gpkg`
            (`.geojson`, `.fgb`).

    Raises:
        LabelError: a path does not exist, a folder holds no detections, two files are of one scene, or nothing
            has a counterpart.
    """
    for path, what in ((results, "detections"), (labels, "labels")):
        if not path.exists():
            msg = f"{path} is not a file or a folder: give the {what}"
            raise LabelError(msg)
    found = _by_scene(_results_in(results) if results.is_dir() else [results])
    if not labels.is_dir():
        return Pairing(tuple(Pair(scene, path, labels) for scene, path in found.items()))
    there = _by_scene(_labels_in(labels))
    missing = tuple(scene for scene in found if scene not in there)
    if len(missing) == len(found):
        msg = (
            f"{labels} holds no labels of {_few(found)}: they are looked for as SCENE.gpkg, SCENE.truth.gpkg or "
            f"SCENE.labels.gpkg"
        )
        raise LabelError(msg)
    return Pairing(
        tuple(Pair(scene, path, there[scene]) for scene, path in found.items() if scene in there),
        without_labels=missing,
        # one result among the labels of many scenes is a choice, a folder of results is meant to be complete
        without_result=tuple(scene for scene in there if scene not in found) if results.is_dir() else (),
    )


def scene_of(path: Path) -> str:
    """The name of the scene in the name of a file of detections or labels."""
    stem = path.stem
    for mark in (RESULT_MARK, *LABEL_MARKS):
        stem = stem.removesuffix(mark)
    return stem


def _results_in(folder: Path) -> list[Path]:
    found = [path for path in sorted(folder.iterdir()) if _is_vector(path) and path.stem.endswith(RESULT_MARK)]
    if not found:
        msg = f"{folder} holds no SCENE{RESULT_MARK}.gpkg, .geojson or .fgb: give a folder that geopdn detect wrote"
        raise LabelError(msg)
    return found


def _labels_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if _is_vector(path) and not path.stem.endswith(RESULT_MARK)]


def _is_vector(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()


def _by_scene(paths: Iterable[Path]) -> dict[str, Path]:
    """Files by scene, in the order of the scenes' names."""
    out: dict[str, Path] = {}
    for path in paths:
        scene = scene_of(path)
        if scene in out:
            msg = f"{out[scene].name} and {path.name} are both of the scene {scene!r}: keep one of them"
            raise LabelError(msg)
        out[scene] = path
    return dict(sorted(out.items()))


def _few(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:3]) + (f" and {len(every) - 3} more" if len(every) > 3 else "")
