"""The scenes that are scored together: read from files and folders, with what has no counterpart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geopdn.errors import LabelError
from geopdn.evaluate.compare import SceneBoxes, read_detections, read_scene
from geopdn.evaluate.layers import LabelFile, read_label_layer
from geopdn.evaluate.pairs import find_pairs

if TYPE_CHECKING:
    from geopdn.detections import SceneFrame
    from geopdn.scene import PixelSource


@dataclass(frozen=True, slots=True, eq=False)
class Collected:
    """At least one scene, and what is left over.

    Attributes:
        scenes: in the order of their names.
        without_labels: scenes with detections but without labels.
        without_result: scenes with labels but without detections.
        n_outside: labels that touch no scene.
    """

    scenes: tuple[SceneBoxes, ...]
    without_labels: tuple[str, ...]
    without_result: tuple[str, ...]
    n_outside: int


def collect(
    detections: Path,
    labels: LabelFile,
    *,
    frame: SceneFrame | None = None,
    source: PixelSource | None = None,
) -> Collected:
    """Read every scene's detections with its labels; arguments as in `geopdn.evaluate.report.evaluate_result`.

    Where a folder of detections shares one file of labels, its column `scene` tells whose each label is; without
    that column a label belongs to the scenes that it touches.

    Raises:
        LabelError: a file cannot be used, or nothing belongs together.
    """
    pairing = find_pairs(detections, labels.path)
    shared = detections.is_dir() and not labels.path.is_dir()
    layers: dict[Path, Any] = {}  # one file is read once
    scenes, without = [], list(pairing.without_labels)
    for pair in pairing.pairs:
        table = read_detections(pair.result)
        file = replace(labels, path=pair.labels)
        if pair.labels not in layers:
            layers = {pair.labels: read_label_layer(file)}
        one = read_scene(
            table,
            layers[pair.labels],
            scene=pair.scene,
            detections=pair.result,
            labels=file,
            frame=frame,
            shared=shared,
            source=source,
        )
        if one is None:
            without.append(pair.scene)
        else:
            scenes.append(one)
    if not scenes:
        msg = f"{labels} has no feature whose `scene` is one of {sorted(without)[:5]}: check that they belong together"
        raise LabelError(msg)
    unread, n_outside = pairing.without_result, sum(one.truth.n_outside for one in scenes)
    if shared:
        table = layers[labels.path]
        if "scene" in table.columns:
            known = {Path(one.frame.name).stem for one in scenes}
            unread = tuple(sorted({Path(str(value)).stem for value in table["scene"]} - known))
        else:
            n_outside = _in_no_scene(scenes, table, labels)
    return Collected(tuple(scenes), tuple(sorted(without)), unread, n_outside)


def _in_no_scene(scenes: list[SceneBoxes], table: Any, labels: LabelFile) -> int:
    """How many labels touch none of the scenes (at least, where scenes overlap).

    Raises:
        LabelError: none touches any.
    """
    present = len(table) - scenes[0].truth.n_empty
    touching = sum(len(one.truth) + one.truth.n_repeated for one in scenes)
    if present and not touching:
        msg = f"no label of {labels} touches any of the {len(scenes)} scenes: check that they belong together"
        raise LabelError(msg)
    return max(0, present - touching)
