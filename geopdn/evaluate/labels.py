"""Vector labels as the truth of one scene: any layer, any CRS, oriented boxes in the scene's pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geopdn.errors import GeoreferenceError, LabelError
from geopdn.evaluate.layers import LabelFile, class_texts, flags, of_scene, read_label_layer, read_layer
from geopdn.evaluate.repeats import first_of_each
from geopdn.geometry import boxes as box
from geopdn.geometry import ground
from geopdn.output.frames import map_transform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyproj import CRS

    from geopdn.detections import SceneFrame

Geometries = NDArray[np.object_]
Mask = NDArray[np.bool_]

# A geometry that fills this share of its upright bounds is an upright rectangle (a degree of rotation allowed).
UPRIGHT_FILL = 0.95
# Parts of one feature nearer than this many pixels are one object (a box cut at the antimeridian).
PART_GAP_PX = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is truly there in one scene; M objects.

    Attributes:
        boxes: `[M, 5]` float64, level-0 pixels (`geopdn.geometry.boxes`).
        labels: `[M]` int64, index into `names`.
        names: class names.
        ignore: `[M]` True for objects that are not scored: truncated, or with the centre outside the scene.
        axis_aligned: True where the labels are upright rectangles and so say nothing of a heading.
        n_outside: features dropped because they do not touch the scene.
        n_empty: features dropped because they have no geometry.
        n_unseen: objects ignored because the scene has no pixels there (`geopdn.evaluate.unseen`).
        n_repeated: features dropped because they mark an object that an earlier one marks (`geopdn.evaluate.repeats`).
        regions: `[A]` polygons in level-0 pixels, ignore regions: what is found there beside the objects counts neither
            for nor against (`geopdn.evaluate.regions`).
    """

    boxes: box.Boxes
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    ignore: Mask
    axis_aligned: bool = False
    n_outside: int = 0
    n_empty: int = 0
    n_repeated: int = 0
    n_unseen: int = 0
    regions: Geometries = field(default_factory=lambda: np.empty(0, dtype=object))

    def __post_init__(self) -> None:
        m = len(self.labels)
        if self.boxes.shape != (m, 5) or self.ignore.shape != (m,):
            msg = f"{m} labels need boxes [{m}, 5] and ignore [{m}], got {self.boxes.shape} and {self.ignore.shape}"
            raise ValueError(msg)
        if m and not (self.labels.min() >= 0 and self.labels.max() < len(self.names)):
            msg = f"labels {self.labels.min()} to {self.labels.max()} do not index the {len(self.names)} class names"
            raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.labels)


def read_labels(
    labels: LabelFile | str | Path,
    frame: SceneFrame,
    *,
    names: Sequence[str] | None = None,
    upright: bool = False,
    allow_empty: bool = False,
) -> Truth:
    """Read the labels of one scene.

    A column `scene`, where present, keeps the features whose value is the scene's name (with or without folder
    and ending); columns `truncated` and `ignore` mark what is not scored. A feature of several separate parts is
    as many objects; features of one class that mark one object twice count once.

    Args:
        labels: the file; a bare path stands for one that nothing is said about.
        frame: the scene: name, size, transform and CRS.
        names: the classes in order; None takes those of the whole file, sorted.
        upright: take the bounds of each geometry along rows and columns instead of its minimum rotated rectangle.
        allow_empty: return no objects, instead of raising, where the file has none for this scene.

    Returns:
        The truth, in the order of the file.

    Raises:
        LabelError: the file cannot be read, has no features, no CRS, an unknown class, or lies elsewhere.
    """
    file = LabelFile.of(labels)
    return truth_of(read_label_layer(file), frame, file=file, names=names, upright=upright, allow_empty=allow_empty)


def truth_of(
    table: Any,
    frame: SceneFrame,
    *,
    file: LabelFile,
    names: Sequence[str] | None = None,
    upright: bool = False,
    allow_empty: bool = False,
) -> Truth:
    """`read_labels` of a layer that has been read (`read_label_layer`), for many scenes that share one file.

    Raises:
        LabelError: as `read_labels`.
    """
    text = class_texts(table, file, names=names)
    classes = tuple(names) if names is not None else tuple(sorted(set(text)))
    unknown = sorted(set(text) - set(classes))
    if unknown:
        msg = f"{file}: classes {unknown[:5]} are not among {list(classes)}: correct the labels or name these classes"
        raise LabelError(msg)
    skip = flags(table, "truncated", file) | flags(table, "ignore", file)
    chosen = of_scene(table, frame.name)
    if not chosen.any() and not allow_empty:
        what = "has no features" if not len(table) else f"has no feature whose `scene` is {Path(frame.name).stem!r}"
        msg = f"{file} {what}: check the file and the layer"
        raise LabelError(msg)
    geometries = np.asarray(table.geometry.values, dtype=object)[chosen]
    shapes, source, n_empty, n_lost = to_pixels(geometries, table.crs, frame, name=str(file))
    boxes = _boxes(shapes, frame, file=file)
    if upright:
        boxes = _upright(boxes, shapes)
    limits, height, width = box.bounds(boxes), frame.size.height, frame.size.width
    touches = (limits[:, 0] < width) & (limits[:, 2] > 0) & (limits[:, 1] < height) & (limits[:, 3] > 0)
    if len(geometries) and not touches.any() and not allow_empty:
        raise LabelError(_elsewhere(file, geometries, table.crs, frame))
    centre_out = (boxes[:, 0] < 0) | (boxes[:, 0] >= width) | (boxes[:, 1] < 0) | (boxes[:, 1] >= height)
    labels = np.array([classes.index(name) for name in text], np.int64)[chosen][source]
    boxes, labels = boxes[touches], labels[touches]
    ignore = (skip[chosen][source] | centre_out)[touches]
    first = first_of_each(boxes, labels)
    np.logical_or.at(ignore, first, ignore)  # one mark "do not score" holds for all marks of the object
    stands = first == np.arange(len(first))
    return Truth(
        boxes=boxes[stands],
        labels=labels[stands],
        names=classes,
        ignore=ignore[stands],
        axis_aligned=upright or are_upright(shapes[touches]),
        n_outside=int((~touches).sum()) + n_lost,
        n_empty=n_empty,
        n_repeated=int((~stands).sum()),
        regions=_regions(file, frame),
    )


def _regions(file: LabelFile, frame: SceneFrame) -> Geometries:
    """The ignore regions that touch a scene `[A]`, in its pixels; a column `scene` may say whose each is."""
    if file.ignore_regions is None:
        return np.empty(0, dtype=object)
    table = read_layer(file.ignore_regions)
    geometries = np.asarray(table.geometry.values, dtype=object)[of_scene(table, frame.name)]
    shapes, *_ = to_pixels(geometries, table.crs, frame, name=str(file.ignore_regions))
    areas = shapes[shapely.get_dimensions(shapes) == 2]
    return np.asarray(areas[shapely.intersects(areas, shapely.box(0, 0, frame.size.width, frame.size.height))])


def to_pixels(
    geometries: Geometries, crs: CRS | None, frame: SceneFrame, *, name: str
) -> tuple[Geometries, NDArray[np.int64], int, int]:
    """Single geometries in the scene's pixels; without a CRS the map is x = column, y = -row, as in the output.

    Args:
        geometries: `[F]` map geometries, possibly None or empty.
        crs: their system.
        frame: the scene.
        name: what to call the file in an error.

    Returns:
        `(shapes [S], source [S], n_empty, n_lost)`: `source` is the index of the feature each shape comes from,
        `n_empty` counts features without geometry, `n_lost` those outside the domain of the scene's CRS.

    Raises:
        LabelError: only one of the two has a CRS, or no operation leads from one to the other.
    """
    if (crs is None) != (frame.crs is None):
        poor, rich = (name, frame.name) if crs is None else (frame.name, name)
        msg = f"{poor} has no CRS but {rich} has one: assign a CRS to {poor}"
        raise LabelError(msg)
    present = np.flatnonzero(~(shapely.is_missing(geometries) | shapely.is_empty(geometries)))
    flat = shapely.force_2d(geometries[present])
    points, owner = shapely.get_coordinates(flat, return_index=True)
    if crs is not None and frame.crs is not None and crs != frame.crs:
        try:
            points = np.stack(ground.transformer(crs, frame.crs).transform(points[:, 0], points[:, 1]), -1)
        except GeoreferenceError as error:
            msg = f"{name} cannot be brought to the scene's CRS: {error}"
            raise LabelError(msg) from error
    pixels = ground.map_to_pixel(points.reshape(-1, 2), map_transform(frame))
    lost = np.zeros(len(flat), np.bool_)
    lost[owner[~np.isfinite(pixels).all(1)]] = True
    moved = shapely.set_coordinates(flat, np.where(np.isfinite(pixels), pixels, 0.0))
    shapes: list[shapely.Geometry] = []
    source: list[int] = []
    for index, geometry in zip(present[~lost].tolist(), moved[~lost], strict=True):
        parts = _parts(geometry)
        shapes.extend(parts)
        source.extend([index] * len(parts))
    out = np.empty(len(shapes), dtype=object)
    out[:] = shapes
    return out, np.array(source, np.int64), len(geometries) - len(present), int(lost.sum())


def are_upright(shapes: Geometries) -> bool:
    """True where more than 95 % of the geometries (pixels) are axis-aligned rectangles; points are upright."""
    if not len(shapes):
        return False
    x0, y0, x1, y1 = shapely.bounds(shapes).T
    fills = shapely.area(shapes) >= UPRIGHT_FILL * (x1 - x0) * (y1 - y0)
    return bool(fills.mean() > 0.95)


def _parts(geometry: shapely.Geometry) -> list[shapely.Geometry]:
    """The separate parts of a geometry; parts that (nearly) touch stay together as one."""
    parts = list(shapely.get_parts(geometry))
    if len(parts) == 1:
        return parts
    grown = shapely.union_all(shapely.buffer(np.array(parts, dtype=object), PART_GAP_PX / 2))
    groups = shapely.get_parts(grown)
    member = [int(np.flatnonzero(shapely.intersects(groups, part))[0]) for part in parts]
    return [
        shapely.geometrycollections([part for part, of in zip(parts, member, strict=True) if of == group])
        if member.count(group) > 1
        else parts[member.index(group)]
        for group in range(len(groups))
    ]


def _boxes(shapes: Geometries, frame: SceneFrame, *, file: LabelFile) -> box.Boxes:
    """Boxes `[S, 5]` of geometries in pixels; points become upright squares."""
    boxes = box.from_polygons(shapes)
    points = shapely.get_dimensions(shapes) == 0
    if points.any():
        size_m = file.point_size_m
        if size_m is None:
            msg = f"{file} holds {int(points.sum())} points, which have no size: give the objects' size in metres"
            raise LabelError(msg)
        for index in np.flatnonzero(points):
            x, y = boxes[index, :2]
            height = width = size_m  # without a CRS a pixel counts as a metre
            if frame.crs is not None:
                size = ground.pixel_size(frame.transform, frame.crs, col=x, row=y)
                height, width = size_m / size.y_m, size_m / size.x_m
            boxes[index] = x, y, width, height, 0.0
        boxes = np.where(points[:, None], box.normalise(boxes), boxes)
    return boxes


def _upright(boxes: box.Boxes, shapes: Geometries) -> box.Boxes:
    """The bounds of the shapes along the pixel axes as boxes `[S, 5]`; points keep their squares."""
    x0, y0, x1, y1 = shapely.bounds(shapes).T
    around = box.normalise(np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, np.zeros_like(x0)], 1))
    upright: box.Boxes = np.where(shapely.get_dimensions(shapes)[:, None] == 0, boxes, around)
    return upright


def _elsewhere(file: LabelFile, geometries: Geometries, crs: CRS | None, frame: SceneFrame) -> str:
    """Why no feature touches the scene: both bounding boxes and both systems."""
    height, width = frame.size.height, frame.size.width
    edge = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    scene = ground.pixel_to_map(edge, map_transform(frame))
    theirs = ", ".join(f"{value:.8g}" for value in shapely.total_bounds(geometries))
    ours = ", ".join(f"{value:.8g}" for value in [*scene.min(0), *scene.max(0)])
    names = [system.name if system is not None else "no CRS" for system in (crs, frame.crs)]
    return (
        f"no label of {file} touches the scene {frame.name}: labels span ({theirs}) in {names[0]}, "
        f"the scene spans ({ours}) in {names[1]}: check that they belong together"
    )
