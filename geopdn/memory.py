"""The bound on a run's memory, and what is made of it: arithmetic on sizes, nothing is measured or read here.

The bound is for the peak resident memory of the whole process. Some of it is fixed: the interpreter with its libraries
and the network (`base`), the network at work on one tile or window, what is held of the whole scene. Of the rest,
caches and buffers get shares. What is looked at does not depend on the bound: large or small, the same detections.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace

from geopdn.errors import ConfigError, ResourceLimitError
from geopdn.geometry.window import Size

MB = 1_000_000
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
UNITS["TI"] = 1 << 40

TILE_WORK_A_BAND = 45 * MB  # a tile of the overview as it is read and given to the network
WINDOW_WORK_A_BAND = 10 * MB  # a batch of windows, others read ahead
LEAST_CACHE, MOST_CACHE = 16 * MB, 256 * MB  # decoded blocks that GDAL keeps
LEAST_PART, MOST_PART = 2 << 20, 16 << 20  # scene pixels that are summarised in one go, in bytes, where blocks allow it
PART_COPIES = 15  # three parts in work, each with what summing up takes: five times the part
MOST_KEPT = 256 << 20  # an overview computed from all pixels; what is larger lies on disk
MOST_WORKERS = 4  # tiles or windows that the network looks at side by side
BLOCK_COPIES = 6  # of a block: each of three threads' own, in GDAL's cache for the two that read, and as it was stored
LARGE_BLOCK = 16 * MB  # decoded; where a bound is too little for a file of larger blocks, these are named as the reason
WINDOW_RECORD = 4_000  # what is kept of one window: where it was, and its boxes (tens of 80 bytes)
CELL_BYTES = 17  # of a cell: factors and their successors (12), what was looked at (4), valid (1)
KIND_BYTES = 2.3  # of a cell and a kind of window: worth of the candidates


@dataclass(frozen=True, slots=True)
class Needs:
    """What a runtime of the network takes, in bytes.

    Attributes:
        base: the interpreter, all libraries that a run loads, and a network.
        shared: the global stream at work, however many tiles are read for it side by side.
        tile: the global stream on a tile, for each that is looked at side by side.
        window: the high-resolution stream on a batch, likewise.
    """

    base: int
    shared: int
    tile: int
    window: int

    def work(self, n_bands: int, *, workers: int) -> int:
        """The most that tiles or windows take side by side."""
        tiles = self.shared + workers * (self.tile + n_bands * TILE_WORK_A_BAND)
        return max(tiles, workers * (self.window + n_bands * WINDOW_WORK_A_BAND))


NEEDS = {
    "onnxruntime": Needs(base=400 * MB, shared=360 * MB, tile=0, window=130 * MB),  # base: 310 to 340 MB seen on Linux
    "torch": Needs(base=1200 * MB, shared=0, tile=200 * MB, window=150 * MB),  # base: 960 to 1,162 MB
}
"""By the names of runtimes (`geopdn.model.network`)."""


@dataclass(frozen=True, slots=True)
class Storage:
    """How a file stores pixels.

    Attributes:
        name: how messages call it.
        block: what is decoded at a time.
        block_bytes: what a thread holds to read one, with all bands that are stored together.
        n_bands: that are read.
        part_bytes: the least that can be summarised in one go: whole blocks. 0 where the scene has an overview.
    """

    name: str
    block: Size
    block_bytes: int
    n_bands: int
    part_bytes: int = 0

    @property
    def is_computed(self) -> bool:
        """Whether the overview is computed from all pixels."""
        return self.part_bytes > 0


@dataclass(frozen=True, slots=True)
class Maps:
    """What a search holds of a whole scene.

    Attributes:
        size: the scene, at the pixel size of what looks at it.
        cell_px: side of a cell of expected counts.
        n_sizes: size classes of the counts.
        grid: channels of the global grid, whose cells are 4 x 4 of those; 0 without.
        n_kinds: kinds of windows.
        n_windows: windows that are looked at, at most.
    """

    size: Size
    cell_px: int
    n_sizes: int
    grid: int
    n_kinds: int
    n_windows: int

    @property
    def n_bytes(self) -> int:
        """Bytes of all of them."""
        n_cells = -(-self.size.height // self.cell_px) * -(-self.size.width // self.cell_px)
        a_cell = 4 * self.n_sizes + 2 * self.grid / 16 + CELL_BYTES + KIND_BYTES * self.n_kinds
        return int(n_cells * a_cell) + self.n_windows * WINDOW_RECORD


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Shares of a bound, in bytes.

    Attributes:
        bound: peak resident memory of the process.
        base: interpreter, libraries and network.
        maps: held of the whole scene.
        workers: tiles or windows that the network looks at side by side.
        work: those, and the planner.
        decoding: blocks that are being decoded.
        cache: decoded blocks that GDAL keeps.
        part: scene pixels summarised in one go, where the overview is computed from all pixels.
        kept: an overview computed so that is held in memory; a larger one lies on disk.
    """

    bound: int
    base: int
    maps: int
    workers: int
    work: int
    decoding: int
    cache: int
    part: int
    kept: int

    @property
    def peak(self) -> int:
        """Expected peak."""
        return self.base + self.maps + self.work + self.decoding + self.cache + self.kept + self.part * PART_COPIES


def parse_size(text: str, *, option: str = "--memory") -> int:
    """Bytes of `2GB`, `1500MB`, `1.5GiB`.

    Raises:
        ConfigError: not such a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]I?)?B?\s*", text.upper())
    n_bytes = int(float(match[1]) * UNITS[match[2] or ""]) if match else 0
    if match is None or n_bytes < MB:
        raise ConfigError(f"{option} {text!r}: expected a size of at least 1MB, such as 2GB, 1500MB or 1.5GiB")
    return n_bytes


def plan_memory(
    bound: int, storage: Storage, maps: Maps, *, needs: Needs, base: int = 0, workers: int = MOST_WORKERS
) -> MemoryPlan:
    """Divide a bound.

    Args:
        bound: bytes that the process may take at its peak.
        storage: the file.
        maps: what is held of the scene.
        needs: of the network.
        base: bytes that the process takes before it looks at anything, where that is more than the network needs.
        workers: cores for the network: so many tiles side by side, or as many as the bound allows.

    Raises:
        ResourceLimitError: it cannot be done within the bound; says what would.
    """
    least = least_memory(storage, maps, needs=needs, base=base)
    if bound < least.peak:
        raise ResourceLimitError(_too_little(bound, storage, maps, least))
    rest = bound - least.peak + least.work  # for work and buffers
    most = max(1, min(workers, MOST_WORKERS))
    n, work = next(
        (n, work) for n in range(most, 0, -1) if (work := needs.work(storage.n_bands, workers=n)) <= rest or n == 1
    )
    spare = rest - work
    cache = int(min(MOST_CACHE, LEAST_CACHE + spare / 2))
    rest = spare - (cache - LEAST_CACHE)
    part, kept = least.part, 0
    if storage.is_computed:
        part = int(max(part, min(MOST_PART, part + rest / 2 / PART_COPIES)))
        kept = int(min(MOST_KEPT, rest - (part - least.part) * PART_COPIES))
    return replace(least, bound=bound, workers=n, work=work, cache=cache, part=part, kept=kept)


def least_memory(storage: Storage, maps: Maps, *, needs: Needs, base: int = 0) -> MemoryPlan:
    """The plan that takes the least: one tile or window at a time, and the smallest buffers.

    Args:
        storage: see `plan_memory`.
        maps: likewise.
        needs: likewise.
        base: likewise.
    """
    return MemoryPlan(
        bound=0,
        base=max(base, needs.base),
        maps=maps.n_bytes,
        workers=1,
        work=needs.work(storage.n_bands, workers=1),
        decoding=storage.block_bytes * BLOCK_COPIES,
        cache=LEAST_CACHE,
        part=storage.part_bytes,
        kept=0,
    )


def in_round_mb(n_bytes: int) -> int:
    """MB, rounded up to tens: a bound that a plan keeps."""
    return -(-n_bytes // (10 * MB)) * 10


def _too_little(bound: int, storage: Storage, maps: Maps, least: MemoryPlan) -> str:
    """Why a bound cannot be kept, and what would help."""
    reading = least.peak - least.base - least.maps - least.work
    text = (
        f"{storage.name}: --memory {bound / MB:,.0f}MB is too little for {maps.size.width:,} x {maps.size.height:,} "
        f"px: the program and the network take {least.base / MB:,.0f} MB, the scene's maps {least.maps / MB:,.0f}, one "
        f"tile at work {least.work / MB:,.0f}, reading {reading / MB:,.0f}; the least that works is --memory "
        f"{in_round_mb(least.peak)}MB"
    )
    if max(storage.block_bytes, storage.part_bytes) <= LARGE_BLOCK:
        return text
    block, name = storage.block, storage.name
    rewritten = f"{name.rpartition('.')[0] or name}.cog.tif"
    return (
        f"{text}, for it is stored in blocks of {block.width:,} x {block.height:,} px, and a thread that reads one "
        f"holds {storage.block_bytes / MB:,.0f} MB. Rewrite it once: `gdal_translate -of COG -co COMPRESS=DEFLATE -co "
        f"BIGTIFF=IF_SAFER {shlex.quote(name)} {shlex.quote(rewritten)}`"
    )
