"""What a run on a scene would cost, before running it."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopdn.api.scenes import Reading
from geopdn.errors import SceneError

if TYPE_CHECKING:
    from geopdn.model.weights import WeightsHeader
    from geopdn.scene import Scene


@dataclass(frozen=True, slots=True)
class Cost:
    """Windows and seconds of runs with one model.

    Attributes:
        model: its name.
        measured: True for seconds as of this machine, False for nominal ones: those of two CPU cores that the weights
            were written on, which plans count with everywhere.
        width: of the scene at the model's pixel size.
        height: likewise.
        kind: the kind of window of a full scan.
        scan_windows: windows of a full scan.
        scan_seconds: of a full scan.
        share: of the pixels that default runs read on the model's validation scenes, None where it does not say.
        typical_windows: of a default run, if this scene is like those.
        typical_seconds: likewise.
    """

    model: str
    measured: bool
    width: int
    height: int
    kind: str
    scan_windows: int
    scan_seconds: float
    share: float | None
    typical_windows: int | None
    typical_seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def predict(
    scene: "Scene", weights: Path, header: "WeightsHeader", reading: Reading, *, measure: bool = False
) -> Cost | str:
    """The cost of runs with one model, or why there can be none.

    Args:
        scene: open.
        weights: the file.
        header: its header.
        reading: how the scene is read.
        measure: time the network on this machine, which takes some seconds.
    """
    import numpy as np

    from geopdn.api.search import load_model
    from geopdn.budget import window_cost
    from geopdn.coverage import scan_count, scan_kind
    from geopdn.engine.overview_pass import tiles_of
    from geopdn.model.network import network_of
    from geopdn.scene.resample import resample

    try:
        size = resample(scene, pixel_size_m=header.model.pixel_size_m, any_scale=reading.any_scale).size
    except SceneError as error:
        return str(error)
    net, model = network_of(load_model(weights)), header.model
    if measure:
        from geopdn.train.costs import measure_costs

        model = measure_costs(net)
    kinds = model.kinds
    kind = kinds[scan_kind(kinds, net.priorities, np.zeros(model.n_size_classes))]
    windows = scan_count(kind, size)
    each = window_cost(kind) / 1000
    level = model.overview_level
    views = sum(tile.view.area for tile in tiles_of(size.at_level(level), level=level))
    looking = model.overview_ms_per_mpx * views / 1e9
    share = header.scores.get("default", {}).get("share")
    typical = None if share is None else math.ceil(share * windows)
    return Cost(
        model=header.name,
        measured=measure,
        width=size.width,
        height=size.height,
        kind=kind.name,
        scan_windows=windows,
        scan_seconds=round(looking + windows * each, 1),
        share=share,
        typical_windows=typical,
        typical_seconds=None if typical is None else round(looking + typical * each, 1),
    )


def decode_seconds(scene: "Scene") -> float:
    """Nominal seconds of reading all pixels of a scene once."""
    from geopdn.budget import DECODE_MS_PER_MPX

    return DECODE_MS_PER_MPX * scene.size.area / 1e9
