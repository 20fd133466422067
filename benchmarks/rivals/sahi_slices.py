"""SAHI's sliced prediction on the same network: the whole scene in memory, its own slices and merging.

    python -m benchmarks.rivals.sahi_slices scene.tif -o boxes.json

SAHI slices an image in memory, so full resolution is read whatever overviews there are.
"""

from __future__ import annotations

import numpy as np

from benchmarks.rivals.shared import arguments, write_record
from geopdn.evaluate.sahi_rival import search_with_sahi
from geopdn.geometry import boxes as box
from geopdn.model.weights import find_weights, load_weights


def main() -> None:
    """Search one scene; the lowest score is that of `sahi_rival`."""
    options = arguments(__doc__)
    answer = search_with_sahi(options.scene, load_weights(find_weights(options.model)), kind=options.kind)
    found = answer.detections
    boxes = np.column_stack([box.bounds(found.boxes), found.score, found.label])
    kept = boxes[boxes[:, 4] >= options.min_score]
    write_record(options.output, kept, kind=options.kind, windows=answer.n_slices, pixels_read=answer.n_pixels)


if __name__ == "__main__":
    main()
