"""Earlier dates beside a search: what they change, what they must not, and dates that cannot be read."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from geopdn.budget import Budget
from geopdn.config import ModelConfig, RadiometryConfig, WindowKind
from geopdn.engine import DetectOptions, detect, saliency_of
from geopdn.errors import ConfigError, EarlierDateWarning, GeopdnWarning, SceneError
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.weights import LoadedModel, WeightsHeader
from geopdn.scene import Scene
from geopdn.scene.dates import days_between, nearest_in_time

SIDE = 1024
TRANSFORM = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def loaded(*, dates, seed=0):
    torch.manual_seed(seed)
    config = ModelConfig(
        classes=("target",),
        bands=("1",),
        pixel_size_m=0.5,
        radiometry=RadiometryConfig(kind="fixed", low=(0.0,), high=(255.0,)),
        kinds=(WindowKind(extent=256, level=0, halo=32),),
        neck=16,
        grid=16,
        dim=32,
        dates=dates,
    )
    net = PatchDriveNet(config=config).eval()
    if dates:
        torch.nn.init.normal_(net.temporal.cells.out.weight, std=2.0)
    return LoadedModel(net, WeightsHeader(name="tiny", model=config), digest="tiny")


@pytest.fixture
def write(tmp_path):
    def write(name, *, seed, transform=TRANSFORM, side=SIDE, **profile):
        path = tmp_path / name
        image = np.random.default_rng(seed).integers(0, 255, (side, side)).astype(np.uint8)
        with rasterio.open(
            path, "w", driver="GTiff", count=1, height=side, width=side, dtype="uint8", tiled=True, blockxsize=256,
            blockysize=256, crs="EPSG:32631", transform=transform, compress="deflate", **profile,
        ) as out:  # fmt: skip
            out.write(image, 1)
            out.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
        return path

    return write


def rates(path, previous, model):
    with Scene.open(path) as scene:
        opened = [Scene.open(one) for one in previous]
        try:
            return saliency_of(scene, model, previous=opened)
        finally:
            for one in opened:
                one.close()


def test_dates_change_the_expected_counts_where_they_show_something(write):
    now, model = write("now.tif", seed=0), loaded(dates=True)
    half = write("then.tif", seed=1, transform=TRANSFORM @ Affine.translation(0, SIDE // 2))
    plain, dated = rates(now, [], model), rates(now, [half], model)
    assert dated.facts["previous"] == ["then.tif"]
    assert "previous" not in plain.facts
    changed = np.abs(dated.saliency - plain.saliency) > 1e-9
    assert changed[SIDE // 32 // 2 + 1 :].mean() > 0.9
    assert not changed[: SIDE // 32 // 2].any()
    assert dated.facts["config_hash"] != plain.facts["config_hash"]


def test_the_order_in_which_dates_are_given_changes_nothing_that_is_found(write):
    now, model = write("now.tif", seed=0), loaded(dates=True)
    first, second = write("a.tif", seed=1), write("b.tif", seed=2)
    one, other = rates(now, [first, second], model), rates(now, [second, first], model)
    assert np.allclose(one.saliency, other.saliency, rtol=1e-4)


def test_a_date_that_cannot_be_read_everywhere_is_missing_there_and_a_warning_says_so(write):
    now, then, model = write("now.tif", seed=0), write("then.tif", seed=1), loaded(dates=True)
    plain = rates(now, [], model)
    content = bytearray(then.read_bytes())
    for options in ({}, *({"overview_level": level} for level in range(3))):
        with rasterio.open(then, **options) as coarse:
            for row in range(-(-coarse.height // 256)):
                for col in range(-(-coarse.width // 256)):
                    where, size = (
                        int(coarse.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=1))
                        for what in ("OFFSET", "SIZE")
                    )
                    content[where : where + size] = b"\xff" * size
    then.write_bytes(content)
    with pytest.warns(GeopdnWarning) as caught:
        dated = rates(now, [then], model)
    assert [w.category for w in caught].count(EarlierDateWarning) == 1
    assert any("then.tif cannot be read everywhere" in str(w.message) for w in caught)
    assert np.allclose(dated.saliency, plain.saliency)
    assert dated.facts["n_failed"] == 0  # nothing of the scene itself was missed


def test_a_search_with_dates_keeps_its_budget_and_is_repeatable(write):
    now, then, model = write("now.tif", seed=0), write("then.tif", seed=1), loaded(dates=True)
    results = []
    for _ in range(2):
        with Scene.open(now) as scene, Scene.open(then) as other:
            options = DetectOptions(budget=Budget(windows=3), min_score=0.001)
            results.append(detect(scene, model, options, previous=[other]))
    first, second = results
    assert first.facts["n_windows"] <= 3
    assert [w.core for w in first.windows] == [w.core for w in second.windows]
    assert np.array_equal(first.detections.boxes, second.detections.boxes)


def test_models_that_know_no_dates_and_scenes_of_other_ground_are_refused(write):
    now, then = write("now.tif", seed=0), write("then.tif", seed=1)
    far = write("far.tif", seed=2, transform=TRANSFORM @ Affine.translation(9_000, 0))
    with pytest.raises(ConfigError, match=r"tiny has learnt nothing from earlier dates: leave then.tif out"):
        rates(now, [then], loaded(dates=False))
    with pytest.raises(SceneError, match=r"far.tif does not overlap now.tif"):
        rates(now, [far], loaded(dates=True))
    with pytest.raises(ConfigError, match=r"9 earlier dates of now.tif: expected at most 8"):
        rates(now, [then] * 9, loaded(dates=True))


@pytest.mark.parametrize(
    ("first", "second", "days"),
    [
        ("2024-05-01", "2024-05-11", 10.0),
        ("2024-05-11T12:00:00", "2024-05-01", 10.5),
        ("2024-05-01T00:00:00+00:00", "2024-05-01T12:00:00", 0.5),
        ("", "2024-05-01", 0.0),
        ("yesterday", "2024-05-01", 0.0),
    ],
)
def test_days_between_two_times(first, second, days):
    assert days_between(first, second) == days


def test_of_too_many_dates_the_nearest_in_time_are_taken():
    class Dated:
        def __init__(self, datetime):
            self.datetime = datetime

    others = [Dated(text) for text in ("2020-01-01", "", "2024-05-03", "2024-04-01", "2024-05-09")]
    chosen = nearest_in_time(Dated("2024-05-01"), others, most=3)
    assert [one.datetime for one in chosen] == ["2024-05-03", "2024-04-01", "2024-05-09"]
    assert nearest_in_time(Dated(""), others, most=2) == others[:2]
    assert nearest_in_time(Dated(""), others, most=9) == others
