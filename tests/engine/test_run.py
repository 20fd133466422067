"""The engine's promises: budgets, failures, empty ground, areas of interest, order, dense path."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from exact import exact_config, exact_model

from geopdn.budget import Budget
from geopdn.config import WindowKind
from geopdn.engine import DetectOptions, detect, saliency_of
from geopdn.engine.reading import in_file_order
from geopdn.engine.rounds import in_core, is_cut
from geopdn.errors import SceneReadError
from geopdn.geometry.window import Size, Window
from geopdn.scene import Scene

TRANSFORM = Affine(0.5, 0, 500000, 0, -0.5, 5000000)


@pytest.fixture(scope="module")
def model():
    return exact_model(exact_config(bands=("1",), high=255.0, pixel_size_m=0.5))


def write(path, image, **profile):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=image.shape[0],
        width=image.shape[1],
        dtype="uint8",
        tiled=True,
        blockxsize=256,
        blockysize=256,
        crs="EPSG:32631",
        transform=TRANSFORM,
        **profile,
    ) as out:
        out.write(image, 1)  # fmt: skip
    return path


def squares(side, places):
    image = np.full((side, side), 10, np.uint8)
    for row, col in places:
        image[row : row + 12, col : col + 12] = 255
    return image


PLACES = [(100, 120), (700, 90), (905, 1400), (1500, 1502), (1303, 300)]


def test_a_corrupt_block_is_recorded_and_the_rest_is_found(tmp_path, model):
    path = write(tmp_path / "scene.tif", squares(1700, PLACES), compress="deflate")
    with rasterio.open(path) as scene:
        offset = int(scene.get_tag_item("BLOCK_OFFSET_5_5", "TIFF", bidx=1))
        size = int(scene.get_tag_item("BLOCK_SIZE_5_5", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[offset : offset + size] = b"\xff" * size
    path.write_bytes(content)
    for budget in (Budget(full=True), Budget(recall=0.999)):
        with Scene.open(path) as scene:
            result = detect(scene, model, DetectOptions(budget=budget))
        failed = [w for w in result.windows if w.status == "failed"]
        assert result.facts["n_failed"] == len(failed) >= 1
        assert all(w.cause for w in failed)
        lost = {
            (row, col)
            for row, col in PLACES
            for core in (w.core for w in failed)
            if core.row <= row + 6 < core.row_stop and core.col <= col + 6 < core.col_stop
        }
        assert (1500, 1502) in lost
        found = {(round(y) - 6, round(x) - 6) for x, y in result.detections.boxes[:, :2]}
        assert found == set(PLACES) - lost
        assert len(found) >= 3
    with Scene.open(path) as scene, pytest.raises(SceneReadError):
        detect(scene, model, DetectOptions(budget=Budget(full=True), strict=True))


def test_ground_without_valid_pixels_is_not_read(tmp_path, model):
    image = squares(2048, PLACES)
    image[:, 1024:] = 0
    path = write(tmp_path / "scene.tif", image, nodata=0)
    with Scene.open(path) as scene:
        result = detect(scene, model, DetectOptions(budget=Budget(full=True)))
    assert len(result.detections) == 3
    assert result.facts["share"] < 0.7


def test_a_scene_of_nothing_but_nodata_gives_an_empty_result(tmp_path, model):
    path = write(tmp_path / "scene.tif", np.zeros((900, 900), np.uint8), nodata=0)
    for budget in (Budget(full=True), Budget(recall=0.98)):
        with Scene.open(path) as scene:
            result = detect(scene, model, DetectOptions(budget=budget))
        assert len(result.detections) == 0
        assert result.facts["pixels_read"] == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (40, 30), (511, 300), (600, 20)])
def test_odd_sizes_work(tmp_path, model, shape):
    path = write(tmp_path / "scene.tif", np.full(shape, 10, np.uint8))
    with Scene.open(path) as scene:
        result = detect(scene, model, DetectOptions(budget=Budget(full=True)))
    assert len(result.detections) == 0
    assert result.facts["path"] == ("dense" if max(shape) < 512 else "scan")


def test_small_scenes_take_the_dense_path_and_find_what_is_there(tmp_path, model):
    path = write(tmp_path / "scene.tif", squares(500, [(30, 40), (480, 470)]))
    with Scene.open(path) as scene:
        result = detect(scene, model, DetectOptions())
    assert result.facts["path"] == "dense"
    assert sorted(map(tuple, result.detections.boxes[:, :2].round(3))) == [(46, 36), (476, 486)]


def test_the_dense_path_reads_the_level_of_the_first_kind(tmp_path):
    config = exact_config(bands=("1",), high=255.0, pixel_size_m=0.5)
    kinds = (WindowKind(extent=1024, level=1, halo=32), *config.kinds)
    coarse = exact_model(config.model_copy(update={"kinds": kinds}))
    path = write(tmp_path / "scene.tif", squares(501, [(30, 40), (480, 470)]))
    with Scene.open(path) as scene:
        result = detect(scene, coarse, DetectOptions())
    assert result.facts["path"] == "dense"
    assert result.windows[0].window == Window(0, 0, 256, 256, 1)
    assert sorted(map(tuple, result.detections.boxes[:, :4].round(3))) == [(46, 36, 12, 12), (476, 486, 12, 12)]


def test_a_budget_of_windows_or_share_is_not_exceeded(tmp_path, model):
    path = write(tmp_path / "scene.tif", squares(1700, PLACES))
    with Scene.open(path) as scene:
        few = detect(scene, model, DetectOptions(budget=Budget(windows=2)))
        part = detect(scene, model, DetectOptions(budget=Budget(share=0.1)))
        none = detect(scene, model, DetectOptions(budget=Budget(share=0.0)))
    assert few.facts["n_windows"] == 2
    assert 0 < part.facts["share"] <= 0.1
    assert none.facts["n_windows"] == 0


def test_an_area_of_interest_limits_the_search(tmp_path, model):
    path = write(tmp_path / "scene.tif", squares(1700, PLACES))
    with Scene.open(path) as scene:
        result = detect(scene, model, DetectOptions(budget=Budget(full=True)), inside=lambda p: p[:, 0] < 850)
    assert len(result.detections) == 3
    assert result.facts["share"] < 0.8


def test_saliency_alone_looks_at_no_window(tmp_path, model):
    path = write(tmp_path / "scene.tif", squares(1700, PLACES))
    with Scene.open(path) as scene:
        result = saliency_of(scene, model)
    assert result.windows == ()
    assert result.saliency.sum() == pytest.approx(len(PLACES), rel=0.2)
    assert result.cell_px == 32


def test_the_result_does_not_depend_on_the_order_of_reading(tmp_path, model, monkeypatch):
    path = write(tmp_path / "scene.tif", squares(1700, PLACES))

    def backwards(planned, *, batch_px):
        return in_file_order(list(planned)[::-1], batch_px=batch_px)[::-1]

    with Scene.open(path) as scene:
        one = detect(scene, model, DetectOptions(budget=Budget(full=True)))
        monkeypatch.setattr("geopdn.engine.rounds.in_file_order", backwards)
        other = detect(scene, model, DetectOptions(budget=Budget(full=True)))
    assert np.array_equal(one.detections.boxes, other.detections.boxes)
    assert np.array_equal(one.detections.window, other.detections.window)
    assert one.windows == other.windows


def test_ownership_and_cuts_at_window_edges():
    size, core = Size(2000, 2000), Window(448, 0, 448, 448)
    boxes = np.array([[10.0, 500, 8, 4, 0], [10, 440, 8, 4, 0], [449, 500, 8, 4, 0], [460, 500, 8, 4, 0]])
    assert in_core(boxes, core, size).tolist() == [True, False, True, False]
    window = Window(416, -32, 512, 512)
    edges = np.array([[2.0, 600, 30, 4, 0], [478, 600, 30, 4, 0], [100, 420, 4, 30, 0], [100, 600, 30, 4, 0]])
    assert is_cut(edges, window, size).tolist() == [False, True, True, False]


def test_the_audit_looks_where_nothing_was_and_says_what_is_left(tmp_path, model):
    path = write(tmp_path / "scene.tif", squares(1700, PLACES))
    results = []
    for _ in range(2):
        with Scene.open(path) as scene:
            results.append(detect(scene, model, DetectOptions(budget=Budget(windows=1), audit=3)))
    facts = results[0].facts["audit"]
    drawn = [w for w in results[0].windows if w.reason == "audit"]
    assert facts["windows"] == len(drawn) == 3
    assert facts == results[1].facts["audit"]
    assert sum(w.found for w in drawn) == facts["found"]
    left = len(PLACES) - len(results[0].detections)
    assert facts["low"] <= left <= facts["high"]
    assert facts["left"] > 0


def test_the_audit_of_all_that_is_left_finds_all(tmp_path, model):
    path = write(tmp_path / "scene.tif", squares(1700, PLACES))
    with Scene.open(path) as scene:
        result = detect(scene, model, DetectOptions(budget=Budget(windows=1), audit=99))
    assert len(result.detections) == len(PLACES)
    assert result.facts["audit"]["left"] == result.facts["audit"]["high"] == 0
    with Scene.open(path) as scene:
        result = detect(scene, model, DetectOptions(budget=Budget(full=True), audit=5))
    assert result.facts["audit"]["windows"] == result.facts["audit"]["high"] == 0
