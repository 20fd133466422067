"""How much memory a command may take: the option, the default, and the plan for a scene."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.cli.measure import memory_mb
from geopdn.memory import BASE, MB, Maps, MemoryPlan, Storage, parse_size, plan_memory

if TYPE_CHECKING:
    from geopdn.budget import Budget
    from geopdn.config import ModelConfig, WindowKind
    from geopdn.geometry.window import Size
    from geopdn.scene import PixelSource, Scene

UNKNOWN = 4_000 * MB  # the bound where the system does not say how much memory there is
CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def bound_of(text: str | None) -> int:
    """Bytes of `--memory`; by default half of what the machine, or the container, has.

    Raises:
        ConfigError: not a size.
    """
    return default_bound() if text is None else parse_size(text)


def default_bound() -> int:
    """Half of the memory of the machine, or of the control group if that is less."""
    limits = []
    with suppress(AttributeError, ValueError, OSError):  # Windows
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in CGROUPS if sys.platform.startswith("linux") else ():
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit() and int(text) > 0:
            limits.append(int(text))
    return min(limits) // 2 if limits else UNKNOWN


def plan_for(
    scene: "Scene",
    source: "PixelSource",
    model: "ModelConfig",
    *,
    bound: int,
    base: int = BASE,
    budget: "Budget | None" = None,
) -> MemoryPlan:
    """The plan of a run with a model on an open scene, of which nothing has been read.

    Args:
        scene: the file.
        source: the scene at the model's pixel size.
        model: what looks at it, or says where to look.
        bound: bytes.
        base: bytes that the process takes without a scene.
        budget: how much is looked at; None for everything.

    Raises:
        ResourceLimitError: it cannot be done within the bound.
    """
    from geopdn.scene.overview import is_computed

    size = source.size
    maps = Maps(
        size=size,
        cell_px=4 << model.overview_level,
        n_sizes=model.n_size_classes,
        grid=model.grid,
        n_kinds=len(model.kinds),
        n_windows=max(_n_windows(kind, size, budget) for kind in model.kinds),
    )
    computed = is_computed(source, level=model.overview_level)
    cores = os.cpu_count() or 1
    return plan_memory(bound, storage_of(scene), maps, base=base, computed=computed, workers=cores)


def _n_windows(kind: "WindowKind", size: "Size", budget: "Budget | None") -> int:
    """About how many windows of a kind cover a scene, or what may be looked at of it."""
    everywhere = -(-size.height // kind.core) * -(-size.width // kind.core)
    if budget is not None and budget.windows is not None:
        return min(everywhere, budget.windows)
    return everywhere


def storage_of(scene: "Scene") -> Storage:
    """How a scene's file stores its pixels."""
    return Storage(
        name=scene.name,
        block=scene.block,
        block_bytes=scene.block_bytes,
        n_bands=len(scene.band_names),
    )


@lru_cache(maxsize=1)
def loaded_base() -> int:
    """Bytes that the process takes once a network is loaded; asked for before the first scene is looked at."""
    return max(BASE, int((memory_mb() or 0) * MB))


@contextmanager
def within(plan: MemoryPlan) -> Iterator[None]:
    """While the block runs, GDAL's cache has its share of the plan."""
    from geopdn.scene.handles import block_cache

    with block_cache(plan.cache):
        yield
