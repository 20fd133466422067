"""Made-up results of runs: any transform, any system, any number of detections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from geopdn.detections import Detections, RunResult, SceneFrame, WindowRecord
from geopdn.geometry.window import Size, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UTM_31 = CRS.from_epsg(32631)
NORTH_UP = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_000_000.0)

FACTS = {
    "model": "aircraft-50cm",
    "runtime": "torch",
    "model_version": "1",
    "config_hash": "0123abcd",
    "budget": "0.2",
    "pixels_total": 2048 * 1024,
    "pixels_read": 3 * 512 * 512,
    "share": 0.375,
    "estimated_recall": 0.98,
    "expected_total": 41.5,
    "n_windows": 4,
    "n_failed": 1,
    "stretch": {"low": [1.0, 2.0], "high": [200.0, 220.0]},
    "pixel_size_m": 0.5,
    "geopdn": "0.1.0",
    "command": "geopdn detect scenes/airport.tif --budget 0.2",
    "versions": {"python": "3.11.2", "torch": "2.8.0"},
    "path": "sparse",
}


def make_boxes(n: int, seed: int = 0) -> np.ndarray:
    """Boxes `[n, 5]` inside 2048 x 1024 px."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(60, 1988, n), rng.uniform(60, 964, n)
    length = rng.uniform(20, 90, n)
    return np.stack([x, y, length, length * rng.uniform(0.2, 0.9, n), rng.uniform(-np.pi / 2, np.pi / 2, n)], -1)


@pytest.fixture(name="make_result")
def _make_result() -> Callable[..., RunResult]:
    return build_result


def build_result(
    n: int = 40,
    *,
    transform: Affine = NORTH_UP,
    crs: CRS | None = UTM_31,
    boxes: np.ndarray | None = None,
    classes: Sequence[str] = ("aircraft",),
    has_heading: bool = True,
    datetime: str = "2026-05-01T10:11:12Z",
    name: str = "scenes/airport.tif",
    with_raw: bool = True,
) -> RunResult:
    """A result with `n` detections in canonical order, twice as many raw ones, four windows (one failed), facts."""
    boxes = make_boxes(n) if boxes is None else np.asarray(boxes, float).reshape(-1, 5)
    n = len(boxes)
    rng = np.random.default_rng(1)
    window = np.clip(np.nan_to_num(boxes[:, 0]) // 512, 0, 3).astype(np.int64)
    found = Detections(
        boxes=boxes,
        score=rng.uniform(0.2, 1, n),
        label=np.arange(n) % len(classes),
        window=window,
        level=np.array([0, 0, 1, 0])[window],
        cut=np.zeros(n, np.bool_),
    ).in_canonical_order()
    records = tuple(
        WindowRecord(
            index=index,
            window=Window(0, index * (512 >> level), 512 >> level, 512 >> level, level),
            core=Window(0, index * 512, 512, 512),
            kind="512",
            reason="plan",
            round=index // 2,
            expected=1.5 + index,
            found=int((found.window == index).sum()),
            status="failed" if index == 3 else "read",
            cause="corrupt tile <3, 1>" if index == 3 else "",
        )
        for index, level in enumerate((0, 0, 1, 0))
    )
    score = found.score * 0.5
    raw = Detections.concatenate([found, replace(found, score=score, cut=score < 0.3)]) if with_raw else None
    return RunResult(
        frame=SceneFrame(name, Size(1024, 2048), transform, crs, datetime),
        classes=tuple(classes),
        has_heading=has_heading,
        detections=found,
        windows=records,
        facts=dict(FACTS),
        saliency=np.arange(16 * 32, dtype=np.float32).reshape(16, 32) / 100,
        cell_px=64,
        raw=raw,
    )
