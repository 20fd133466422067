"""A large sparse scene from real labelled ones: whole scenes here and there in ground of the same scenes.

    python benchmarks/mosaic.py SCENES LABELS -o mosaic.tif --places site00,site08 --cells 8

The mosaic is a square of cells as large as a scene. Some cells, spread by a seed, hold a whole scene, one of each
place; the others are patched together from ground in which nothing is labelled (with a margin), mirrored and turned.
Patches leave seams, and ground is seen several times; objects are as they were. Writes an 8-bit, JPEG-compressed, tiled
GeoTIFF with overviews and `mosaic.truth.gpkg`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from geopdn.evaluate.labels import truth_of
from geopdn.evaluate.layers import LabelFile, read_layer
from geopdn.geometry import boxes as box
from geopdn.scene import Scene
from geopdn.scene.frame import frame_of

PATCH = 640
MARGIN_PX = 24.0  # between labelled objects and the ground that is taken
OVERVIEWS = (2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A scene: its file, its objects as boxes `[N, 4]` x0, y0, x1, y1 in pixels, their class names and flags."""

    path: Path
    boxes: NDArray[np.float64]
    label: list[str]
    truncated: NDArray[np.bool_]


def read(path: Path, table: Any, *, labels: Path) -> Labelled:
    """A scene with its labels; objects that are marked twice count once, those not to be scored are `truncated`."""
    with Scene.open(str(path)) as scene:
        truth = truth_of(table, frame_of(scene), file=LabelFile(labels), upright=True, allow_empty=True)
    names = [truth.names[label] for label in truth.labels]
    return Labelled(path, box.bounds(truth.boxes), names, truth.ignore)


def free_patches(scene: Labelled, *, size: int) -> list[tuple[Path, int, int]]:
    """Squares of `PATCH` pixels, every half of it, in which nothing is labelled: path, row, column."""
    found = []
    for row in range(0, size - PATCH + 1, PATCH // 2):
        for col in range(0, size - PATCH + 1, PATCH // 2):
            x0, y0, x1, y1 = scene.boxes.T if len(scene.boxes) else np.zeros((4, 0))
            near = (x0 < col + PATCH + MARGIN_PX) & (x1 > col - MARGIN_PX)
            near &= (y0 < row + PATCH + MARGIN_PX) & (y1 > row - MARGIN_PX)
            if not near.any():
                found.append((scene.path, row, col))
    return found


def main() -> None:
    """Read the command line and write the mosaic."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, help="folder of scenes of one size")
    parser.add_argument("labels", type=Path, help="vector file with a column `scene`")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--places", required=True, help="beginnings of file names, with commas")
    parser.add_argument("--cells", type=int, default=8, help="cells along a side")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    rng = np.random.default_rng(wanted.seed)
    labels = read_layer(wanted.labels)
    places = wanted.places.split(",")
    groups = [
        [read(p, labels, labels=wanted.labels) for p in sorted(wanted.scenes.glob(f"{place}*.tif"))] for place in places
    ]
    with rasterio.open(groups[0][0].path) as scene:
        size, transform, crs = scene.width, scene.transform, scene.crs
    ground = [patch for group in groups for scene in group for patch in free_patches(scene, size=size)]
    chosen = [group[int(rng.integers(len(group)))] for group in groups]
    cells = rng.permutation(wanted.cells**2)[: len(chosen)]
    holds = dict(zip(cells.tolist(), chosen, strict=True))
    side = size * wanted.cells
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "crs": crs, "tiled": True,
        "transform": Affine(transform.a, 0, 200_000, 0, transform.e, 6_000_000), "blockxsize": 512, "blockysize": 512,
        "compress": "jpeg", "photometric": "ycbcr", "jpeg_quality": 90, "bigtiff": "if_safer",
    }  # fmt: skip
    rows = []
    with rasterio.open(wanted.output, "w", **profile) as target:
        for cell in range(wanted.cells**2):
            top, left = cell // wanted.cells * size, cell % wanted.cells * size
            if cell in holds:
                with rasterio.open(holds[cell].path) as scene:
                    image = scene.read()
                rows += [(*limits, *names) for limits, names in _placed(holds[cell], top, left)]
            else:
                image = _patched(ground, size, rng)
            target.write(image, window=Window(left, top, size, size))
    with rasterio.open(wanted.output, "r+") as target:
        target.build_overviews(OVERVIEWS, Resampling.average)
        to_map = target.transform
    shapes = [shapely.box(*(to_map @ (x0, y1)), *(to_map @ (x1, y0))) for x0, y0, x1, y1, *_ in rows]
    table = geopandas.GeoDataFrame(
        {"label": [row[4] for row in rows], "truncated": [row[5] for row in rows]}, geometry=shapes, crs=crs
    )
    table.to_file(wanted.output.with_suffix(".truth.gpkg"), layer="labels")
    share = len(chosen) / wanted.cells**2
    print(f"{side} x {side} px, {len(rows)} objects in {len(chosen)} scenes ({share:.1%} of the area): "  # noqa: T201
          f"{', '.join(scene.path.stem for scene in chosen)}; {len(ground)} patches of ground")  # fmt: skip


def _placed(scene: Labelled, top: int, left: int) -> list[tuple[list[float], tuple[str, bool]]]:
    moved = (scene.boxes + np.array([left, top, left, top])).tolist()
    return [(limits, (name, bool(cut))) for limits, name, cut in zip(moved, scene.label, scene.truncated, strict=True)]


def _patched(ground: list[tuple[Path, int, int]], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """`[3, size, size]` of patches of ground, each in one of the eight orientations of a square."""
    image = np.zeros((3, size, size), np.uint8)
    for row in range(0, size, PATCH):
        for col in range(0, size, PATCH):
            path, r, c = ground[int(rng.integers(len(ground)))]
            with rasterio.open(path) as scene:
                patch = scene.read(window=Window(c, r, PATCH, PATCH))
            patch = np.rot90(patch, int(rng.integers(4)), (1, 2))
            patch = patch[:, :, ::-1] if rng.random() < 0.5 else patch
            image[:, row : row + PATCH, col : col + PATCH] = patch[:, : size - row, : size - col]
    return image


if __name__ == "__main__":
    main()
