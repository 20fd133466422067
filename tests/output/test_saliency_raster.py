"""The saliency raster against rasterio: values, place, system, bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine

from geopdn.errors import OutputError
from geopdn.output.saliency import write_saliency

TURNED = Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_000_000)


@pytest.mark.parametrize("transform", [Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), TURNED], ids=["north", "turned"])
def test_cells_lie_where_the_scene_lies(make_result, tmp_path, transform) -> None:
    result = make_result(1, transform=transform)
    result.saliency[3, 4] = np.nan
    with rasterio.open(write_saliency(result, tmp_path / "s.tif")) as raster:
        assert raster.crs.to_epsg() == 32631
        assert raster.dtypes == ("float32",)
        assert raster.profile["compress"] == "deflate"
        assert raster.profile["tiled"]
        assert raster.descriptions == ("expected objects per cell",)
        assert np.isnan(raster.nodata)
        assert np.array_equal(raster.read(1), result.saliency, equal_nan=True)
        assert not raster.dataset_mask()[3, 4]
        for col, row in ((0, 0), (32, 16), (5, 7)):
            assert raster.transform @ (col, row) == pytest.approx(transform @ (col * 64, row * 64), abs=1e-6)


def test_equal_runs_give_equal_bytes_and_existing_files_need_overwrite(make_result, tmp_path) -> None:
    paths = [write_saliency(make_result(1), tmp_path / name) for name in ("a.tif", "bb.tif")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        write_saliency(make_result(1), paths[0])
    write_saliency(make_result(1), paths[0], overwrite=True)
    assert sorted(tmp_path.iterdir()) == paths


def test_pixel_space_is_upright_and_a_run_without_saliency_is_refused(make_result, tmp_path) -> None:
    result = make_result(1, crs=None)
    with rasterio.open(write_saliency(result, tmp_path / "s.tif")) as raster:
        assert raster.crs is None
        assert tuple(raster.transform)[:6] == (64, 0, 0, 0, -64, 0)
    with pytest.raises(OutputError, match="without a saliency map"):
        write_saliency(replace(result, saliency=None), tmp_path / "none.tif")
    with pytest.raises(OutputError, match="missing"):
        write_saliency(result, tmp_path / "missing" / "s.tif")
