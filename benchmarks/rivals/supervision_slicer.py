"""supervision's `InferenceSlicer` on the same network: its own slices of an open rasterio dataset, its own merging.

    python -m benchmarks.rivals.supervision_slicer scene.tif -o boxes.json

It asks the dataset for full-resolution windows whatever overviews there are. Its merging holds the overlap of every box
with every other: more than `MOST_BOXES` are refused, before they exhaust memory.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import rasterio
import supervision
from numpy.typing import NDArray

from benchmarks.rivals.shared import HighRes, arguments, write_record

MOST_BOXES = 10_000  # took 5.2 GB and 15 s
IOU = 0.5
REFUSED = 4


def main() -> None:
    """Search one scene."""
    options = arguments(__doc__)
    network = HighRes(options.model, kind=options.kind, min_score=options.min_score)

    def callback(image: NDArray[np.uint8]) -> Any:
        found = network(np.ascontiguousarray(image.transpose(2, 0, 1)))
        if network.n_raw > MOST_BOXES:
            sys.stderr.write(f"more than {MOST_BOXES:,} raw boxes: supervision's merging would exhaust memory\n")
            sys.exit(REFUSED)
        return supervision.Detections(
            xyxy=found.limits.astype(np.float32), confidence=found.score.astype(np.float32), class_id=found.label
        )

    slicer = supervision.InferenceSlicer(
        callback=callback, slice_wh=network.extent, overlap_wh=2 * network.halo, iou_threshold=IOU
    )
    with rasterio.open(options.scene) as scene:
        n_pixels = scene.width * scene.height
        answer = slicer(scene)
    n = len(answer)
    boxes = np.column_stack([answer.xyxy, answer.confidence, answer.class_id]) if n else np.zeros((0, 6))
    write_record(
        options.output, boxes, kind=options.kind, windows=network.n_calls, pixels_read=n_pixels, raw=network.n_raw
    )


if __name__ == "__main__":
    main()
