"""Training samples: augmentation moves boxes with their pixels, samples are functions of seed and number."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
import yaml
from affine import Affine

from geopdn.config import TrainConfig
from geopdn.errors import ConfigError
from geopdn.train.places import find_scenes
from geopdn.train.samples import Symmetry, collate
from geopdn.train.stream import EpochSamples, TrainingScenes

SIDE = 640
TRANSFORM = Affine.translation(500000, 5000000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)


def write_scene(folder, name, *, seed, oriented):
    """Bright bars on dark ground, labelled on the map; the scene itself is rotated by 30 degrees."""
    rng = np.random.default_rng(seed)
    image = rng.integers(20, 60, (3, SIDE, SIDE)).astype(np.uint8)
    rows, cols = np.mgrid[:SIDE, :SIDE] + 0.5
    shapes = []
    for k in range(14):
        x, y = 60 + 170 * (k % 4) + rng.uniform(-20, 20), 60 + 150 * (k // 4) + rng.uniform(-20, 20)
        angle = rng.uniform(-1.5, 1.5) if oriented else 0.0
        u = (cols - x) * np.cos(angle) + (rows - y) * np.sin(angle)
        v = -(cols - x) * np.sin(angle) + (rows - y) * np.cos(angle)
        image[:, (abs(u) <= 20) & (abs(v) <= 7)] = 250
        ring = [(20, 7), (-20, 7), (-20, -7), (20, -7)]
        pixel = [
            (x + a * np.cos(angle) - b * np.sin(angle), y + a * np.sin(angle) + b * np.cos(angle)) for a, b in ring
        ]
        shapes.append(shapely.Polygon([TRANSFORM @ point for point in pixel]))
    with rasterio.open(
        folder / f"{name}.tif",
        "w",
        driver="GTiff",
        width=SIDE,
        height=SIDE,
        count=3,
        dtype="uint8",
        crs="EPSG:32631",
        transform=TRANSFORM,
        tiled=True,
        blockxsize=128,
        blockysize=128,
    ) as out:
        out.write(image)
        out.colorinterp = [rasterio.enums.ColorInterp[c] for c in ("red", "green", "blue")]
    frame = gpd.GeoDataFrame({"label": ["bar"] * len(shapes)}, geometry=shapes, crs="EPSG:32631")
    frame.to_crs("EPSG:4326").to_file(folder / f"{name}.gpkg", layer="labels")


def config_for(folder, *, oriented, **training):
    record = {
        "name": "bars",
        "model": {
            "classes": ["bar"],
            "bands": ["red", "green", "blue"],
            "pixel_size_m": 0.5,
            "radiometry": {"kind": "fixed", "low": [0], "high": [255]},
            "kinds": [{"extent": 512, "level": 0, "halo": 32}, {"extent": 1024, "level": 1, "halo": 64}],
            "has_heading": oriented,
            "neck": 16,
            "grid": 16,
            "dim": 32,
        },
        "data": {
            "root": str(folder),
            "sources": [{"scenes": "*.tif", "labels": "{stem}.gpkg"}],
            "validation": ["c"],
            "calibration": ["b"],
        },
        "training": {
            "region_px": 512, "window_px": 128, "batch": 2, "steps": 4, "checkpoint_every": 2, "gain": 0.0,
            "level_shares": [0.6, 0.4], "rotation_deg": 45 if oriented else 0, **training,
        },
    }  # fmt: skip
    (folder / "bars.yaml").write_text(yaml.safe_dump(record))
    return TrainConfig.model_validate(record)


@pytest.fixture(scope="module", params=[True, False], ids=["oriented", "upright"])
def bars(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    for seed, name in enumerate("abc"):
        write_scene(folder, name, seed=seed, oriented=request.param)
    config = config_for(folder, oriented=request.param)
    scenes = find_scenes(config.data, base=folder)
    return config, scenes, TrainingScenes([s for s in scenes if s.split == "train"], config=config)


def test_boxes_stay_on_their_pixels_through_every_augmentation(bars):
    _, _, stream = bars
    stride, seen = 4, 0
    for index in range(24):
        sample = stream.sample(index)
        side = sample.windows.shape[-1]
        for i in range(len(sample.windows)):
            image = sample.windows[i].mean(0).numpy()
            for row, col in zip(*np.nonzero(sample.heat[i, 0].numpy() == 1), strict=True):
                x, y, length, width, angle = sample.box[i, :, row, col].double().numpy()
                x, y, length, width = x * stride, y * stride, np.exp(length) * stride, np.exp(width) * stride
                if not (length < x < side - length and length < y < side - length):
                    continue
                seen += 1
                for u, v in ((0, 0), (0.36, 0.15), (-0.36, 0.15), (0.36, -0.15), (-0.36, -0.15)):
                    px = x + u * length * np.cos(angle) - v * width * np.sin(angle)
                    py = y + u * length * np.sin(angle) + v * width * np.cos(angle)
                    assert image[int(py), int(px)] > 0.6
                for u, v in ((0.7, 0), (0, 1.2)):
                    px = x + u * length * np.cos(angle) - v * width * np.sin(angle)
                    py = y + u * length * np.sin(angle) + v * width * np.cos(angle)
                    if 0 <= px < side and 0 <= py < side:
                        assert image[int(py), int(px)] < 0.6
    assert seen > 20


def test_counts_lie_where_the_overview_is_bright(bars):
    _, _, stream = bars
    for index in range(8):
        sample = stream.sample(index)
        bright = torch.nn.functional.max_pool2d(sample.overview[None, :1], 4)[0, 0]
        where = torch.nonzero(sample.counts.sum(0))
        assert len(where) > 0
        assert all(float(bright[r, c]) > 0.3 for r, c in where)


def test_ignore_regions_stay_on_their_pixels_and_leave_labelled_objects(tmp_path):
    """Regions on all bars but the first row of four: nothing there is background, in windows and in cells."""
    write_scene(tmp_path, "a", seed=0, oriented=True)
    labels = gpd.read_file(tmp_path / "a.gpkg")
    labels[:4].to_file(tmp_path / "a.gpkg", layer="labels")
    labels[4:].assign(geometry=labels[4:].to_crs("EPSG:32631").buffer(3).to_crs("EPSG:4326")).to_file(
        tmp_path / "ignore.geojson"
    )
    config = config_for(tmp_path, oriented=True, object_share=0.2)
    source = config.data.sources[0].model_copy(update={"ignore_regions": "ignore.geojson"})
    data = config.data.model_copy(update={"sources": (source,), "validation": (), "calibration": ()})
    stream = TrainingScenes(find_scenes(data, base=tmp_path), config=config)
    silent_bright, told_bright, n_silent_cells = 0, 0, 0
    for index in range(16):
        sample = stream.sample(index)
        bright = torch.nn.functional.avg_pool2d(sample.windows.mean(1), 4) > 0.8
        near = sample.heat.amax(1) > 0.01
        silent_bright += int((bright & (sample.told == 0)).sum())
        told_bright += int((bright & (sample.told == 1) & ~near & ~_around(sample.heat.amax(1))).sum())
        assert (sample.told[near] == 1).all(), "labels tell near labelled objects"
        n_silent_cells += int((sample.cell_valid == 0).sum())
        assert not (sample.counts.sum(0, keepdim=True) * (sample.cell_valid == 0)).any()
    assert silent_bright > 100
    assert told_bright < 0.02 * silent_bright, "every bright bar is labelled or in a region"
    assert n_silent_cells > 50


def _around(heat):
    """Positions within reach of a labelled bar: its pixels are bright farther out than its target."""
    return torch.nn.functional.max_pool2d((heat > 0.5).float()[:, None], 15, 1, 7)[:, 0] > 0


def test_ignore_regions_that_do_not_exist_are_refused(bars, tmp_path):
    config, _, _ = bars
    source = config.data.sources[0].model_copy(update={"ignore_regions": "nowhere.geojson"})
    with pytest.raises(ConfigError, match=r"ignore regions .*nowhere\.geojson do not exist"):
        find_scenes(config.data.model_copy(update={"sources": (source,)}), base=tmp_path)


def test_a_sample_is_a_function_of_seed_and_number(bars):
    _, _, stream = bars
    ahead = EpochSamples(stream, start=3, length=4)
    for offset in range(4):
        one, other = stream.sample(3 + offset), ahead[offset]
        assert torch.equal(one.windows, other.windows)
        assert torch.equal(one.overview, other.overview)
    assert not torch.equal(stream.sample(0).windows, stream.sample(1).windows)


def test_a_batch_keeps_the_windows_of_its_regions_in_order(bars):
    _, _, stream = bars
    parts = [stream.sample(i) for i in range(3)]
    batch = collate(parts)
    assert torch.equal(batch.windows[2:4], parts[1].windows)
    assert torch.equal(batch.counts[2], parts[2].counts)
    offsets = batch.objects[:, 0].long() // 2
    assert torch.equal(batch.objects[offsets == 1][:, 1:], parts[1].objects[:, 1:])


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("cols", [False, True])
def test_symmetries_move_pixels_and_boxes_alike(transpose, rows, cols):
    symmetry = Symmetry(transpose, rows, cols)
    image = torch.zeros(1, 40, 40)
    image[0, 5:8, 20:34] = 1
    box = symmetry.on_boxes(np.array([[27.0, 6.5, 14, 3, 0.0]]), side=40.0)[0]
    turned = symmetry.on_tensor(image)[0].numpy()
    y, x = np.nonzero(turned)
    assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx((box[0], box[1]))
    assert abs(np.cos(box[4])) * 14 + abs(np.sin(box[4])) * 3 == pytest.approx(np.ptp(x) + 1)


def test_places_are_split_whole_and_unknown_ones_refused(bars, tmp_path):
    config, scenes, _ = bars
    assert {s.place: s.split for s in scenes} == {"a": "train", "b": "calibration", "c": "validation"}
    wrong = config.data.model_copy(update={"validation": ("nowhere",)})
    with pytest.raises(ConfigError, match="nowhere"):
        find_scenes(wrong, base=tmp_path)
    both = config.data.model_copy(update={"validation": ("b",)})
    with pytest.raises(ConfigError, match="both"):
        find_scenes(both, base=tmp_path)
