"""The detections and the labels of one scene on one pixel grid, and their matches at every overlap that is scored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geopdn.errors import LabelError
from geopdn.evaluate.grid import frame_around, recorded_frame
from geopdn.evaluate.labels import to_pixels, truth_of
from geopdn.evaluate.layers import LabelFile, class_texts, of_scene, read_layer
from geopdn.evaluate.matching import Matches, OverlapMode, match_each
from geopdn.evaluate.reviewed import found_only
from geopdn.evaluate.unseen import unseen
from geopdn.geometry import boxes as box
from geopdn.geometry import ground
from geopdn.output.frames import ground_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from geopdn.detections import SceneFrame
    from geopdn.evaluate.labels import Truth
    from geopdn.scene import PixelSource

Floats = NDArray[np.float64]

COCO_IOUS = tuple(0.5 + 0.05 * step for step in range(10))


@dataclass(frozen=True, slots=True, eq=False)
class SceneBoxes:
    """What was found and what is there in one scene, in its pixels; N detections.

    Attributes:
        scene: name without folder and ending.
        grid: where the pixel grid came from: `scene`, `run` (the detections' own record) or `extent`.
        frame: the grid.
        boxes: `[N, 5]`.
        score: `[N]`.
        classes: `[N]` class names.
        upright: True where the detections have no heading.
        truth: what is there.
    """

    scene: str
    grid: str
    frame: SceneFrame
    boxes: box.Boxes
    score: Floats
    classes: tuple[str, ...]
    upright: bool
    truth: Truth


@dataclass(frozen=True, slots=True, eq=False)
class SceneMatches:
    """The matches of one scene by kind of overlap; M true objects.

    Attributes:
        boxes: what was matched, the truth with class indices that all scenes share.
        first: at the overlap asked for.
        coco: at COCO's ten overlaps, 0.5 first.
        length_m: `[M]` ground lengths of the true objects (pixels without a CRS).
        elongation: `[M]` their length over width.
        pixel_m: ground size of a pixel amid the truth, 1 without a CRS.
    """

    boxes: SceneBoxes
    first: dict[OverlapMode, Matches]
    coco: dict[OverlapMode, list[Matches]]
    length_m: Floats
    elongation: Floats
    pixel_m: float


def read_detections(path: Path) -> Any:
    """The layer of detections as a GeoDataFrame.

    Raises:
        LabelError: the file cannot be read or has no column `score`.
    """
    table = read_layer(path, preferred="detections")
    if "score" not in table.columns:
        msg = f"{path} has no column 'score': give detections first, labels second"
        raise LabelError(msg)
    return found_only(table)


def read_scene(
    table: Any,
    there: Any,
    *,
    scene: str,
    detections: Path,
    labels: LabelFile,
    frame: SceneFrame | None = None,
    shared: bool = False,
    source: PixelSource | None = None,
) -> SceneBoxes | None:
    """The detections of one scene and its labels, brought to one pixel grid.

    The grid is the scene's, where given; else the one that the layer `run` of the detections records; else a metric
    grid around both.

    Args:
        table: the detections (`read_detections`).
        there: the layer of labels (`read_layer`).
        scene: the scene's name by that of the file, where the file does not record one.
        detections: the file that `table` was read from.
        labels: the file that `there` was read from.
        frame: the scene's grid.
        shared: whether the labels are those of several scenes.
        source: the scene: labels on pixels that are not valid are ignored.

    Returns:
        None where shared labels have a column `scene` and none is of this scene.

    Raises:
        LabelError: a file cannot be used.
    """
    grid = "scene"
    if frame is None:
        frame, grid = recorded_frame(detections), "run"
    name = scene if frame is None else frame.name
    if shared and "scene" in there.columns and not of_scene(there, name).any():
        return None
    if frame is None:
        if shared and "scene" not in there.columns:
            msg = (
                f"{detections} does not record its scene and {labels} has no column 'scene': nothing tells which "
                f"labels are its own; evaluate GeoPackages that geopdn wrote, or give a folder of labels"
            )
            raise LabelError(msg)
        mine = there[of_scene(there, name)] if shared else there
        frame, grid = frame_around(table, mine, name=str(detections)), "extent"
        frame = replace(frame, name=name) if frame.name == str(detections) else frame
    boxes, score, texts = _found(table, detections, frame)
    upright = len(table) > 0 and "heading_deg" in table.columns and bool(table["heading_deg"].isna().all())
    truth = truth_of(
        there,
        frame,
        file=labels,
        upright=upright,
        allow_empty=shared or not len(there),
    )
    if source is not None:
        hidden = unseen(source, truth.boxes) & ~truth.ignore
        truth = replace(truth, ignore=truth.ignore | hidden, n_unseen=int(hidden.sum()))
    return SceneBoxes(scene, grid, frame, boxes, score, tuple(texts), upright, truth)


def match_scene(
    one: SceneBoxes, *, names: Sequence[str], one_class: bool, iou: float, modes: Sequence[OverlapMode]
) -> SceneMatches:
    """Match at the overlap asked for and at COCO's, with every kind of overlap.

    Args:
        one: the scene.
        names: classes of all scenes; with `one_class` a single name that stands for any.
        one_class: compare places only.
        iou: the overlap asked for.
        modes: kinds of overlap.
    """
    index = {name: 0 if one_class else position for position, name in enumerate(names)}
    found = np.array([0 if one_class else index[text] for text in one.classes], np.int64)
    there = [0 if one_class else index[one.truth.names[label]] for label in one.truth.labels]
    truth = replace(one.truth, labels=np.array(there, np.int64), names=tuple(names))
    first: dict[OverlapMode, Matches] = {}
    coco: dict[OverlapMode, list[Matches]] = {}
    for mode in modes:
        matches = match_each(one.boxes, one.score, truth=truth, labels=found, ious=(iou, *COCO_IOUS), mode=mode)
        first[mode], coco[mode] = matches[0], matches[1:]
    bare = one.frame.crs is None
    return SceneMatches(
        boxes=replace(one, truth=truth),
        first=first,
        coco=coco,
        length_m=truth.boxes[:, 2] if bare else ground_sizes(truth.boxes, one.frame)[0],
        elongation=truth.boxes[:, 2] / np.maximum(truth.boxes[:, 3], 1e-9),
        pixel_m=_pixel_m(truth, one.frame),
    )


def _found(table: Any, path: Path, frame: SceneFrame) -> tuple[box.Boxes, Floats, list[str]]:
    """Boxes `[N, 5]` in the frame's pixels, scores `[N]` and class names of the detections.

    Raises:
        LabelError: a score is not a finite number.
    """
    shapes, source, _, _ = to_pixels(np.asarray(table.geometry.values, object), table.crs, frame, name=str(path))
    score = np.asarray(table["score"], np.float64)[source]
    if not np.isfinite(score).all():
        msg = f"{path}: {int((~np.isfinite(score)).sum())} scores are not finite numbers: correct the file"
        raise LabelError(msg)
    texts = class_texts(table, LabelFile(path))
    return box.from_polygons(shapes), score, [texts[index] for index in source.tolist()]


def _pixel_m(truth: Truth, frame: SceneFrame) -> float:
    """Ground size of a pixel amid the truth; 1 without a CRS."""
    if frame.crs is None or not len(truth):
        return 1.0
    x, y = truth.boxes[:, :2].mean(0)
    return ground.pixel_size(frame.transform, frame.crs, col=float(x), row=float(y)).mean_m
