"""Detections that people have reviewed, as labels.

What is marked `right` or `missed` is a label, what is marked `wrong` is none. What nobody has marked is neither: it is
not scored, and training takes it as it was found rather than as background. A file in which nothing is marked stands
as it was found.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.errors import LabelError, ReviewWarning
from geopdn.output.fields import REVIEW, REVIEWS, WRONG

_FOUND = "score"
"""Only layers with this column are detections; other columns named `review` are the user's own."""


def as_labels(table: Any, *, name: str) -> Any:
    """A layer of labels; of reviewed detections the rows that stand, those without a mark as not to be scored.

    Objects added by hand, which have no more than a polygon and a mark, get the class and the scene of the others
    where these have but one.

    Args:
        table: the layer (`geopdn.evaluate.layers.read_layer`).
        name: what to call the file in errors.

    Returns:
        The same table where nobody can have reviewed it.

    Raises:
        LabelError: a mark is none that geopdn knows, or an object added by hand has no class and there are several.
    """
    if not _is_reviewable(table):
        return table
    marks = marks_of(table, name=name)
    n, n_open = len(marks), int((marks == "").sum())
    if n_open == n:
        if n:
            warnings.warn(
                f"none of the {n} detections of {name} is reviewed: all of them count as labels, as they were found",
                ReviewWarning,
                stacklevel=2,
            )
        return table
    if n_open:
        warnings.warn(
            f"{n_open} of {n} detections of {name} are not reviewed: they are not scored, and training takes them as "
            "they were found",
            ReviewWarning,
            stacklevel=2,
        )
    stands = marks != WRONG
    labels = table[stands].reset_index(drop=True)
    if "ignore" not in labels.columns:
        labels["ignore"] = marks[stands] == ""
    for column in ("label", "scene"):
        if column in labels.columns:
            _fill(labels, table[column], column, name=name)
    return labels


def found_only(table: Any) -> Any:
    """The detections of a layer without the objects that people added."""
    if not _is_reviewable(table):
        return table
    return table[table[_FOUND].notna() | ~table[REVIEW].isin(REVIEWS)]


def marks_of(table: Any, *, name: str) -> NDArray[np.object_]:
    """`[F]` the mark of each feature, empty where there is none.

    Raises:
        LabelError: one is none that geopdn knows.
    """
    column = table[REVIEW].astype(object).where(table[REVIEW].notna(), "")
    marks = np.array([str(value).strip().lower() for value in column], object)
    odd = sorted({str(mark) for mark in marks} - {"", *REVIEWS})
    if odd:
        msg = f"{name}: column {REVIEW!r} should hold {', '.join(REVIEWS)} or nothing, found {odd[:5]}: correct it"
        raise LabelError(msg)
    return marks


def _is_reviewable(table: Any) -> bool:
    return REVIEW in table.columns and _FOUND in table.columns


def _fill(labels: Any, known: Any, column: str, *, name: str) -> None:
    """Give objects added by hand the value that all others have."""
    bare = labels[column].isna().to_numpy()
    values = sorted({str(value) for value in known.dropna()})
    if not bare.any() or not values:
        return
    if len(values) > 1:
        msg = (
            f"{name}: {int(bare.sum())} objects that were added by hand have no {column!r}, and there are several: "
            f"say which of {values[:5]} each is"
        )
        raise LabelError(msg)
    labels.loc[bare, column] = values[0]
