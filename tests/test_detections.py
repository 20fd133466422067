"""The record of detections: columns stay together, order is canonical."""

from __future__ import annotations

import numpy as np
import pytest

from geopdn.detections import Detections


def some(n: int, seed: int = 0) -> Detections:
    rng = np.random.default_rng(seed)
    return Detections(
        boxes=rng.uniform(0, 100, (n, 5)),
        score=rng.integers(0, 3, n) / 2,
        label=rng.integers(0, 2, n),
        window=np.arange(n),
        level=rng.integers(0, 3, n),
        cut=rng.random(n) < 0.5,
    )


def test_take_and_concatenate_keep_rows_together() -> None:
    found = some(7)
    first, second = found.take(np.arange(3)), found.take(np.arange(7) >= 3)
    again = Detections.concatenate([first, Detections.empty(), second])
    for name in ("boxes", "score", "label", "window", "level", "cut"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert len(Detections.concatenate([])) == 0


def test_canonical_order_is_by_score_row_column_label_and_free_of_input_order() -> None:
    found = some(40)
    found.boxes[:20, :2] = 5.0  # many ties in place
    keys = []
    for seed in range(5):
        out = found.take(np.random.default_rng(seed).permutation(40)).in_canonical_order()
        keys.append(list(zip(-out.score, out.boxes[:, 1], out.boxes[:, 0], out.label, out.window, strict=True)))
    assert all(key == sorted(key) for key in keys)
    assert all(key == keys[0] for key in keys)


def test_finite_looks_at_box_and_score() -> None:
    found = some(4)
    found.boxes[1, 3] = np.inf
    found.score[2] = np.nan
    assert found.is_finite().tolist() == [True, False, False, True]


def test_ragged_columns_are_refused() -> None:
    found = some(3)
    with pytest.raises(ValueError, match=r"boxes must be \[3, 5\]"):
        Detections(found.boxes[:2], found.score, found.label, found.window, found.level, found.cut)
    with pytest.raises(ValueError, match=r"every column must be \[3\]"):
        Detections(found.boxes, found.score, found.label[:2], found.window, found.level, found.cut)
