"""Runs under a bound on memory, as processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from planted import UTM
from sparse_tiff import write_sparse

AIRPORT = Path(__file__).parents[2] / "sample_scenes" / "airport.tif"
PAINTED = (20_480, 10_240), (51_200, 81_920), (97_280, 1_024)
ADDRESS_SPACE = (
    6 << 30
)  # PyTorch's libraries alone are mapped to 3.6 GB of addresses, threads' heaps and stacks to more

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")


def geopdn(*arguments, address_space=None):
    """Run a command; its exit code, the JSON it printed, its complaint, and its peak memory in MB."""
    limit = f"resource.setrlimit(resource.RLIMIT_AS, ({address_space}, {address_space}))\n" if address_space else ""
    code = (
        f"import resource, sys\n{limit}from geopdn.cli.main import run\n"
        "try:\n    run(sys.argv[1:])\n"
        "finally:\n"
        "    status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "    print(int(status['VmHWM'].split()[0]) * 1024 / 1e6, file=sys.stderr)\n"  # ru_maxrss holds the parent's
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    *said, peak = done.stderr.strip().splitlines()
    record = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, record, "\n".join(said), float(peak)


@pytest.fixture(scope="module")
def airport():
    with rasterio.open(AIRPORT) as dataset:
        return dataset.read()


@pytest.fixture(scope="module")
def dense(tmp_path_factory, airport):
    """8,192 x 8,192 px, the airport four times."""
    path = tmp_path_factory.mktemp("dense") / "dense.tif"
    with rasterio.open(AIRPORT) as dataset:
        profile = {**dataset.profile, "width": 8192, "height": 8192, "compress": "lzw", "photometric": "rgb"}
    with rasterio.open(path, "w", **profile) as dataset:
        for row in (0, 4096):
            for col in (0, 4096):
                dataset.write(airport, window=((row, row + 4096), (col, col + 4096)))
    return path


@pytest.mark.slow
def test_a_scene_of_ten_gigapixels_within_a_bound(tmp_path, airport):
    area = airport[:, 1536:2560, 1024:3072]
    path = write_sparse(tmp_path / "huge.tif", 100_000, [(row, col, area) for row, col in PAINTED])
    code, record, said, peak = geopdn(
        "detect", path, "--budget", "12w", "--memory", "1600MB", "--json", "-q", "-o", tmp_path / "huge.gpkg",
        address_space=ADDRESS_SPACE,
    )  # fmt: skip
    assert code == 0, said
    assert peak < 1600
    assert record["peak_memory_mb"] == pytest.approx(peak, abs=5)
    assert record["windows"] <= 12
    found = geopandas.read_file(tmp_path / "huge.gpkg", layer="detections").to_crs(32631).geometry.centroid
    col, row = (found.x - 500_000) / 0.5, (5_000_000 - found.y) / 0.5
    painted = np.zeros(len(found), bool)
    for top, left in PAINTED:
        inside = (row >= top) & (row < top + 1024) & (col >= left) & (col < left + 2048)
        assert inside.any()
        painted |= inside.to_numpy()
    assert painted.all()


def test_too_small_a_bound_is_refused_with_the_least_that_works(tmp_path, airport):
    path = write_sparse(tmp_path / "huge.tif", 100_000, [])
    code, _, said, peak = geopdn("detect", path, "--model", "aircraft-50cm", "--memory", "1GB")
    assert code == 4
    assert said.startswith("error: huge.tif: --memory 1,000MB is too little for 100,000 x 100,000 px: the program and")
    assert "; the least that works is --memory 18" in said
    assert peak < 250  # before PyTorch is loaded


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--no-overviews",)])
def test_a_dense_scene_within_a_bound_finds_the_same(tmp_path, dense, options):
    found = []
    for bound in ("1250MB", "8GB"):
        out = tmp_path / f"{bound}.gpkg"
        code, record, said, peak = geopdn(
            "detect", dense, "--budget", "6w", "--memory", bound, "--json", "-q", "-o", out, *options
        )
        assert code == 0, said
        assert peak < (1250 if bound == "1250MB" else 2000)
        assert record["detections"] > 20
        found.append(geopandas.read_file(out, layer="detections"))
    small, large = found
    assert len(small) == len(large)
    assert (small.window == large.window).all()
    np.testing.assert_allclose(small.score, large.score, atol=1e-4)  # operations are split over other threads
    assert small.geometry.centroid.distance(large.geometry.centroid).max() < 0.01  # metres


@pytest.mark.parametrize("block", [None, 4096], ids=["strip", "tiles"])
def test_huge_blocks_are_refused_before_anything_is_read(tmp_path, block):
    path = tmp_path / "old.tif"
    tiles = {"tiled": True, "blockxsize": block, "blockysize": block} if block else {"blockysize": 8192}
    profile = {"driver": "GTiff", "width": 8192, "height": 8192, "count": 3, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", **profile, transform=UTM, compress="deflate", **tiles) as dataset:
        dataset.write(np.zeros((3, 8192, 8192), np.uint8))
    for command in (("detect", path), ("saliency", path, "-o", tmp_path / "s.tif")):
        code, _, said, peak = geopdn(*command, "--model", "aircraft-50cm", "--any-scale", "--memory", "750MB")
        assert code == 4, said
        assert f"old.tif is stored in blocks of {block or 8192:,} x {block or 8192:,} px" in said
        assert "`gdal_translate -co TILED=YES -co BLOCKXSIZE=512 -co BLOCKYSIZE=512" in said
        assert peak < 250
    assert not (tmp_path / "old.detections.gpkg").exists()


def test_a_size_that_is_none_is_a_usage_error(refused, tmp_path):
    said = refused(2, "detect", tmp_path / "a.tif", "--memory", "lots")
    assert said == "error: --memory 'lots': expected a size of at least 1MB, such as 2GB, 1500MB or 1.5GiB"


def test_info_says_how_much_memory_a_run_takes(cli, scene, weights):
    done = cli("info", scene, "--model", weights, "--any-scale")
    assert done.code == 0, done.err
    assert "MB of memory" in " ".join(done.out.split())
    record = json.loads(cli("info", scene, "--model", weights, "--any-scale", "--json", "--memory", "2GB").out)
    assert 800 < record["memory"]["tiny"] <= 2000
