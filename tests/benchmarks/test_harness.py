"""The benchmark's own parts: order, resumption, fits, ratios, floors, scenes; no network, no large scene."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import rasterio

from benchmarks import growth
from benchmarks.alternate import Bench, run_case, schedule
from benchmarks.floor import decode
from benchmarks.measure import Cost
from benchmarks.methods import BOXES, BUDGET, FULL, Method, methods
from benchmarks.mosaic_size import mosaic_cells
from benchmarks.patchwork import patchwork
from benchmarks.plots import draw_accuracy, draw_costs, draw_growth
from benchmarks.results import Results, Run, code_version
from benchmarks.rivals.shared import starts
from benchmarks.scenes import airport, budget_of, build, cases
from benchmarks.table import DECODE, NETWORK, START, floor_of, growth_markdown, summaries, to_markdown
from geopdn.geometry.window import Window

CASE = airport(512, 0.2)
FACTS = {"height": 512, "width": 512, "objects": 1, "occupied": 0.25, "file_mb": 1.0, "budget": 0.3}
OUTCOME = {"ap50": 0.5, "found": 1, "n_truth": 2, "share": 1.0, "windows": 4, "gmacs": 12.0, "kind": None}


def run(method, seconds, *, repeat=0, scene=CASE.name, outcome=None, error=""):
    cost = Cost(0, False, seconds, 2 * seconds, 1.0, 100.0, 5_000_000)
    return Run(scene, method, repeat, "code", cost, error, OUTCOME if outcome is None else outcome, 0.0)


def results(tmp_path, runs, scenes=(CASE.name,)):
    record = Results(tmp_path / "results.json")
    record.scenes = {name: dict(FACTS) for name in scenes}
    for each in runs:
        record.add(each)
    return record


def test_methods_alternate():
    assert list(schedule("ABC", 2)) == [(0, "A"), (0, "B"), (0, "C"), (1, "A"), (1, "B"), (1, "C")]


def test_the_full_scan_comes_before_those_that_take_its_kind_of_window():
    names = [method.name for method in methods()]
    assert names.index(BUDGET) == 0
    others = [name for name in names if not name.startswith("geopdn")]
    assert set(others) == {"rasterio loop", "SAHI", "supervision", "GeoDeep"}
    assert all(names.index(FULL) < names.index(name) for name in others)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_exponents_are_found(exponent):
    x = np.array([1.0, 4, 16, 64])
    fitted = growth.fit(x, 3 * x**exponent)
    assert (fitted.exponent, fitted.factor, fitted.r2) == pytest.approx((exponent, 3, 1), abs=1e-9)
    assert fitted.at(100.0) == pytest.approx(3 * 100**exponent)


def test_fits_leave_out_what_has_no_logarithm_and_need_two_places():
    assert growth.fit([1, 2, 4], [0.0, 2.0, 4.0]).n == 2
    assert growth.fit([8, 8], [1.0, 2.0]) is None
    assert growth.fit([1, 2], [0.0, 2.0]) is None
    noisy = growth.fit([1, 2, 4, 8], [1.0, 2.5, 3.5, 8.0])
    assert noisy.exponent == pytest.approx(1, abs=0.1)
    assert 0.9 < noisy.r2 < 1


def test_scenes_of_growth_differ_along_one_axis():
    by_size = growth.by_size([8192, 4096], n_objects=10)
    assert [(case.size, case.n_objects) for case in by_size] == [(4096, 10), (8192, 10)]
    assert by_size[0].share == pytest.approx(4 * by_size[1].share, rel=0.05)
    by_objects = growth.by_objects([15, 10], size=4096)
    assert [(case.size, case.n_objects) for case in by_objects] == [(4096, 10), (4096, 15)]
    with pytest.raises(SystemExit, match="more ground"):
        growth.by_objects([1000], size=1024)


def test_growth_beyond_start_up_is_told_of_those_that_start_alike(tmp_path):
    scenes = [airport(side, 0.1, n_objects=5) for side in (1000, 2000)]
    runs = [
        run(method, 10 + case.size**2 / 1e6, scene=case.name, outcome={**OUTCOME, "gmacs": case.size / 1e3})
        for case in scenes
        for method in (BUDGET, "SAHI")
    ]
    record = results(tmp_path, runs, [case.name for case in scenes])
    for case in scenes:
        record.scenes[case.name] |= {"height": case.size, "width": case.size}
    start = Cost(0, False, 10.0, 1.0, 1.0, 1.0, 1)
    found = growth.series(record, scenes, axis="pixels", code="code", start=start)
    fits = {(one.method, one.quantity): one.fitted for one in found}
    assert fits[BUDGET, growth.SECONDS_BEYOND].exponent == pytest.approx(1)
    assert fits[BUDGET, "seconds"].exponent < 0.3
    assert fits[BUDGET, "multiply-adds"].exponent == pytest.approx(0.5)
    assert ("SAHI", growth.SECONDS_BEYOND) not in fits
    assert "| pixels | geopdn --budget | multiply-adds | 0.50 | 1.000 | 2 |" in growth_markdown(found)
    names = [case.name for case in scenes]
    draw_growth(found, path=tmp_path / "growth.png")
    draw_costs(record, names, "code", order=[BUDGET, "SAHI"], path=tmp_path / "costs.png")
    draw_accuracy(record, names, "code", order=[BUDGET, "SAHI"], path=tmp_path / "accuracy.png")
    assert all((tmp_path / f"{name}.png").stat().st_size > 10_000 for name in ("growth", "costs", "accuracy"))


def test_ratios_are_medians_of_the_ratios_of_each_repeat(tmp_path):
    seconds = {BUDGET: [1.0, 2.0, 10.0], "SAHI": [4.0, 4.0, 30.0]}
    runs = [run(name, each, repeat=i) for name, values in seconds.items() for i, each in enumerate(values)]
    record = results(tmp_path, [*runs, replace(run("GeoDeep", 0.0, error="no environment"), cost=None)])
    own, sahi, geodeep = summaries(record, CASE.name, "code", order=[BUDGET, "SAHI", "GeoDeep"])
    assert (own.seconds, own.ratio) == (2.0, 1.0)
    assert (sahi.seconds, sahi.ratio, sahi.n_runs) == (4.0, 3.0, 3)  # 4, 2, 3; not 4 / 2
    assert geodeep.error == "no environment"
    text = to_markdown(record, [CASE.name], "code", order=[BUDGET, "SAHI", "GeoDeep"])
    assert "| SAHI | 3 | 4.0 | 3.00 | 8.0 | 1.0 | 100 | 5 | 100.0% | 4 | 12 | 0.500 | 1 of 2 |" in text
    assert "GeoDeep: no environment" in text


def test_the_floor_is_its_larger_part_and_the_sum_of_both(tmp_path):
    parts = [run(DECODE, 9.0, outcome={"seconds": 2.0}), run(NETWORK, 9.0, outcome={"seconds": 3.0})]
    record = results(tmp_path, [run(BUDGET, 12.0), *parts])
    assert floor_of(record, CASE.name, "code") is None
    record.add(run(START, 4.0, outcome={}))
    floor = floor_of(record, CASE.name, "code")
    assert (floor.times_larger, floor.times_sum) == (4.0, 12 / 5)
    assert (floor.start_up, floor.start_up_mb) == (4.0, 5.0)


def test_results_are_read_back_and_replace_earlier_ones(tmp_path):
    record = results(tmp_path, [run("A", 1.0), run("A", 2.0), run("A", 3.0, repeat=1)])
    again = Results(record.path)
    assert again.runs == record.runs
    assert [each.seconds for each in again.runs] == [2.0, 3.0]
    assert again.find(CASE.name, "A", 1, "code").seconds == 3.0
    assert again.find(CASE.name, "A", 1, "other code") is None


def test_the_version_of_the_code_changes_with_it(tmp_path):
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "a.py").write_text("1")
    first = code_version(tmp_path)
    assert first == code_version(tmp_path)
    (tmp_path / "cli" / "a.py").write_text("2")
    assert code_version(tmp_path) != first


def stub(name, code, *, missing=""):
    def command(job):
        return [sys.executable, "-I", "-c", code, str(job.folder / BOXES), str(job.scene)]

    return Method(name, "a stub", BOXES, command, lambda _: missing)


def test_a_stub_method_from_scene_to_table_and_resumed(tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    CASE.path(folder).write_bytes(b"scene")
    write = "import sys; open(sys.argv[1], 'w').write(open(sys.argv[2]).read())"
    wanted = [
        stub("A", write),
        stub("B", "import sys; sys.exit('no such network')"),
        stub("C", "", missing="not here"),
    ]
    said = []
    bench = Bench(
        results=results(tmp_path, []),
        folder=tmp_path,
        wanted=wanted,
        repeats=2,
        code="code",
        timeout_s=60,
        again=False,
        score=lambda output, _: {**OUTCOME, "windows": len(output.read_text())},
        say=said.append,
    )
    run_case(bench, CASE)
    assert [(each.repeat, each.method) for each in bench.results.runs] == list(schedule("ABC", 2))
    good, bad, missing = bench.results.runs[:3]
    assert good.outcome["windows"] == len("scene")
    assert good.cost.seconds > 0
    assert bad.error == "exit code 1: no such network"
    assert (missing.error, missing.cost) == ("not here", None)
    assert "C: not here" in to_markdown(bench.results, [CASE.name], "code", order="ABC")
    kept = bench.results.runs[0]
    run_case(replace(bench, results=Results(bench.results.path)), CASE)  # only what failed is tried again
    assert len(said) == 6 + 4
    assert Results(bench.results.path).find(CASE.name, "A", 0, "code") == kept
    assert json.loads(bench.results.path.read_text())["machine"]["cores"] >= 1


def test_cases_and_their_budgets():
    found = cases([8192], [0.05, 0.01], compressions=["jpeg", "deflate"], overviews=[True, False], with_mosaic=False)
    assert len({case.name for case in found}) == len(found) == 8
    assert {case.n_objects for case in found} == {7, 34}
    assert [budget_of(share) for share in (0.0, 0.2, 1.0)] == [0.01, 0.26, 1.0]


def test_dense_scenes_are_made_of_whole_squares(tmp_path):
    with pytest.raises(SystemExit, match="multiple of 4096"):
        patchwork(6000, 0.2, 10, tmp_path / "scene.tif", seed=0, cwd=tmp_path)


def test_mosaics_hold_about_a_twentieth_of_real_scenes():
    assert (mosaic_cells(8192).size, mosaic_cells(8192).n_scenes) == (7680, 1)
    assert (mosaic_cells(16384).size, mosaic_cells(16384).n_scenes) == (15360, 2)
    assert mosaic_cells(32768).n_scenes == 5  # one a place


@pytest.mark.parametrize(("compression", "overviews"), [("jpeg", False), ("deflate", True), ("deflate", False)])
def test_other_kinds_of_files_hold_the_same_pixels(tmp_path, compression, overviews):
    case = airport(1024, 0.2, n_objects=2)
    other = replace(case, compression=compression, overviews=overviews)
    pixels = np.random.default_rng(0).integers(90, 110, (3, 1024, 1024), dtype=np.uint8)
    profile = {"driver": "GTiff", "count": 3, "height": 1024, "width": 1024, "dtype": "uint8", "photometric": "rgb"}
    with rasterio.open(case.path(tmp_path), "w", **profile) as target:
        target.write(pixels)
    case.truth(tmp_path).write_bytes(b"")
    path = build(other, tmp_path, say=lambda _: None)
    with rasterio.open(path) as scene:
        assert bool(scene.overviews(1)) == overviews
        assert scene.compression.name.lower() == compression
        far = np.abs(scene.read().astype(int) - pixels).max()
        assert far == 0 if compression == "deflate" else far < 40
    assert sorted(p.name for p in tmp_path.glob("*making*")) == []


def test_the_floor_decodes_every_window_and_the_overview(tmp_path):
    path = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "count": 3, "height": 700, "width": 600, "dtype": "uint8", "tiled": True}
    with rasterio.open(path, "w", blockxsize=256, blockysize=256, **profile) as target:
        target.write(np.zeros((3, 700, 600), np.uint8))
    windows = [Window(-32, -32, 256, 256, 0), Window(200, 200, 256, 256, 1), Window(2000, 2000, 64, 64, 0)]
    assert 0 < decode(path, windows, overview_level=3, n_threads=2) < 10
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])  # what it reads, it decodes
    with pytest.raises(rasterio.errors.RasterioError):
        decode(path, windows, overview_level=3, n_threads=2)


def test_slices_cover_a_side_and_end_with_it():
    for side in (1024, 1500, 2048, 4096):
        first = starts(side, extent=1024, overlap=192)
        assert first[0] == 0
        assert first[-1] + 1024 == side
        assert all(0 < b - a <= 1024 - 192 for a, b in pairwise(first))
    assert starts(900, extent=1024, overlap=192) == [0]
