"""Configuration: frozen, typed, strict."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

LEVEL_OF_SCALE = {0.5: 1, 0.25: 2, 0.125: 3, 0.0625: 4}
MOST_DATES = 8  # earlier dates of the same ground that are looked at, at most
DENSE_SIDE = 512  # level-0 pixels; scenes smaller than this both ways are looked at whole

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]{0,59}$")]


class Strict(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """True is 1 to Python: it stands for no number."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            msg = "expected a value of its own, not true or false"
            raise ValueError(msg)
        return value


class WindowKind(Strict):
    """One kind of high-resolution window.

    Attributes:
        extent: side in level-0 pixels, halo included.
        level: level it is read at; the tensor's side is `extent / 2**level`.
        halo: level-0 pixels on each side that are seen but whose objects belong to a neighbour.
        network_ms: nominal milliseconds of the network on one window (two CPU cores), measured when the weights were
            written; None before that: a guess by the tensor's size.
    """

    extent: Annotated[int, Field(ge=64, le=8192)]
    level: Annotated[int, Field(ge=0, le=6)]
    halo: Annotated[int, Field(ge=0, le=1024)]
    network_ms: Positive | None = None

    @property
    def name(self) -> str:
        """The extent as text: the name users see in the `windows` layer."""
        return str(self.extent)

    @property
    def core(self) -> int:
        """Side in level-0 pixels of the part whose objects belong to the window."""
        return self.extent - 2 * self.halo

    @property
    def tensor(self) -> int:
        """Side in pixels of the tensor that is read."""
        return self.extent >> self.level

    @model_validator(mode="after")
    def _has_core(self) -> WindowKind:
        if self.core < 32 or self.extent % (1 << self.level) or self.halo % (1 << self.level):
            msg = f"window kind {self.extent}: halo {self.halo} leaves no core of 32 px or misses level {self.level}"
            raise ValueError(msg)
        return self


class RadiometryConfig(Strict):
    """How stored values become network inputs; see `geopdn.scene.radiometry`."""

    kind: Literal["fixed", "percentile"]
    low: tuple[float, ...]
    high: tuple[float, ...]
    dtypes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_a_range(self) -> RadiometryConfig:
        if len(self.low) != len(self.high) or not self.low:
            msg = f"as many low as high limits are needed, got {self.low} and {self.high}"
            raise ValueError(msg)
        if not all(-math.inf < low < high < math.inf for low, high in zip(self.low, self.high, strict=True)):
            msg = f"finite limits with low < high are needed, got {self.low} and {self.high}"
            raise ValueError(msg)
        return self


class ModelConfig(Strict):
    """What a PatchDriveNet is: everything needed to build it and to feed it.

    Attributes:
        classes: class names, in the order of the score channels.
        bands: band names in the order of the input channels.
        pixel_size_m: true ground size of a pixel that it was trained at.
        radiometry: how values are scaled.
        global_scale: pixels of the overview per pixel of the scene (1/8, 1/4).
        size_edges_px: object lengths, in level-0 pixels, that separate the size classes.
        kinds: kinds of windows, the first being the one of the dense path.
        has_heading: whether boxes are oriented (False after training on axis-aligned labels).
        global_backbone: `dense-...`, `timm:NAME`, `torchgeo:NAME`, or `efficientnet-lite0-slim`, which is made from
            weights with `timm:tf_efficientnet_lite0` (`only: overview`).
        highres_backbone: likewise.
        head_stride: window pixels per position of the detection head: 2 for objects of a few pixels, else 4.
        neck: channels of the feature pyramid of the high-resolution stream.
        grid: channels of the global grid.
        dim: embedding size of fusion and controller.
        heads: attention heads of the fusion.
        hidden: state size of the controller's LSTM.
        views: ways round that each window is seen: 1, 2 (also turned by half a turn) or 4 (also mirrored); scores are
            their means, the cost grows alike (`geopdn.model.views`).
        dates: whether it has learnt from earlier dates of the same ground (`geopdn.model.temporal`).
        controller: whether the controller has learnt from searches (`only: drive`); else it changes nothing.
        overview_ms_per_mpx: nominal milliseconds of the global stream on 10**6 overview pixels, as `network_ms`.
    """

    classes: Annotated[tuple[Name, ...], Field(min_length=1)]
    bands: Annotated[tuple[Name, ...], Field(min_length=1, max_length=32)]
    pixel_size_m: Positive
    radiometry: RadiometryConfig
    global_scale: float = 0.125
    size_edges_px: tuple[Positive, ...] = (12.0, 32.0)
    kinds: Annotated[tuple[WindowKind, ...], Field(min_length=1)] = (
        WindowKind(extent=512, level=0, halo=32),
        WindowKind(extent=256, level=0, halo=32),
        WindowKind(extent=1024, level=1, halo=64),
        WindowKind(extent=2048, level=2, halo=128),
    )
    has_heading: bool = True
    global_backbone: str = "dense-global"
    highres_backbone: str = "dense-nano"
    head_stride: Literal[2, 4] = 4
    neck: Annotated[int, Field(ge=16, le=512)] = 64
    grid: Annotated[int, Field(ge=16, le=512)] = 64
    dim: Annotated[int, Field(ge=32, le=1024)] = 128
    heads: Annotated[int, Field(ge=1, le=16)] = 4
    hidden: Annotated[int, Field(ge=16, le=1024)] = 64
    views: Literal[1, 2, 4] = 1
    dates: bool = False
    controller: bool = False
    overview_ms_per_mpx: Positive = 500.0

    @property
    def overview_level(self) -> int:
        """Level of the overview: 3 for 1/8, 2 for 1/4."""
        return LEVEL_OF_SCALE[self.global_scale]

    @property
    def cell_px(self) -> int:
        """Side of a cell of expected counts in level-0 pixels."""
        return 4 << self.overview_level

    @property
    def grid_px(self) -> int:
        """Side of a cell of the global grid in level-0 pixels."""
        return 16 << self.overview_level

    @property
    def n_size_classes(self) -> int:
        """Number of size classes K."""
        return len(self.size_edges_px) + 1

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if self.global_scale not in LEVEL_OF_SCALE:
            msg = f"global_scale must be one of {', '.join(map(str, LEVEL_OF_SCALE))}, got {self.global_scale}"
            raise ValueError(msg)
        if list(self.size_edges_px) != sorted(set(self.size_edges_px)):
            msg = f"size_edges_px must increase, got {self.size_edges_px}"
            raise ValueError(msg)
        if len({kind.name for kind in self.kinds}) != len(self.kinds):
            msg = "kinds of windows must differ in extent"
            raise ValueError(msg)
        if self.dim % self.heads:
            msg = f"dim must be a multiple of heads, got {self.dim} and {self.heads}"
            raise ValueError(msg)
        if len(self.radiometry.low) not in (1, len(self.bands)):
            msg = f"radiometry has limits for {len(self.radiometry.low)} bands, the model has {len(self.bands)}"
            raise ValueError(msg)
        odd = [kind.extent for kind in self.kinds if kind.extent % 64]
        if odd:
            msg = f"the network's windows have extents that are multiples of 64 px, got {odd[0]}"
            raise ValueError(msg)
        return self


class SceneLabels(Strict):
    """One or several scenes with their labels.

    Attributes:
        scenes: glob pattern of rasters, relative to `root`.
        labels: vector file; `{stem}` stands for the scene's file name without its ending.
        layer: its layer; None takes `labels`, else `detections`, else the only one.
        label_field: its column with the class names; None takes `label`, where present.
        point_size_m: ground size of the square that stands for a label that is a point.
        ignore_regions: vector file, relative to the configuration file, of areas whose objects nobody labelled: nothing
            in them is taught as background, and on held-out places detections there count neither way.
        place: regular expression with one group that names the place, searched in the file name.
        root: replaces the data section's root for this source.
        weight: how often a place of this source is drawn, relative to the other sources' places.
    """

    scenes: str
    labels: str
    layer: str | None = None
    label_field: str | None = None
    point_size_m: Positive | None = None
    ignore_regions: str | None = None
    place: str = r"^(.+)$"
    root: str | None = None
    weight: Positive = 1.0


class DataConfig(Strict):
    """Where the scenes and labels are and how they are split by place.

    Attributes:
        root: folder that the patterns are relative to; itself relative to the configuration file.
        sources: scenes with labels.
        validation: places never trained on, nor used to choose anything: scores come from here.
        calibration: places never trained on; saliency, priorities and thresholds are fitted here.
    """

    root: str
    sources: Annotated[tuple[SceneLabels, ...], Field(min_length=1)]
    validation: tuple[str, ...] = ()
    calibration: tuple[str, ...] = ()


class TrainingConfig(Strict):
    """How the network is trained.

    Attributes:
        region_px: side of a training region, level-0 pixels: the extent of its overview.
        window_px: side of the high-resolution training windows, tensor pixels.
        windows: windows a region.
        level_shares: share of the windows read at each level, from level 0.
        object_share: share of the windows placed on an object; the rest lie anywhere.
        rotation_deg: windows are turned by up to this angle (besides quarter turns); oriented labels only.
        zoom: windows are enlarged or shrunk by up to this factor.
        gain: strength of the changes of light and sensor; 0.2 means about 20 %.
        recolour: strength of the changes of colour of half of the objects, each apart; likewise.
        other_overviews: share of the windows read at level 1 and coarser that look as if read from overviews made by
            cubic convolution or nearest pixels and compressed, instead of means.
        batch: regions a step.
        steps: optimiser steps.
        learning_rate: peak of AdamW's schedule: linear warm-up, cosine to 2 %.
        ema: decay of the running average of the weights; the average is what is kept.
        checkpoint_every: steps between checkpoints (one epoch).
        context_dropout: share of the windows that see nothing of the global grid.
        box_weight: weight of the boxes' loss against that of the score maps (TTFNet, Liu et al. 2020: 5).
        pretrained: start the backbones that have ImageNet features from them (see `geopdn.model.pretrained`).
        pretrained_rate: learning rate of such backbones, as a share of the others'.
        only: `dates` trains nothing but what looks at other dates of the same ground, from weights that exist: without
            dates they say what they said before. `overview` teaches a slimmer global stream to say what theirs says.
            `drive` teaches the controller on searches of the training scenes by the weights that exist.
    """

    seed: int = 0
    region_px: Annotated[int, Field(ge=256, multiple_of=256)] = 2048
    window_px: Annotated[int, Field(ge=96, multiple_of=32)] = 384
    windows: Annotated[int, Field(ge=1, le=16)] = 2
    level_shares: tuple[Share, ...] = (1.0,)
    object_share: Share = 0.85
    rotation_deg: Annotated[float, Field(ge=0, le=45)] = 0.0
    zoom: Annotated[float, Field(ge=1, le=2)] = 1.25
    gain: Annotated[float, Field(ge=0, le=0.9)] = 0.2
    recolour: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    other_overviews: Share = 0.0
    batch: Annotated[int, Field(ge=1)] = 4
    steps: Annotated[int, Field(ge=1)] = 3000
    learning_rate: Positive = 1e-3
    weight_decay: Share = 0.05
    warmup: Annotated[int, Field(ge=0)] = 200
    ema: Share = 0.998
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    context_dropout: Share = 0.2
    box_weight: Positive = 1.0
    pretrained: bool = False
    pretrained_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    only: Literal["dates", "drive", "overview"] | None = None


class TrainConfig(Strict):
    """A whole training configuration file.

    Attributes:
        name: short name of the model, and of its weights file.
        description: one sentence for people.
        licence: licence of the weights, as the training data allow it.
        trained_on: training data in words.
        match_iou: overlap at which a detection counts as right.
        model: what is built.
        data: what it learns from.
        training: how.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
    description: str = ""
    licence: str = ""
    trained_on: str = ""
    match_iou: Annotated[float, Field(gt=0, lt=1)] = 0.5
    model: ModelConfig
    data: DataConfig
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _learns_something(self) -> TrainConfig:
        if self.training.only == "dates" and not self.model.dates:
            msg = "training.only is `dates`, but model.dates is not set: nothing would be trained"
            raise ValueError(msg)
        if self.training.only == "drive" and not self.model.controller:
            msg = "training.only is `drive`, but model.controller is not set: nothing would be trained"
            raise ValueError(msg)
        return self
