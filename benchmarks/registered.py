"""Scenes of the same ground, each at a made-up place of its own, put where they lie over each other.

    python benchmarks/registered.py SCENES LABELS -o runs/registered --place "^(site[0-9]+)_"

The publisher of the aircraft scenes removed their places; scenes of one site show the same ground on several dates all
the same. Shifts between any two of a site come from phase correlation of their gradients at an eighth of the
resolution (Kuglin and Hines 1975), so they are right to about half of such a pixel: 2 m. Sites are set 20 km apart,
scenes of one site that do not overlap 5 km. Copies of the scenes with the new transforms and their labels, moved alike,
are written; the scenes stay as they are.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

import geopandas
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling

STEP = 8
LEAST_PEAK = 5.0  # of the correlation, by its thirtieth highest value
LEAST_OVERLAP = 0.15  # of a scene
SITE_M, APART_M = 20_000.0, 5_000.0
ORIGIN = 500_000.0, 4_000_000.0


def outline(path: Path) -> NDArray[np.float64]:
    """Gradients of a scene at an eighth of its resolution, of mean 0."""
    with rasterio.open(path) as dataset:
        shape = (dataset.count, dataset.height // STEP, dataset.width // STEP)
        grey = dataset.read(out_shape=shape, resampling=Resampling.average).mean(0)
    steep = np.log1p(np.hypot(*np.gradient(grey)))
    return np.asarray(steep - steep.mean())


def shift(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """Where the second lies on the first: rows and columns, and how far the correlation's peak stands out."""
    n = 2 * max(*first.shape, *second.shape)
    product = np.fft.rfft2(first, (n, n)) * np.conj(np.fft.rfft2(second, (n, n)))
    product /= np.abs(product) + 1e-3 * np.abs(product).mean()
    correlation = np.fft.irfft2(product, (n, n))
    at = np.array(np.unravel_index(correlation.argmax(), correlation.shape))
    peak = correlation.max() / np.partition(correlation.ravel(), -30)[-30]
    return np.where(at < n // 2, at, at - n), float(peak)


def places(paths: list[Path]) -> list[tuple[int, NDArray[np.int64]]]:
    """Of each scene of one site: its group, and rows and columns (pixels) of its corner from that of the group's first.

    Scenes join the group to which they are tied by the clearest peak.
    """
    outlines = [outline(path) for path in paths]
    height, width = outlines[0].shape
    ties = []
    for i in range(len(paths)):
        for j in range(i + 1, len(paths)):
            moved, peak = shift(outlines[i], outlines[j])
            common = max(0, height - abs(int(moved[0]))) * max(0, width - abs(int(moved[1]))) / (height * width)
            if peak >= LEAST_PEAK and common >= LEAST_OVERLAP:
                ties.append((peak, i, j, moved * STEP))
    found = [(i, np.zeros(2, np.int64)) for i in range(len(paths))]
    for _, i, j, moved in sorted(ties, key=lambda tie: -tie[0]):
        (one, at), (other, there) = found[i], found[j]
        if one == other:
            continue
        change = at + moved - there
        found = [(one, corner + change) if group == other else (group, corner) for group, corner in found]
    return found


def main() -> None:
    """Read the command line and write the copies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, help="folder of scenes of one size")
    parser.add_argument("labels", type=Path, help="vector file with a column `scene`")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--place", default="^(site[0-9]+)_", help="regular expression of a site, in file names")
    wanted = parser.parse_args()
    wanted.output.mkdir(parents=True, exist_ok=True)
    sites: dict[str, list[Path]] = {}
    for path in sorted(wanted.scenes.glob("*.tif")):
        if match := re.search(wanted.place, path.stem):
            sites.setdefault(match[1], []).append(path)
    labels = geopandas.read_file(wanted.labels)
    for number, paths in enumerate(sites.values()):
        for path, (group, corner) in zip(paths, places(paths), strict=True):
            target = wanted.output / path.name
            shutil.copyfile(path, target)
            target.chmod(0o644)
            with rasterio.open(target, "r+") as copy:
                before, side = copy.transform, copy.transform.a
                x = ORIGIN[0] + number * SITE_M + corner[1] * side
                y = ORIGIN[1] + group * APART_M - corner[0] * side
                copy.transform = Affine(side, 0, x, 0, -side, y)
            own = labels["scene"] == path.stem
            labels.loc[own, "geometry"] = labels.loc[own].geometry.translate(x - before.c, y - before.f)
    labels.to_file(wanted.output / "labels.gpkg", layer="labels", driver="GPKG")


if __name__ == "__main__":
    main()
