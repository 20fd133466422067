"""GeoDeep on the exported detector: its own tiles, ONNX Runtime, its own merging.

    build/bench/geodeep-venv/bin/python benchmarks/rivals/geodeep_process.py scene.tif detector.onnx -o boxes.json

GeoDeep is AGPL-3.0: this script runs in an environment and a process of its own, and geopdn imports neither. It reads
each tile at the network's size, from the overview where there is one; boxes come in whole pixels.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import geodeep
import rasterio


def main() -> None:
    """Search one scene."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("detector", type=Path, help="ONNX with the keys that GeoDeep reads")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON")
    parser.add_argument("--min-score", type=float, default=0.05)
    options = parser.parse_args()
    tiles = 0

    def count(text: str, _: float) -> None:
        nonlocal tiles
        tiles += text.startswith("Processing tile")

    limits, score, classes = geodeep.detect(
        str(options.scene), str(options.detector), conf_threshold=options.min_score, progress_callback=count
    )
    boxes = [[*map(float, b), float(s), int(c[0])] for b, s, c in zip(limits, score, classes, strict=True)]
    with rasterio.open(options.scene) as scene:
        n_pixels = scene.width * scene.height
    options.output.write_text(json.dumps({"boxes": boxes, "windows": tiles, "pixels_read": n_pixels}), encoding="utf-8")


if __name__ == "__main__":
    main()
