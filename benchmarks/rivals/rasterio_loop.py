"""The least anybody would write: read each window with rasterio at the network's level, run the network, suppress.

    python -m benchmarks.rivals.rasterio_loop scene.tif -o boxes.json

GDAL takes the pixels from the scene's overview where it has one, else averages full resolution.
"""

from __future__ import annotations

import numpy as np
import rasterio
import torch
from rasterio.enums import Resampling
from rasterio.windows import Window
from torchvision.ops import batched_nms

from benchmarks.rivals.shared import HighRes, arguments, starts, write_record

IOU = 0.5


def main() -> None:
    """Search one scene."""
    options = arguments(__doc__)
    network = HighRes(options.model, kind=options.kind, min_score=options.min_score)
    extent, shape = network.extent, (3, network.side, network.side)
    parts = [np.zeros((0, 6))]
    with rasterio.open(options.scene) as scene:
        if min(scene.shape) < extent:
            raise SystemExit(f"{options.scene} is {scene.width} x {scene.height} px: expected at least {extent}")
        rows, cols = (starts(side, extent=extent, overlap=2 * network.halo) for side in scene.shape)
        for row in rows:
            for col in cols:
                window = Window(col, row, extent, extent)
                found = network(scene.read([1, 2, 3], window=window, out_shape=shape, resampling=Resampling.average))
                placed = found.limits + np.array([col, row, col, row])
                parts.append(np.column_stack([placed, found.score, found.label]))
        n_pixels = scene.width * scene.height
    boxes = np.concatenate(parts)
    limits, score, label = (torch.from_numpy(boxes[:, part]) for part in (slice(0, 4), 4, 5))
    kept = batched_nms(limits, score, label, IOU).numpy()
    write_record(
        options.output, boxes[kept], kind=options.kind, windows=network.n_calls, pixels_read=n_pixels, raw=network.n_raw
    )


if __name__ == "__main__":
    main()
