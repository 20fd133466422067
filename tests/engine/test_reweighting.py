"""A controller's advice changes how far a search goes, and is shown what the search saw."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from exact import exact_config, exact_model

from geopdn.budget import Budget
from geopdn.coverage import Coverage
from geopdn.detections import Detections
from geopdn.engine import DetectOptions, detect
from geopdn.engine.drive import Search, drive
from geopdn.engine.reweighting import Brought, Reweighting
from geopdn.engine.run import own_stage
from geopdn.geometry.window import Size
from geopdn.ledger import Ledger
from geopdn.model.advice import SCALE_LIMITS
from geopdn.scene import Scene

SIDE = 4096
HIGH = 25_500
HAZE = 1_537  # a little brighter than dark ground: 16 objects are expected there, and none is


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Three targets on dark ground, and a haze that looks as if it held many more."""
    path = tmp_path_factory.mktemp("scenes") / "scene.tif"
    image = np.full((SIDE, SIDE), 800, np.uint16)
    image[:, SIDE // 2 :] = HAZE
    for row, col in [(700, 300), (720, 340), (3600, 200)]:
        image[row : row + 12, col : col + 12] = HIGH
    profile = {"driver": "GTiff", "count": 1, "height": SIDE, "width": SIDE, "dtype": "uint16", "tiled": True}
    transform = Affine(0.5, 0, 500000, 0, -0.5, 5000000)
    with rasterio.open(path, "w", crs="EPSG:32631", transform=transform, compress="deflate", **profile) as out:
        out.write(image, 1)
    return path


def model_saying(log_scale: float, *, controller: bool = True):
    """One whose controller says the same whatever it is told."""
    config = exact_config(bands=("1",), high=float(HIGH), pixel_size_m=0.5).model_copy(
        update={"controller": controller}
    )
    model = exact_model(config)
    with torch.no_grad():
        model.net.patch_drive_controller.out.bias[-2] = log_scale
    return model


def windows_of(path, model, **options):
    with Scene.open(path) as source:
        result = detect(source, model, DetectOptions(budget=Budget(recall=0.9), **options))
    return [record.window for record in result.windows], result


def test_a_search_that_is_told_that_little_is_left_stops_earlier(scene):
    little, found = windows_of(scene, model_saying(SCALE_LIMITS[0]))
    plain, _ = windows_of(scene, model_saying(0.0))
    alone, _ = windows_of(scene, model_saying(SCALE_LIMITS[0]), drive="gamma-poisson")
    without, _ = windows_of(scene, model_saying(SCALE_LIMITS[0], controller=False))
    assert len(little) < len(plain)
    assert plain == alone == without
    assert len(found.detections) == 3
    assert found.facts["estimated_recall"] >= 0.9


def test_a_search_goes_on_from_its_ledger_with_advice(scene, tmp_path):
    model = model_saying(-0.4)
    whole, _ = windows_of(scene, model)
    options = DetectOptions(budget=Budget(recall=0.9))
    read = []
    for resume in (False, True):
        with Ledger.open(tmp_path / "o.gpkg", resume=resume) as ledger, Scene.open(scene) as source:
            read.append([record.window for record in detect(source, model, options, ledger=ledger).windows])
    assert read == [whole, whole]


def test_every_round_is_shown_as_the_windows_saw_it(scene):
    turns = []
    model = model_saying(-0.4)
    with Scene.open(scene) as source:
        stage = own_stage(source, model)

        def watch(turn):
            turns.append((turn.told, turn.grid.copy(), turn.log_factor.copy(), turn.coverage.seen.copy()))

        options = DetectOptions(budget=Budget(recall=0.9))
        drive(Search(stage, options, "cpu", 0.3, 0.3, lambda _: None, watch=watch), None)
    assert len(turns) > 2
    told = [turn[0] for turn in turns]
    assert [t.n_found for t in told] == sorted(t.n_found for t in told)
    assert told[0].pooled.shape[1] == model.net.config.dim
    assert told[-1].seen_share == turns[-1][3].mean()
    assert turns[0][1].shape == (model.net.config.grid, SIDE // 128, SIDE // 128)
    assert turns[0][2].shape == (SIDE // 32, SIDE // 32)


def test_without_features_there_is_the_evidence_alone():
    config = exact_config(bands=("1",), high=float(HIGH), pixel_size_m=0.5)
    coverage = Coverage(
        np.full((1, 64, 64), 0.01, np.float32),
        np.full((2, 1), 0.9),
        kinds=config.kinds,
        cell_px=32,
        size=Size(2048, 2048),
    )
    reweighting = Reweighting(coverage, controller=None, min_score=0.3, grid_px=0)
    assert not reweighting.listens
    factors = reweighting.heard(Brought([], [], [], Detections.empty()), None)()
    assert factors.shape == (64, 64)
    assert not factors.any()
