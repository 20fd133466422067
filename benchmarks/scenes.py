"""The scenes of the benchmark: simulated airports, and mosaics of real ones, in several kinds of files; built once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmarks.mosaic_size import PLACES, mosaic_cells
from benchmarks.patchwork import patchwork

ROOT = Path(__file__).parent.parent
AIRBUS = ROOT.parent / "shared" / "data" / "aircraft_airbus"
BLOCK = 256
PX_PER_OBJECT = 100_000  # of the cells that hold an object, on average of simulated airports
DENSEST = 0.12  # share of the area up to which one layout finds place for its airports
CELL_PX = 512  # cells that hold an object make up what is occupied
SEED = 7

Compression = Literal["jpeg", "deflate"]


@dataclass(frozen=True, slots=True)
class Case:
    """A scene that is wanted.

    Attributes:
        size: side in pixels.
        share: of the area, in 512 px cells that hold an object (simulated, about), or in scenes with objects (mosaic).
        n_objects: labelled objects; 0 for a mosaic, which has those of its scenes.
        compression: of the file.
        overviews: whether the file has any.
        source: `airport` (simulated) or `mosaic` (whole labelled scenes in ground of the same places).
    """

    size: int
    share: float
    n_objects: int
    compression: Compression = "jpeg"
    overviews: bool = True
    source: Literal["airport", "mosaic"] = "airport"

    @property
    def base(self) -> str:
        """Name of the scene, whatever the kind of its file."""
        objects = f"-{self.n_objects}" if self.n_objects else ""
        return f"{self.source}-{self.size}px-{100 * self.share:.3g}pct{objects}"

    @property
    def name(self) -> str:
        """Name of the file, without its ending."""
        return f"{self.base}-{self.compression}-{'overviews' if self.overviews else 'plain'}"

    def path(self, folder: Path) -> Path:
        """The GeoTIFF."""
        return folder / f"{self.name}.tif"

    def truth(self, folder: Path) -> Path:
        """What is in it."""
        return folder / f"{self.base}.truth.gpkg"


def budget_of(occupied: float) -> float:
    """Share of the pixels that `--budget` gets: slightly above the share of the cells that hold an object."""
    return round(min(1.0, 1.25 * occupied + 0.01), 4)


def airport(
    size: int, share: float, *, n_objects: int | None = None, compression: Compression = "jpeg", overviews: bool = True
) -> Case:
    """A simulated airport scene; without a number as many objects as fill the share."""
    wanted = max(1, round(share * size**2 / PX_PER_OBJECT)) if n_objects is None else n_objects
    return Case(size, share, wanted, compression, overviews)


def mosaic(size: int) -> Case:
    """A mosaic of about that side: real scenes in at most about 5 % of the area, one scene at least."""
    cells = mosaic_cells(size)
    return Case(cells.size, cells.share, 0, source="mosaic")


def cases(
    sizes: Sequence[int],
    shares: Sequence[float],
    *,
    compressions: Sequence[Compression],
    overviews: Sequence[bool],
    with_mosaic: bool,
) -> list[Case]:
    """Every combination, sizes ascending, then the mosaics where the labelled scenes are there."""
    wanted = [
        airport(size, share, compression=compression, overviews=has)
        for size in sorted(sizes)
        for share in sorted(shares)
        for compression in compressions
        for has in overviews
    ]
    return wanted + [mosaic(size) for size in sorted(sizes) if with_mosaic and AIRBUS.is_dir()]


def build(case: Case, folder: Path, *, say: Callable[[str], None]) -> Path:
    """The file of a case, made where it is not there yet."""
    path = case.path(folder)
    if path.is_file() and case.truth(folder).is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    first = replace(case, compression="jpeg", overviews=True)
    source = first.path(folder)
    if not (source.is_file() and case.truth(folder).is_file()):
        say(f"building {source.name} ...")
        _make(first, source, case.truth(folder))
    if path != source:
        say(f"writing {path.name} ...")
        _rewrite(source, path, case)
    return path


def _make(case: Case, path: Path, truth: Path) -> None:
    """Simulate or compose, under a temporary name."""
    temporary = path.with_name(f"making-{case.base}.tif")
    made_truth = temporary.with_suffix(".truth.gpkg")
    for leftover in (temporary, made_truth):
        leftover.unlink(missing_ok=True)
    if case.source == "airport" and case.share > DENSEST:
        patchwork(case.size, case.share, case.n_objects, temporary, seed=SEED, cwd=ROOT)
        made_truth.replace(truth)
        temporary.replace(path)
        return
    if case.source == "mosaic":
        cells = mosaic_cells(case.size)
        places = ",".join(PLACES[: cells.n_scenes])
        command = ["-m", "benchmarks.mosaic", str(AIRBUS), str(AIRBUS / "labels.gpkg"), "--places", places]
        command += ["-o", str(temporary), "--cells", str(cells.n_side)]
    else:
        command = ["-m", "geopdn.cli.main", "simulate", "airport", "-o", str(temporary), "--size", str(case.size)]
        command += ["--seed", str(SEED), "--objects", str(case.n_objects), "--overwrite", "--quiet"]
        command += ["--occupied-share", f"{max(case.share, 0.001):g}"]
    if subprocess.run([sys.executable, *command], check=False, cwd=ROOT).returncode:  # noqa: S603 (geopdn's own)
        raise SystemExit(f"{path.name} could not be built, see above: ask for another size, share or number of objects")
    made_truth.replace(truth)
    temporary.replace(path)


def _rewrite(source: Path, path: Path, case: Case) -> None:
    """The same pixels in another kind of file (JPEG once more at quality 90), block by block."""
    import rasterio
    import rasterio.shutil

    jpeg = {"COMPRESS": "JPEG", "QUALITY": 90, "OVERVIEW_QUALITY": 90}
    profile = jpeg if case.compression == "jpeg" else {"COMPRESS": "DEFLATE", "PREDICTOR": "YES", "LEVEL": 6}
    profile |= {"OVERVIEWS": "IGNORE_EXISTING" if case.overviews else "NONE", "OVERVIEW_RESAMPLING": "AVERAGE"}
    temporary = path.with_suffix(".making.tif")
    with rasterio.Env(GDAL_CACHEMAX=256):
        rasterio.shutil.copy(source, temporary, driver="COG", BLOCKSIZE=BLOCK, BIGTIFF="IF_SAFER", **profile)
    temporary.replace(path)
