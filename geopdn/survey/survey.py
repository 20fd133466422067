"""Every scene with the objects that its labels mark, and everything that is wrong with the labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geopdn.evaluate.labels import Truth, are_upright, truth_of
from geopdn.evaluate.layers import LabelFile, class_texts, of_scene, read_label_layer
from geopdn.evaluate.repeats import first_of_each
from geopdn.output.frames import ground_sizes
from geopdn.scene import Scene
from geopdn.scene.frame import frame_of
from geopdn.survey.features import feature_problems
from geopdn.survey.problems import Problem, counted, few
from geopdn.survey.whereabouts import name_of, other_reading, touching

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from geopdn.detections import SceneFrame
    from geopdn.evaluate.labelled import Labelled

# Under this length objects cannot be told from anything else (see the limits in the README).
SMALLEST_PX = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class SurveyedScene:
    """One scene and the objects in it.

    Attributes:
        path: the raster.
        frame: its pixel grid.
        pixel_m: true ground size of a pixel at its centre.
        truth: its objects, in its own pixels, turned boxes.
        upright: whether the labels are upright rectangles, in the scene's pixels or in their own system.
    """

    path: Path
    frame: SceneFrame
    pixel_m: float
    truth: Truth
    upright: bool

    @property
    def sides_m(self) -> NDArray[np.float64]:
        """`[M, 2]` lengths and widths of the objects on the ground."""
        return np.stack(ground_sizes(self.truth.boxes, self.frame)[:2], 1)

    @property
    def counts(self) -> NDArray[np.int64]:
        """`[classes]` objects of each class."""
        return np.bincount(self.truth.labels, minlength=len(self.truth.names))


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What there is to learn from.

    Attributes:
        scenes: in the order given.
        classes: names of the classes, sorted unless they were given.
        problems: what is wrong, in the order of the files.
    """

    scenes: tuple[SurveyedScene, ...]
    classes: tuple[str, ...]
    problems: tuple[Problem, ...]


def survey(given: Sequence[Labelled], *, classes: Sequence[str] | None = None) -> Survey:
    """Look at scenes and labels; no pixels are read.

    Args:
        given: scenes with their labels; several may share one file.
        classes: names of the classes that are expected; None takes those of the labels.

    Returns:
        Scenes and problems; where a file cannot be read into objects (an error is among the problems), its scenes
        have none.

    Raises:
        SceneError: a scene cannot be opened.
        LabelError: a file cannot be opened, or has a class that is not expected.
    """
    frames = {}
    for item in given:
        with Scene.open(str(item.scene)) as scene:
            size = None if scene.pixel_size is None else scene.pixel_size.mean_m
            frames[item.scene] = replace(frame_of(scene), name=str(item.scene)), size
    problems = [
        Problem(
            f"{path} has no CRS, so no label has a place in it: assign one (gdal_edit.py -a_srs ...)", is_error=True
        )
        for path, (_, size) in frames.items()
        if size is None
    ]
    tables = {file: read_label_layer(file) for file in dict.fromkeys(item.labels for item in given)}
    names = tuple(classes) if classes is not None else _classes(tables)
    scenes: dict[Path, SurveyedScene] = {}
    for file, table in tables.items():
        members = [frames[item.scene] for item in given if item.labels == file]
        placed = [(frame, size) for frame, size in members if size is not None]
        found = list(_file_problems(table, file, [frame for frame, _ in placed]))
        problems += found
        unusable = any(problem.is_error for problem in found) or table.empty
        for frame, size in placed:
            scenes[Path(frame.name)] = (
                SurveyedScene(Path(frame.name), frame, size, _nothing(names), upright=False)
                if unusable
                else _objects(table, frame, size, file=file, names=names)
            )
    ordered = tuple(scenes[item.scene] for item in given if item.scene in scenes)
    if not any(problem.is_error for problem in problems) and not any(len(scene.truth) for scene in ordered):
        text = (
            f"none of the {counted(len(ordered), 'scene')} shows a labelled object: check the files, layers and systems"
        )
        problems.append(Problem(text, is_error=True))
    return Survey(ordered, names, (*problems, *_object_problems(ordered)))


def _classes(tables: dict[LabelFile, Any]) -> tuple[str, ...]:
    return tuple(sorted({text for file, table in tables.items() for text in class_texts(table, file)}))


def _file_problems(table: Any, file: LabelFile, frames: Sequence[SceneFrame]) -> Iterator[Problem]:
    """What is wrong with one file, given the scenes that it is about."""
    found = list(feature_problems(table, file))
    yield from found
    if table.empty or any(problem.is_error for problem in found) or not frames:
        return
    geometries, crs = np.asarray(table.geometry.values, dtype=object), table.crs
    if crs is None:
        hint = other_reading(geometries, None, frames)
        text = f"{file} has no CRS: expected one that puts the labels into the scenes"
        yield Problem(f"{text}; {_assign(hint)}", is_error=True)
        return
    own = [of_scene(table, frame.name) for frame in frames]
    if not np.any(own):
        text = f"{file}: its column `scene` names none of the scenes, such as {Path(frames[0].name).stem!r}"
        found_names = few(sorted({str(value) for value in table["scene"]}))
        yield Problem(f"{text}, but {found_names}: correct the column or remove it", is_error=True)
        return
    touches = [touching(geometries, crs, frame) & mine for frame, mine in zip(frames, own, strict=True)]
    inside = np.any(touches, axis=0)
    present = ~(table.geometry.is_empty | table.geometry.isna()).to_numpy()
    if not inside.any():
        hint = other_reading(geometries, crs, frames)
        n, of = counted(int(present.sum()), "label"), counted(len(frames), "scene")
        span = ", ".join(f"{value:.6g}" for value in table.total_bounds)
        theirs = f"they are in {name_of(crs)} and span ({span})"
        ours = f"{Path(frames[0].name).name} is in {name_of(frames[0].crs)}"
        text = f"{file}: none of its {n} touches any of the {of}; {theirs}, {ours}: {_assign(hint)}"
        yield Problem(text, is_error=True)
        return
    outside = present & ~inside
    if outside.any():
        text = f"{file}: {outside.sum()} of {counted(int(present.sum()), 'label')} outside of their scenes, left out"
        yield Problem(f"{text}: check the CRS and the choice of scenes if these are many")


def _assign(hint: str) -> str:
    return f"{hint}: correct the labels' CRS or axes" if hint else "check that labels and scenes belong together"


def _nothing(names: Sequence[str]) -> Truth:
    return Truth(np.zeros((0, 5)), np.zeros(0, np.int64), tuple(names), np.zeros(0, np.bool_))


def _objects(table: Any, frame: SceneFrame, size: float, *, file: LabelFile, names: Sequence[str]) -> SurveyedScene:
    """The objects of one scene; only features that touch it are made into boxes."""
    geometries = np.asarray(table.geometry.values, dtype=object)
    mine = table.iloc[np.flatnonzero(touching(geometries, table.crs, frame))]
    truth = truth_of(mine, frame, file=file, names=names, allow_empty=True)
    upright = truth.axis_aligned or (len(mine) > 0 and are_upright(np.asarray(mine.geometry.values, dtype=object)))
    return SurveyedScene(Path(frame.name), frame, size, truth, upright)


def _object_problems(scenes: Sequence[SurveyedScene]) -> Iterator[Problem]:
    """Repeated, contradicting and tiny objects, over all scenes."""
    repeated = [scene for scene in scenes if scene.truth.n_repeated]
    if repeated:
        n, where = sum(scene.truth.n_repeated for scene in repeated), few(scene.path.name for scene in repeated)
        yield Problem(f"labels whose object another of the class marks too (IoU over 0.5), left out: {n}, in {where}")
    double = {scene.path.name: _in_two_classes(scene.truth) for scene in scenes}
    if any(double.values()):
        where = few(name for name, n in double.items() if n)
        yield Problem(
            f"objects that are marked as two classes, learnt as both: {sum(double.values())}, in {where}; keep one"
        )
    lengths = np.concatenate([np.zeros(0), *(scene.truth.boxes[:, 2] for scene in scenes)])
    small = int((lengths < SMALLEST_PX).sum())
    if small:
        text = f"{small} of {len(lengths)} objects are shorter than {SMALLEST_PX:g} px"
        yield Problem(f"{text}, too small to be told: use finer scenes, or check the labels' sizes")


def _in_two_classes(truth: Truth) -> int:
    """Objects that stand for themselves in their class and overlap one of another class by more than half."""
    first = first_of_each(truth.boxes, np.zeros(len(truth), np.int64))
    return int((first != np.arange(len(first))).sum())
