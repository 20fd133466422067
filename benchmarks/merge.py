"""How long merging takes and what memory it needs: a million boxes, each object found two or three times.

    python benchmarks/merge.py --boxes 1000000 --kind oriented --method nms

Objects lie at random in a square scene that is looked at by windows of two scales; each is found by the windows whose
cores hold it, about a pixel apart; one in fifty lies across the edge of two windows, which find half of it each. Prints
seconds and the peak memory of the whole process; run it once for each kind, since the peak is of the process.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from numpy.typing import NDArray

from geopdn.detections import Detections
from geopdn.geometry import boxes as box
from geopdn.geometry.window import Size
from geopdn.merge import METHODS, merge

CORE = 448
AREA_PX = 4_000  # of the scene, for each box
CUT_SHARE = 0.02  # of the objects


def found_boxes(n: int, *, oriented: bool, seed: int) -> tuple[Detections, NDArray[np.int64], int]:
    """About `n` detections of about 0.4 `n` objects, the cores `[n_windows, 4]`, and the side of the scene."""
    rng = np.random.default_rng(seed)
    side = -(-int(np.sqrt(n * AREA_PX)) // (2 * CORE)) * 2 * CORE
    n_objects = int(n / 2.5)
    length = rng.uniform(16, 60, n_objects)
    angle = rng.uniform(-np.pi / 2, np.pi / 2, n_objects) if oriented else np.zeros(n_objects)
    shape = np.column_stack([length, length * rng.uniform(0.3, 1, n_objects), angle])
    objects = np.column_stack([rng.uniform(64, side - 64, (n_objects, 2)), shape])
    is_cut = rng.random(n_objects) < CUT_SHARE  # lie along x, across an edge between two windows, found as halves
    objects[is_cut, 0] = np.round(objects[is_cut, 0] / CORE) * CORE
    objects[is_cut, 4] *= 0.1
    copies = np.where(is_cut, 2, rng.integers(2, 4, n_objects))
    owner = np.repeat(np.arange(n_objects), copies)
    turn = np.arange(len(owner)) - np.repeat(np.cumsum(copies) - copies, copies)
    boxes, cut = objects[owner], is_cut[owner]
    boxes[~cut, :2] += rng.normal(0, 0.7, ((~cut).sum(), 2))
    boxes[~cut, 2:4] *= rng.uniform(0.95, 1.05, ((~cut).sum(), 2))
    along = np.column_stack([np.cos(boxes[:, 4]), np.sin(boxes[:, 4])])[cut] * boxes[cut, 2:3] / 4
    boxes[cut, :2] += along * np.where(turn[cut] == 0, -1, 1)[:, None]
    boxes[cut, 2] = boxes[cut, 2] / 2 + 2
    level = np.where(cut, 0, turn % 2)
    core = CORE << level
    col, row = (boxes[:, :2] // core[:, None]).astype(np.int64).T
    window = np.where(level == 0, 0, (side // CORE) ** 2) + row * (side // core) + col
    found = Detections(box.normalise(boxes), rng.uniform(0.05, 1, len(owner)), owner % 2, window, level, cut)
    cores = []
    for extent in (CORE, 2 * CORE):
        top, left = (grid.ravel() * extent for grid in np.mgrid[: side // extent, : side // extent])
        cores.append(np.column_stack([top, left, top + extent, left + extent]))
    return found, np.concatenate(cores), side


def main() -> None:
    """Make the boxes, merge them, print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, default=1_000_000)
    parser.add_argument("--kind", choices=("oriented", "upright"), default="oriented")
    parser.add_argument("--method", choices=METHODS, default="nms")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found, cores, side = found_boxes(options.boxes, oriented=options.kind == "oriented", seed=options.seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.monotonic()
    merged = merge(found, cores=cores, size=Size(side, side), method=options.method)
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(  # noqa: T201 (a script)
        f"{len(found):,} {options.kind} boxes ({int(found.cut.sum()):,} cut) of {side:,} x {side:,} px -> "
        f"{len(merged.detections):,} ({merged.n_joined:,} joined) by {options.method} in {seconds:.1f} s, "
        f"peak {peak:,.0f} MiB ({before:,.0f} MiB before)"
    )


if __name__ == "__main__":
    main()
