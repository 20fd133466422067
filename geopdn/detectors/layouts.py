"""How detectors lay out their output, and the boxes in it.

| layout | output | a row |
|---|---|---|
| `yolov5` | `[B, n, 5 + classes]` | x, y, w, h, objectness, class scores; also YOLOv6 and YOLOv7 |
| `yolov8` | `[B, 4 + classes, n]` | x, y, w, h, class scores; also YOLOv9, YOLO11, segmentation's first output |
| `yolov8-obb` | `[B, 4 + classes + 1, n]` | x, y, w, h, class scores, angle |
| `end2end` | `[B, n, 6]` | x0, y0, x1, y1, score, class; nothing is left to suppress |
| `end2end-obb` | `[B, n, 7]` | x, y, w, h, score, class, angle; likewise |
| `torchvision` | `[n, 4]`, `[n]`, `[n]` | x0, y0, x1, y1; scores and classes apart, in either order; one window a run |

Positions are pixels of the input from its outer corner; angles are radians from +x towards +y.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.errors import ConfigError, DetectorError

LAYOUTS = ("yolov5", "yolov8", "yolov8-obb", "end2end", "end2end-obb", "torchvision")
ORIENTED = frozenset({"yolov8-obb", "end2end-obb"})
FINAL = frozenset({"end2end", "end2end-obb", "torchvision"})
"""Layouts of detectors that have suppressed duplicates themselves."""
MOST_FINAL = 1000
"""Boxes that such a detector returns, at most; usually 300."""

Shape = Sequence[int | str | None]
Rows = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def fits(layout: str, shapes: Sequence[Shape], *, n_classes: int) -> bool:
    """Whether outputs of these shapes (a text or None is an open dimension) may have a layout."""
    if layout == "torchvision":
        return len(shapes) == 3 and sorted(len(shape) for shape in shapes) == [1, 1, 2]
    if not shapes or len(shapes[0]) != 3:
        return False
    axis, wanted = _axis(layout, n_classes)
    held = shapes[0][axis]
    if len(shapes) == 2 and layout in ("yolov8", "end2end"):  # segmentation: coefficients of masks follow
        return not isinstance(held, int) or held > wanted
    return len(shapes) == 1 and (not isinstance(held, int) or held == wanted)


def _axis(layout: str, n_classes: int) -> tuple[int, int]:
    """The axis of the values of a box, and how many there are."""
    return {
        "yolov5": (2, 5 + n_classes),
        "yolov8": (1, 4 + n_classes),
        "yolov8-obb": (1, 5 + n_classes),
        "end2end": (2, 6),
        "end2end-obb": (2, 7),
    }[layout]


def _likely(shapes: Sequence[Shape], *, n_classes: int) -> list[str]:
    """Layouts that fit; those whose number of values is fixed before others, few final boxes or many raw ones."""
    possible = [layout for layout in LAYOUTS if fits(layout, shapes, n_classes=n_classes)]
    if "torchvision" in possible:
        return possible
    sure = [layout for layout in possible if isinstance(shapes[0][_axis(layout, n_classes)[0]], int)] or possible
    n = shapes[0][1] if len(shapes[0]) > 1 else None
    many = isinstance(n, int) and n > MOST_FINAL
    return [layout for layout in sure if not (many and layout in FINAL)]


def choose_layout(said: str | None, shapes: Sequence[Shape], *, n_classes: int, name: str) -> str:
    """The layout that the file says, checked, or the only one that its outputs can have.

    Raises:
        DetectorError: outputs do not fit the layout that is said, or any.
        ConfigError: several layouts fit.
    """
    text = " and ".join(str(list(shape)) for shape in shapes)
    if said is not None:
        if not fits(said, shapes, n_classes=n_classes):
            raise DetectorError(
                f"detector {name} has outputs {text}, which is not {said} with {n_classes} classes: check its classes "
                "(--detector-classes) and its layout (--detector-layout)"
            )
        return said
    possible = _likely(shapes, n_classes=n_classes)
    if not possible:
        raise DetectorError(
            f"detector {name} has outputs {text}, which is none of {', '.join(LAYOUTS)} with {n_classes} classes"
        )
    if len(possible) > 1:
        raise ConfigError(
            f"detector {name} has outputs {text}, which may be {' or '.join(possible)}: say which by --detector-layout"
        )
    return possible[0]


def rows_of(outputs: Sequence[NDArray[Any]], layout: str, *, n_classes: int, name: str) -> list[Rows]:
    """Boxes, scores and labels of each window, before thresholds, see `geopdn.detectors.protocol.checked`.

    Args:
        outputs: of one run of the network.
        layout: one of `LAYOUTS`.
        n_classes: number of classes.
        name: of the detector, for messages.

    Returns:
        For each window boxes `[n, 4]` as corners, or `[n, 5]` of an oriented layout; scores `[n]`; labels `[n]`.

    Raises:
        DetectorError: arrays of other shapes than the layout's.
    """
    if not fits(layout, [array.shape for array in outputs], n_classes=n_classes):
        shapes = " and ".join(str(list(array.shape)) for array in outputs)
        raise DetectorError(f"detector {name} returned {shapes}, which is not {layout} with {n_classes} classes")
    if layout == "torchvision":
        return [_torchvision(outputs)]
    whole = outputs[0].astype(np.float64)
    if layout in ("yolov8", "yolov8-obb"):
        whole = whole.transpose(0, 2, 1)
    return [_rows(window, layout, n_classes=n_classes) for window in whole]


def _rows(rows: NDArray[np.float64], layout: str, *, n_classes: int) -> Rows:
    """Of one window `[n, values]`."""
    if layout in ("end2end", "end2end-obb"):
        boxes = rows[:, :4] if layout == "end2end" else np.column_stack([rows[:, :4], rows[:, 6]])
        return boxes, rows[:, 4], rows[:, 5]
    first = 5 if layout == "yolov5" else 4
    classes = rows[:, first : first + n_classes]
    label = classes.argmax(1)
    score = np.take_along_axis(classes, label[:, None], 1)[:, 0] * (rows[:, 4] if layout == "yolov5" else 1.0)
    if layout == "yolov8-obb":
        return np.column_stack([rows[:, :4], rows[:, -1]]), score, label.astype(np.float64)
    half = rows[:, 2:4] / 2
    return np.concatenate([rows[:, :2] - half, rows[:, :2] + half], 1), score, label.astype(np.float64)


def _torchvision(outputs: Sequence[NDArray[Any]]) -> Rows:
    """Three arrays: the one of two axes holds boxes, of the others the one of floats holds scores."""
    boxes = next(array for array in outputs if array.ndim == 2)
    flat = sorted((array for array in outputs if array.ndim == 1), key=lambda array: array.dtype.kind != "f")
    return boxes.astype(np.float64), flat[0].astype(np.float64), flat[1].astype(np.float64)
