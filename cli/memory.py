"""How much memory a command may take: the plan for a scene under a bound."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from geopdn.api.device import resolve_device
from geopdn.cli.measure import memory_mb
from geopdn.errors import ConfigError
from geopdn.memory import (
    LEAST_PART,
    MB,
    NEEDS,
    Maps,
    MemoryPlan,
    Needs,
    Storage,
    in_round_mb,
    least_memory,
    parse_size,
    plan_memory,
)

if TYPE_CHECKING:
    from geopdn.budget import Budget
    from geopdn.config import ModelConfig, WindowKind
    from geopdn.geometry.window import Size
    from geopdn.scene import PixelSource, Scene

LATER = 50 * MB  # the network again, ready to run, and what reading and drawing load


def bound_of(text: str | None) -> int | None:
    """Bytes of `--memory`, None without a bound.

    Raises:
        ConfigError: not a size.
    """
    return None if text is None else parse_size(text)


def plan_for(
    scene: "Scene",
    source: "PixelSource",
    model: "ModelConfig",
    weights: Path,
    *,
    bound: int | None,
    device: str,
    budget: "Budget | None" = None,
) -> MemoryPlan | None:
    """The plan of a run with a model on an open scene, of which nothing has been read; None without a bound.

    It is made twice: by nominal sizes before the network is made, then by what the process takes with it.

    Args:
        scene: the file.
        source: the scene at the model's pixel size.
        model: what looks at it.
        weights: of the model, which are loaded.
        bound: bytes.
        device: where the network is asked to run.
        budget: how much is looked at; None for everything.

    Raises:
        ConfigError: on a GPU.
        ResourceLimitError: it cannot be done within the bound.
    """
    if bound is None:
        return None
    storage, maps = needs_of(scene, source, model, budget=budget)
    needs = _needs_with(weights)
    plan_memory(bound, storage, maps, needs=needs)
    if resolve_device(device) != "cpu":
        raise ConfigError("--memory bounds searches on the CPU: add --device cpu, or leave it out")
    return plan_memory(bound, storage, maps, needs=needs, base=_loaded_base(weights), workers=os.cpu_count() or 1)


def least_and_usual_mb(scene: "Scene", source: "PixelSource", model: "ModelConfig", weights: Path) -> tuple[int, int]:
    """MB of the least `--memory` that works for a scene, and of what a run without it takes at most."""
    storage, maps = needs_of(scene, source, model, budget=None)
    needs = _needs_with(weights)
    least = least_memory(storage, maps, needs=needs).peak
    plenty = plan_memory(1 << 50, storage, maps, needs=needs, workers=os.cpu_count() or 1).peak
    return in_round_mb(least), in_round_mb(plenty)


def needs_of(
    scene: "Scene", source: "PixelSource", model: "ModelConfig", *, budget: "Budget | None"
) -> tuple[Storage, Maps]:
    """How a scene is stored, and what a search holds of it; arguments as of `plan_for`."""
    from geopdn.scene.overview import bytes_in_one_go

    storage = Storage(
        name=scene.name,
        block=scene.size if scene.is_one_strip else scene.block,
        block_bytes=scene.block_bytes,
        n_bands=len(scene.band_names),
        part_bytes=bytes_in_one_go(source, level=model.overview_level, part_bytes=LEAST_PART),
    )
    maps = Maps(
        size=source.size,
        cell_px=4 << model.overview_level,
        n_sizes=model.n_size_classes,
        grid=model.grid,
        n_kinds=len(model.kinds),
        n_windows=max(_n_windows(kind, source.size, budget) for kind in model.kinds),
    )
    return storage, maps


def _n_windows(kind: "WindowKind", size: "Size", budget: "Budget | None") -> int:
    """About how many windows of a kind cover a scene, or what may be looked at of it."""
    everywhere = -(-size.height // kind.core) * -(-size.width // kind.core)
    if budget is not None and budget.windows is not None:
        return min(everywhere, budget.windows)
    return everywhere


def _needs_with(weights: Path) -> Needs:
    """What the network of these weights takes."""
    from geopdn.api.search import load_model
    from geopdn.model.network import runtime_of

    return NEEDS[runtime_of(load_model(weights))]


@lru_cache(maxsize=1)
def _loaded_base(weights: Path) -> int:
    """Bytes that the process takes with all libraries and a network; asked for before the first scene is looked at."""
    import geopandas  # noqa: F401
    import pyogrio  # noqa: F401

    import geopdn.engine
    import geopdn.output.write  # noqa: F401
    from geopdn.api.search import load_model
    from geopdn.model.network import network_of

    network = network_of(load_model(weights))
    network.load()
    return int((memory_mb() or 0) * MB) + LATER


@contextmanager
def within(plan: MemoryPlan | None) -> Iterator[None]:
    """While the block runs, GDAL's cache has its share of the plan, if there is one."""
    from geopdn.scene.handles import block_cache

    if plan is None:
        yield
        return
    with block_cache(plan.cache):
        yield
