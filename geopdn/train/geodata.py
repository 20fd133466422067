"""torchgeo datasets of one scene and its labels. All that knows torchgeo's classes is here and in `sampler.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torchgeo.datasets import RasterDataset, VectorDataset

from geopdn.config import ModelConfig
from geopdn.evaluate.labels import Truth
from geopdn.evaluate.regions import pixels_in
from geopdn.geometry.ground import map_to_pixel, pixel_to_map
from geopdn.geometry.window import Window
from geopdn.scene import Pixels, PixelSource, Radiometry, Scene, Stretch, resolve_stretch
from geopdn.scene.overview import Overview, open_overview
from geopdn.scene.resample import resample
from geopdn.train.dates import OtherDate


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A square of a scene with everything known about it; windows are cut from it later.

    Attributes:
        window: level-0 pixels, inside the scene where the scene is large enough, else reaching outside.
        pixels: the whole scene, in its own type (regions are views of places in it).
        overview: statistics of the region at the overview level.
        stretch: the scene's radiometric stretch.
        boxes: `[N, 5]` labelled boxes in level-0 pixels of the scene.
        labels: `[N]` class indices.
        silent: `[H, W]` True in ignore regions of the scene, level-0 pixels; None where there are none.
        others: the region's overviews on other dates.
    """

    window: Window
    pixels: Pixels
    overview: Overview
    stretch: Stretch
    boxes: NDArray[np.float64]
    labels: NDArray[np.int64]
    silent: NDArray[np.bool_] | None = None
    others: tuple[OtherDate, ...] = ()


class SceneImages(RasterDataset):  # type: ignore[misc]
    """One scene as a torchgeo raster dataset; decoded once and kept in memory in its own type.

    Queries are torchgeo's slices of map coordinates; the region returned is the square of `region_px` pixels around
    the query's centre, along the scene's own rows and columns (nothing is warped, also when the scene is rotated).

    Args:
        path: the raster.
        config: bands, pixel size, radiometry and overview level of the model.
        region_px: side of a region in level-0 pixels.
    """

    def __init__(self, path: str, *, config: ModelConfig, region_px: int) -> None:
        super().__init__(paths=[path])
        self.region_px = region_px
        with Scene.open(path, bands=config.bands) as scene:
            self.source: PixelSource = resample(scene, pixel_size_m=config.pixel_size_m)
            size = self.source.size
            self.pixels = self.source.read(Window(0, 0, size.height, size.width))
            self.stretch = resolve_stretch(self.source, Radiometry.from_dict(config.radiometry.model_dump()))
            self.step = 1 << config.overview_level
            with open_overview(self.source, level=config.overview_level, stretch=self.stretch) as overview:
                side = overview.size
                self.overview = overview.read(Window(0, 0, side.height, side.width, config.overview_level))
        self.others: tuple[OtherDate, ...] = ()

    def region_window(self, query: Sequence[slice]) -> Window:
        """The region of a query, aligned to overview pixels and moved inside the scene where it fits."""
        x, y = query[0], query[1]
        centre = np.array([(x.start + x.stop) / 2, (y.start + y.stop) / 2])
        col, row = map_to_pixel(centre, self.source.transform)
        half, step = self.region_px / 2, 4 * self.step
        starts = []
        for middle, length in ((row, self.source.size.height), (col, self.source.size.width)):
            start = round((middle - half) / step) * step
            last = max(0, (length - self.region_px) // step * step)
            starts.append(min(max(start, 0), last))
        return Window(starts[0], starts[1], self.region_px, self.region_px)

    def __getitem__(self, query: Any) -> dict[str, Any]:
        window = self.region_window(query)
        return {
            "window": window,
            "pixels": self.pixels,
            "stretch": self.stretch,
            "overview": crop_overview(self.overview, window, step=self.step),
            "others": tuple(
                OtherDate(crop_overview(date.overview, window, step=self.step), date.days) for date in self.others
            ),
        }


class SceneLabels(VectorDataset):  # type: ignore[misc]
    """The labels of one scene as a torchgeo vector dataset, already in the scene's pixels.

    Its index is the scene's footprint and not the labels': ground without labels is background that was looked at.

    Args:
        path: the vector file.
        truth: what `read_labels` made of it, with the model's classes.
        images: the scene.
    """

    def __init__(self, path: str, *, truth: Truth, images: SceneImages) -> None:
        super().__init__(paths=[path], crs=images.crs, layer=0)  # of any layer: the index is replaced below
        self.boxes = truth.boxes  # objects cut by the scene's edge are ignored when scoring, but shown in training
        self.labels = truth.labels
        size = images.source.size
        self.silent = pixels_in(truth.regions, height=size.height, width=size.width) if len(truth.regions) else None
        self.index = images.index.copy()

    def __getitem__(self, query: Any) -> dict[str, Any]:
        del query  # a scene's labels are few; windows pick theirs
        return {"boxes": self.boxes, "labels": self.labels, "silent": self.silent}


def merge_samples(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Union of the samples of one query: pixels from the raster dataset, boxes from the vector dataset."""
    merged: dict[str, Any] = {}
    for sample in samples:
        merged |= sample
    return merged


def to_region(sample: dict[str, Any]) -> Region:
    """A merged sample as a record."""
    return Region(
        **{
            key: sample[key]
            for key in ("window", "pixels", "overview", "stretch", "boxes", "labels", "silent", "others")
        }
    )


def crop_overview(overview: Overview, window: Window, *, step: int) -> Overview:
    """The part of a whole scene's overview under a level-0 window, padded as invalid outside."""
    rows, cols = (window.row // step, window.height // step), (window.col // step, window.width // step)

    def cut(array: NDArray[np.float32]) -> NDArray[np.float32]:
        part = array[..., rows[0] : rows[0] + rows[1], cols[0] : cols[0] + cols[1]]
        pad = [(0, 0)] * (array.ndim - 2) + [(0, rows[1] - part.shape[-2]), (0, cols[1] - part.shape[-1])]
        return np.pad(part, pad)

    low = None if overview.low is None else cut(overview.low)
    high = None if overview.high is None else cut(overview.high)
    return Overview(mean=cut(overview.mean), low=low, high=high, valid=cut(overview.valid))


def box_centres_on_map(boxes: NDArray[np.float64], source: PixelSource) -> NDArray[np.float64]:
    """Map coordinates `[N, 2]` of the centres of boxes in level-0 pixels."""
    return pixel_to_map(boxes[:, :2], source.transform)
