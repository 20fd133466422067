"""What is wrong with the features of a label file, whatever scenes they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geopdn.evaluate.layers import DEFAULT_FIELD, DEFAULT_NAME
from geopdn.survey.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from geopdn.evaluate.layers import LabelFile


def feature_problems(table: Any, file: LabelFile) -> Iterator[Problem]:
    """Features without geometry, invalid ones, lines, points without a size, features without a class.

    Args:
        table: the layer (`geopdn.evaluate.layers.read_layer`).
        file: where it came from.

    Yields:
        At most one problem of each kind.
    """
    if not len(table):
        yield Problem(f"{file} has no features, its scene is taken as empty ground: check the file and the layer")
        return
    geometries = np.asarray(table.geometry.values, dtype=object)
    empty = shapely.is_missing(geometries) | shapely.is_empty(geometries)
    if empty.all():
        yield Problem(f"{file}: none of its {len(table)} features has a geometry: check the layer", is_error=True)
        return
    if empty.any():
        yield Problem(f"{file}: {_of(empty)} without a geometry, left out")
    invalid = ~empty & ~shapely.is_valid(geometries)
    if invalid.any():
        why = shapely.is_valid_reason(geometries[int(np.flatnonzero(invalid)[0])])
        yield Problem(f"{file}: {_of(invalid)} with an invalid geometry ({why}), taken by the outline: repair it")
    dimension = shapely.get_dimensions(geometries)
    lines = ~empty & (dimension == 1)
    if lines.any():
        text = f"{file}: {_of(lines)} that are lines: expected boxes, polygons or points"
        yield Problem(f"{text}; draw them as polygons", is_error=True)
    points = ~empty & (dimension == 0)
    if points.any() and file.point_size_m is None:
        text = f"{file}: {_of(points)} that are points, which have no size: give that of the objects in metres"
        yield Problem(f"{text} (`configure --point-size`, `point_size_m` in a configuration)", is_error=True)
    field = file.label_field or DEFAULT_FIELD
    if field in table.columns:
        nameless = ~empty & np.asarray(table[field].isna(), np.bool_)
        if nameless.any():
            yield Problem(f"{file}: {_of(nameless)} without a value in {field!r}, taken as class {DEFAULT_NAME!r}")


def _of(mask: NDArray[np.bool_]) -> str:
    """How many features, and which is the first, counted from 1 as tables are."""
    n, first = int(mask.sum()), int(np.flatnonzero(mask)[0]) + 1
    return f"1 feature (number {first})" if n == 1 else f"{n} features (first number {first})"
