"""ONNX files as detectors, run by onnxruntime on the CPU.

The file is not trusted: no library of custom operators is ever registered, what the file keeps outside of itself must
lie in its own folder (onnxruntime refuses the rest, links included), and sizes are bounded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geopdn.detectors.card import Card, complete, first_said
from geopdn.detectors.exported import exported_card
from geopdn.detectors.layouts import FINAL, ORIENTED, choose_layout, rows_of
from geopdn.detectors.metadata import card_of
from geopdn.detectors.protocol import FoundBoxes, checked
from geopdn.detectors.spec import DetectorSpec
from geopdn.detectors.suppress import suppress
from geopdn.errors import ConfigError, DetectorError, ResourceLimitError

MAX_FILE_BYTES = 2 << 30
MAX_OUTPUT_VALUES = 1 << 27  # of one run: half a gigabyte of float32
MAX_CANDIDATES = 4096  # boxes of one window that are compared with each other, the best ones
MAX_BOXES = 1000  # that one window may give
DEFAULT_IOU = 0.45

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class OnnxDetector:
    """A detector in an ONNX file. Make one with `load_onnx`.

    Args:
        spec: what it takes.
        session: onnxruntime's.
        layout: of its output.
        iou: see `Card.iou`.
        digest: SHA-256 of the file, first 16 hex digits.
    """

    def __init__(self, spec: DetectorSpec, session: Any, *, layout: str, iou: float, digest: str) -> None:
        self.spec, self.digest, self.layout, self.iou = spec, digest, layout, iou
        self._session = session
        given = session.get_inputs()[0]
        self._input, self._dtype = given.name, np.dtype(TYPES[given.type])
        fixed = given.shape[0] if isinstance(given.shape[0], int) and given.shape[0] > 0 else None
        self._batch: int | None = 1 if layout == "torchvision" else fixed

    def find(self, windows: NDArray[np.float32], *, min_score: float) -> list[FoundBoxes]:
        """See `Detector.find`.

        Raises:
            DetectorError: the network fails, or returns what its layout does not hold.
        """
        found: list[FoundBoxes] = []
        step = self._batch or len(windows)
        for start in range(0, len(windows), step):
            part = windows[start : start + step]
            short = 0 if self._batch is None else step - len(part)
            fed = np.concatenate([part, np.repeat(part[-1:], short, 0)]) if short else part
            rows = rows_of(self._run(fed), self.layout, n_classes=len(self.spec.classes), name=self.spec.name)
            if len(rows) != len(fed):
                raise DetectorError(f"detector {self.spec.name} returned {len(rows)} results for {len(fed)} tiles")
            for boxes, score, label in rows[: len(part)]:
                found.append(self._distinct(checked(boxes, score, label, spec=self.spec, min_score=min_score)))
        return found

    def _run(self, windows: NDArray[np.float32]) -> list[NDArray[Any]]:
        if self._dtype == np.uint8:
            windows = np.clip(np.round(windows), 0, 255)
        try:
            outputs = self._session.run(None, {self._input: np.ascontiguousarray(windows.astype(self._dtype))})
        except Exception as error:  # onnxruntime's errors have no common base
            raise DetectorError(f"detector {self.spec.name} failed on a tile: {_line(error)}") from error
        if not all(isinstance(array, np.ndarray) and array.dtype.kind in "fiu" for array in outputs):
            raise DetectorError(f"detector {self.spec.name} returned something other than arrays of numbers")
        if sum(array.size for array in outputs) > MAX_OUTPUT_VALUES:
            raise ResourceLimitError(f"detector {self.spec.name} returned over {MAX_OUTPUT_VALUES} numbers at once")
        return list(outputs)

    def _distinct(self, found: FoundBoxes) -> FoundBoxes:
        best = np.argsort(-found.score, kind="stable")[: MAX_BOXES if self.layout in FINAL else MAX_CANDIDATES]
        if self.layout not in FINAL:
            chosen = suppress(found.boxes[best], found.score[best], found.label[best], iou=self.iou, limit=MAX_BOXES)
            best = best[chosen]
        return replace(found, boxes=found.boxes[best], score=found.score[best], label=found.label[best])


def load_onnx(path: Path, *, stated: Card, described: Card | None = None) -> tuple[OnnxDetector, Card]:
    """Open an ONNX file as a detector.

    Args:
        path: the file.
        stated: what the user says of it: goes before all else; a mean and standard deviation of others still follow
            the values that are stated.
        described: what a description beside it says: goes before the file's own metadata.

    Returns:
        The detector, and all that is known of it.

    Raises:
        ConfigError: onnxruntime is not installed, or facts are missing.
        DetectorError: the file is damaged, no detector, or contradicts itself.
        ResourceLimitError: it is too large.
    """
    digest = _digest(path)
    session = _open(path)
    metadata = session.get_modelmeta().custom_metadata_map
    own, others = exported_card(metadata, name=path.name), card_of(metadata, name=path.name)
    known = first_said(described or Card(), own, others)
    card = first_said(stated, known)
    if stated.scaling is not None and known.scaling is not None:
        card = replace(card, scaling=replace(stated.scaling, mean=known.scaling.mean, std=known.scaling.std))
    card = first_said(_input_card(session, card, name=path.name), card)
    if session.get_inputs()[0].type == "tensor(uint8)" and card.scaling is not None and card.scaling.high != (1.0,):
        card = replace(card, scaling=replace(card.scaling, top=255.0))
    shapes = [output.shape for output in session.get_outputs()]
    oriented = card.layout in ORIENTED
    if card.classes is not None:
        layout = choose_layout(card.layout, shapes, n_classes=len(card.classes), name=path.name)
        card, oriented = replace(card, layout=layout), layout in ORIENTED
    spec = complete(card, name=path.name, oriented=oriented)
    assert card.layout is not None
    iou = DEFAULT_IOU if card.iou is None else card.iou
    if not 0 < iou <= 1:
        raise ConfigError(f"detector {path.name}: overlap {iou:g} of its boxes: expected above 0 and at most 1")
    return OnnxDetector(spec, session, layout=card.layout, iou=iou, digest=digest), card


def _open(path: Path) -> Any:
    """An inference session that runs nothing but onnxruntime's own operators on the CPU."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError("ONNX detectors are run by onnxruntime: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, and said once
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # scene readers run at the same time
    try:
        return onnxruntime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base
        raise DetectorError(
            f"detector {path} cannot be loaded: {_line(error)}; export it as a self-contained ONNX file of standard "
            "operators"
        ) from error


def _input_card(session: Any, card: Card, *, name: str) -> Card:
    """Channels and tile size as far as the network fixes them, checked against what the card says.

    Raises:
        DetectorError: not one input `[batch, channels, side, side]` of floats or bytes, or not as the card says.
    """
    inputs = session.get_inputs()
    given = inputs[0]
    shape: Sequence[int | str | None] = given.shape
    sizes = [side if isinstance(side, int) and side > 0 else None for side in shape]
    if len(inputs) != 1 or len(sizes) != 4 or given.type not in TYPES:
        raise DetectorError(
            f"detector {name} takes {len(inputs)} inputs, the first {given.type} {list(shape)}: expected one of floats "
            "or bytes [batch, channels, height, width]"
        )
    _, channels, height, width = sizes
    if height is not None and width is not None and height != width:
        raise DetectorError(
            f"detector {name} takes {list(shape)}: expected square tiles, channels first; export it with one image size"
        )
    side = height or width
    for what, fixed, said in (
        ("tiles of {} px", side, card.tile_px),
        ("{} channels", channels, card.n_bands or len(card.bands or ()) or None),
    ):
        if fixed is not None and said is not None and fixed != said:
            given_as, stated_as = what.format(fixed), what.format(said)
            raise DetectorError(f"detector {name} takes {given_as}, but {stated_as} are stated: correct that")
    return Card(tile_px=side, n_bands=channels)


def _digest(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ResourceLimitError(f"detector {path} has over {MAX_FILE_BYTES >> 30} GiB: that is no detector")
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    except OSError as error:
        raise DetectorError(f"detector {path} cannot be read: {error.strerror}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
