"""Runs under a bound on memory, as processes of their own."""

from __future__ import annotations

import json
import re
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
BOUND_MB = 1500
ADDRESS_SPACE = BOUND_MB * 1_000_000 + 1_300_000_000
"""Libraries map 0.5 GB more than is resident; heaps of threads (64 MB each, reserved at once) and their stacks (8 MB)
take 0.3 to 0.8 GB."""

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


def within_the_least(*arguments):
    """A run within the least bound that is named; what the system's libraries take differs, and may be more."""
    bound = 500
    for _ in range(3):
        code, record, said, peak = geopdn(*arguments, "--memory", f"{bound}MB")
        if code != 4:
            break
        bound = int(re.search(r"the least that works is --memory (\d+)MB", said)[1])
    assert code == 0, said
    assert peak < bound
    return record


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
        "detect", path, "--budget", "12w", "--memory", f"{BOUND_MB}MB", "--json", "-q", "-o", tmp_path / "huge.gpkg",
        address_space=ADDRESS_SPACE,
    )  # fmt: skip
    assert code == 0, said
    assert peak < BOUND_MB
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


def test_too_small_a_bound_is_refused_with_the_least_that_works(tmp_path):
    path = write_sparse(tmp_path / "huge.tif", 100_000, [])
    code, _, said, peak = geopdn("detect", path, "--model", "aircraft-50cm", "--memory", "1GB")
    assert code == 4
    assert said.startswith("error: huge.tif: --memory 1,000MB is too little for 100,000 x 100,000 px: the program and")
    assert "; the least that works is --memory 16" in said
    assert peak < 250  # before a network is made
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--no-overviews",)])
def test_a_dense_scene_within_a_bound_finds_the_same(tmp_path, dense, options):
    found = []
    for name, run in (("free", geopdn), ("bounded", within_the_least)):
        out = tmp_path / f"{name}.gpkg"
        run("detect", dense, "--budget", "6w", "--json", "-q", "-o", out, *options)
        found.append(geopandas.read_file(out, layer="detections"))
        assert len(found[-1]) > 20
    free, bounded = found
    assert len(free) == len(bounded)
    assert (free.window == bounded.window).all()
    np.testing.assert_allclose(free.score, bounded.score, atol=1e-4)  # operations are split over other threads
    assert free.geometry.centroid.distance(bounded.geometry.centroid).max() < 0.01  # metres


@pytest.mark.parametrize(("layout", "block"), [("strip", "8,192 x 8,192"), ("tiles", "4,096 x 4,096")])
@pytest.mark.parametrize("command", ["detect", "saliency"])
def test_huge_blocks_are_refused_before_anything_is_read(tmp_path, huge_blocks, layout, block, command):
    path = huge_blocks[layout]
    out = tmp_path / "out.tif" if command == "saliency" else tmp_path / "out.gpkg"
    code, _, said, peak = geopdn(command, path, "-o", out, "--model", "aircraft-50cm", "--memory", "900MB")
    assert code == 4, said
    assert f"for it is stored in blocks of {block} px, and a thread that reads one holds " in said
    assert (
        f"`gdal_translate -of COG -co COMPRESS=DEFLATE -co BIGTIFF=IF_SAFER '{path.name}' 'my {layout}.cog.tif'`"
        in said
    )
    assert peak < 250
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["strip", "tiles", "rows"])
def test_huge_blocks_are_read_within_the_least_bound_that_is_named(tmp_path, huge_blocks, layout):
    out = tmp_path / "out.gpkg"
    within_the_least("detect", huge_blocks[layout], "--model", "aircraft-50cm", "--budget", "4w", "-q", "-o", out)
    assert out.is_file()


@pytest.fixture(scope="module")
def huge_blocks(tmp_path_factory, airport):
    """8,192 x 8,192 px that do not compress well, without overviews: one strip, four tiles, rows."""
    folder = tmp_path_factory.mktemp("blocks")
    profile = {"driver": "GTiff", "width": 8192, "height": 8192, "count": 3, "dtype": "uint8", "crs": "EPSG:32631"}
    profile |= {"transform": UTM, "compress": "deflate", "zlevel": 1}
    profile |= {"interleave": "pixel", "photometric": "rgb"}
    shapes = {
        "strip": {"blockysize": 8192},
        "tiles": {"tiled": True, "blockxsize": 4096, "blockysize": 4096},
        "rows": {"blockysize": 1},
    }
    pixels = np.tile(airport, (1, 2, 2))
    for name, shape in shapes.items():
        with rasterio.open(folder / f"my {name}.tif", "w", **profile, **shape) as dataset:
            dataset.write(pixels)
    return {name: folder / f"my {name}.tif" for name in shapes}


def test_a_size_that_is_none_is_a_usage_error(refused, tmp_path):
    said = refused(2, "detect", tmp_path / "a.tif", "--memory", "lots")
    assert said == "error: --memory 'lots': expected a size of at least 1MB, such as 2GB, 1500MB or 1.5GiB"


def test_a_detector_beside_a_bound_is_a_usage_error(refused, tmp_path, monkeypatch):
    from geopdn.cli import detect

    monkeypatch.setattr(detect, "load_detector", lambda *_, **__: object())
    said = refused(2, "detect", tmp_path / "a.tif", "--memory", "2GB", "--detector", tmp_path / "d.onnx")
    assert said.startswith("error: --memory bounds searches by geopdn's own models")


def test_info_says_how_much_memory_a_run_takes(cli, scene, weights):
    done = cli("info", scene, "--model", weights, "--any-scale")
    assert done.code == 0, done.err
    assert "MB of memory, at least" in " ".join(done.out.split())
    record = json.loads(cli("info", scene, "--model", weights, "--any-scale", "--json").out)
    assert 970 < record["memory"]["tiny"]["least_mb"] < record["memory"]["tiny"]["usual_mb"]
