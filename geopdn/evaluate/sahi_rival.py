"""SAHI on geopdn's own high-resolution network, through SAHI's own interface: every slice, then its own merging.

SAHI (Akyon et al. 2022) knows 8-bit RGB and upright boxes; scenes and models of other kinds cannot be compared so.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geopdn.detections import Detections
from geopdn.errors import ConfigError
from geopdn.evaluate.bench import Tally
from geopdn.evaluate.matching import match
from geopdn.geometry import boxes as box
from geopdn.model.network import network_of
from geopdn.scene import Radiometry, Scene, resolve_stretch
from geopdn.scene.reader import Pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopdn.evaluate.arithmetic import Arithmetic
    from geopdn.evaluate.bench import Bytes
    from geopdn.evaluate.labelled import Labelled
    from geopdn.evaluate.labels import Truth
    from geopdn.model.weights import LoadedModel
    from geopdn.scene import Stretch

MULTIPLE = 32  # of the network's input sides
LOWEST = 0.05  # of the scores that SAHI gets: of many more boxes its merging takes longer than the network


@dataclass(frozen=True, slots=True, eq=False)
class SahiAnswer:
    """What SAHI found in a scene, in how many slices, and how many pixels the scene has."""

    detections: Detections
    n_slices: int
    n_pixels: int


def sahi_tally(
    scenes: Sequence[Labelled],
    truths: Sequence[Truth],
    model: LoadedModel,
    *,
    kind: int,
    iou: float,
    bytes_read: Bytes,
    arithmetic: Arithmetic,
) -> Tally:
    """Search scenes with SAHI: slices of a kind's extent, overlapping by its halos.

    Reading the scene into memory counts, as SAHI needs it there.

    Args:
        scenes: 8-bit RGB with labels, at the model's pixel size.
        truths: what is in them.
        model: the weights.
        kind: index of the kind of window whose extent and level the slices have.
        iou: overlap from which an object counts as found.
        bytes_read: bytes that the process has read so far.
        arithmetic: counts multiply-adds.

    Raises:
        ConfigError: SAHI is not installed, or cannot take such scenes.
    """
    shape = model.header.model.kinds[kind]
    matches, facts, seconds, gmacs = [], [], 0.0, 0.0
    first = bytes_read()
    for item, truth in zip(scenes, truths, strict=True):
        started = time.monotonic()
        answer = search_with_sahi(item.scene, model, kind=kind)
        seconds += time.monotonic() - started
        found = answer.detections
        matches.append(match(found.boxes, found.score, truth=truth, labels=found.label, iou=iou))
        facts.append(
            {
                "pixels_total": answer.n_pixels,
                "pixels_read": answer.n_pixels,
                "n_windows": answer.n_slices,
                "estimated_recall": None,
            }
        )
        gmacs += answer.n_slices * arithmetic.of_window(shape.tensor, shape.tensor)
    after = bytes_read()
    return Tally(matches, facts, [], seconds, None if first is None or after is None else after - first, gmacs)


def search_with_sahi(path: Path, model: LoadedModel, *, kind: int) -> SahiAnswer:
    """Search a scene with SAHI: slices of a kind's extent, overlapping by its halos, from the scene in memory.

    Args:
        path: 8-bit RGB at the model's pixel size.
        model: the weights.
        kind: index of the kind of window whose extent and level the slices have.

    Returns:
        Upright boxes in the scene's pixels, with calibrated scores from `LOWEST` up.

    Raises:
        ConfigError: SAHI is not installed, or cannot take such scenes.
    """
    try:
        from sahi.predict import get_sliced_prediction
    except ImportError:
        raise ConfigError("SAHI is not installed: pip install 'geopdn[bench]', or leave --sahi out") from None
    logging.getLogger("sahi").setLevel(logging.WARNING)
    shape = model.header.model.kinds[kind]
    with Scene.open(str(path), bands=model.header.model.bands) as scene:
        image, stretch = _image(scene, model)
    rival = _wrapped(model, kind=kind, stretch=stretch)
    answer = get_sliced_prediction(
        image,
        rival,
        slice_height=shape.extent,
        slice_width=shape.extent,
        overlap_height_ratio=2 * shape.halo / shape.extent,
        overlap_width_ratio=2 * shape.halo / shape.extent,
        perform_standard_pred=False,
        postprocess_type="NMS",  # what SAHI itself turns to at scores as low as AP needs
        postprocess_match_metric="IOU",
        verbose=0,
    )
    return SahiAnswer(_detections(answer), rival.calls, image.shape[0] * image.shape[1])


def _image(scene: Scene, model: LoadedModel) -> tuple[NDArray[np.uint8], Stretch]:
    """The whole scene `[h, w, 3]` as SAHI takes it."""
    from geopdn.geometry.window import Window

    config = model.header.model
    if scene.dtype != np.uint8 or len(config.bands) != 3 or config.has_heading:
        raise ConfigError(f"{scene.name}: SAHI takes 8-bit RGB scenes and upright boxes, leave --sahi out")
    if scene.pixel_size is None or abs(scene.pixel_size.mean_m / config.pixel_size_m - 1) > 0.2:
        raise ConfigError(f"{scene.name}: SAHI is compared at the model's pixel size {config.pixel_size_m:g} m only")
    stretch = resolve_stretch(scene, Radiometry.from_dict(config.radiometry.model_dump()))
    pixels = scene.read(Window(0, 0, scene.size.height, scene.size.width))
    return np.ascontiguousarray(pixels.values.transpose(1, 2, 0)), stretch


def _wrapped(model: LoadedModel, *, kind: int, stretch: Stretch) -> Any:
    """A `sahi.models.base.DetectionModel` around the high-resolution stage."""
    from sahi.models.base import DetectionModel
    from sahi.prediction import ObjectPrediction

    net, level = network_of(model), model.header.model.kinds[kind].level

    class Rival(DetectionModel):  # type: ignore[misc,unused-ignore]
        """One slice in, upright boxes out."""

        calls = 0

        def set_model(self, model: Any, **_: Any) -> None:
            self.model = model
            self.category_mapping = {str(i): name for i, name in enumerate(net.config.classes)}

        def perform_inference(self, image: NDArray[np.uint8]) -> None:
            self.calls += 1
            values = np.ascontiguousarray(image.transpose(2, 0, 1))
            stretched = stretch.apply(Pixels(values, np.ones(values.shape[1:], np.bool_)))
            down, across = (-n % (MULTIPLE << level) for n in image.shape[:2])
            stretched = np.pad(stretched, ((0, 0), (0, down), (0, across)))
            step, (n_bands, height, width) = 1 << level, stretched.shape
            stretched = stretched.reshape(1, n_bands, height // step, step, width // step, step).mean((3, 5))
            curves = net.probabilities
            _, found = net.find(stretched, None, min_score=curves.least_raw(LOWEST))
            self._original_predictions = curves.rescored(found, np.array([level]), min_score=LOWEST)

        def _create_object_prediction_list_from_original_predictions(
            self, shift_amount_list: Any = None, full_shape_list: Any = None
        ) -> None:
            shift, full = shift_amount_list or [[0, 0]], full_shape_list
            shift = shift[0] if isinstance(shift[0], list) else shift
            full = full[0] if full is not None and isinstance(full[0], list) else full
            found = self._original_predictions
            limits = box.bounds(found.boxes.astype(np.float64) * [*[1 << level] * 4, 1])
            self._object_prediction_list_per_image = [
                [
                    ObjectPrediction(
                        bbox=limits[i].tolist(),
                        score=float(found.score[i]),
                        category_id=int(found.label[i]),
                        category_name=net.config.classes[int(found.label[i])],
                        shift_amount=shift,
                        full_shape=full,
                    )
                    for i in range(len(limits))
                ]
            ]

    return Rival(model=net, confidence_threshold=LOWEST, device="cpu")


def _detections(answer: Any) -> Detections:
    """SAHI's result as detections in the scene's pixels."""
    items = answer.object_prediction_list
    limits = np.array([item.bbox.to_xyxy() for item in items], np.float64).reshape(-1, 4)
    n = len(items)
    boxes = np.column_stack(
        [
            (limits[:, 0] + limits[:, 2]) / 2,
            (limits[:, 1] + limits[:, 3]) / 2,
            limits[:, 2:] - limits[:, :2],
            np.zeros(n),
        ]
    )
    zeros = np.zeros(n, np.int64)
    return Detections(
        boxes=boxes,
        score=np.array([item.score.value for item in items], np.float64).reshape(n),
        label=np.array([item.category.id for item in items], np.int64).reshape(n),
        window=zeros,
        level=zeros,
        cut=np.zeros(n, np.bool_),
    )
