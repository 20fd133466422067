"""Seeded scenes with known pixels, for every test that reads one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MaskKind = Literal["none", "nodata", "alpha", "nodata+alpha", "mask", "nan"]

UTM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


class MakeScene(Protocol):
    def __call__(
        self,
        path: Path,
        *,
        size: tuple[int, int] = ...,
        dtype: str = ...,
        bands: int = ...,
        crs: str | None = ...,
        transform: Affine | None = ...,
        nodata: float | None = ...,
        mask_kind: MaskKind = ...,
        block: int | None = ...,
        overviews: tuple[int, ...] = ...,
        seed: int = ...,
        compress: str | None = ...,
        descriptions: tuple[str, ...] | None = ...,
        values: NDArray | None = ...,
    ) -> NDArray: ...


def scene_values(size: tuple[int, int], *, dtype: str, bands: int, seed: int) -> NDArray:
    """Smooth hills with noise, `[bands, *size]`, between 10 and 120 in every dtype."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: size[0], : size[1]]
    hills = 60 + 30 * np.sin(rows / 17 + np.arange(bands)[:, None, None]) * np.cos(cols / 23)
    return (hills + rng.uniform(-20, 20, hills.shape)).astype(dtype)


def valid_truth(size: tuple[int, int], mask_kind: MaskKind) -> NDArray[np.bool_]:
    """Which pixels `make_scene` leaves valid: all but a rectangle and some specks."""
    valid = np.ones(size, np.bool_)
    if mask_kind != "none":
        valid[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2 + 3] = False
        valid[::13, ::11] = False
    if mask_kind == "nodata+alpha":
        valid[-size[0] // 8 :] = False  # what only alpha says
    return valid


def write_scene(
    path: Path,
    *,
    size: tuple[int, int] = (200, 300),
    dtype: str = "uint8",
    bands: int = 3,
    crs: str | None = "EPSG:32633",
    transform: Affine | None = UTM,
    nodata: float | None = None,
    mask_kind: MaskKind = "none",
    block: int | None = 64,
    overviews: tuple[int, ...] = (),
    seed: int = 0,
    compress: str | None = "deflate",
    descriptions: tuple[str, ...] | None = None,
    values: NDArray | None = None,
) -> NDArray:
    truth = scene_values(size, dtype=dtype, bands=bands, seed=seed) if values is None else values
    bands, *shape = truth.shape
    valid = valid_truth((shape[0], shape[1]), mask_kind)
    stored = truth.copy()
    if mask_kind.startswith("nodata"):
        nodata = 0 if nodata is None else nodata
        stored[:, ~(valid_truth((shape[0], shape[1]), "nodata"))] = nodata
    elif mask_kind == "nan":
        stored[:, ~valid] = np.nan
    elif mask_kind in ("alpha", "mask"):
        stored[:, ~valid] = 200  # must never be seen
    alpha = mask_kind.endswith("alpha")
    options: dict[str, object] = {}
    if not alpha:
        rgb = bands == 3 and truth.dtype == np.uint8
        options = {"photometric": "rgb" if rgb else "minisblack", "alpha": "unspecified"}  # never alpha by default
    if block:
        options |= {"tiled": True, "blockxsize": block, "blockysize": block}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=shape[0],
            width=shape[1],
            count=bands + alpha,
            dtype=truth.dtype,
            crs=crs,
            transform=transform,
            nodata=nodata,
            compress=compress,
            **options,
        ) as dataset,
    ):
        dataset.write(stored, list(range(1, bands + 1)))
        for index, text in enumerate(descriptions or (), start=1):
            dataset.set_band_description(index, text)
        if alpha:
            dataset.write(valid.astype(truth.dtype) * 255, bands + 1)
            dataset.colorinterp = [*dataset.colorinterp[:bands], ColorInterp.alpha]
        if mask_kind == "mask":
            dataset.write_mask(valid)
    if overviews:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
            dataset.build_overviews(list(overviews), Resampling.average)
    return np.where(valid, truth, 0).astype(truth.dtype)
