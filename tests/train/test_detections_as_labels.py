"""What a detector found is what the saliency learns from: a detection file is accepted as labels, as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine
from networks import deepness, moments_network, save

from geopdn.cli.main import run
from geopdn.config import TrainConfig
from geopdn.config_file import load_train_config
from geopdn.errors import LabelError
from geopdn.evaluate.labels import read_labels
from geopdn.scene import Scene
from geopdn.scene.frame import frame_of
from geopdn.train.places import find_scenes
from geopdn.train.stream import TrainingScenes

# Nobody has reviewed them, which is what the warning says.
pytestmark = pytest.mark.filterwarnings("ignore:none of the .* is reviewed:geopdn.errors.ReviewWarning")

SIDE, SQUARE = 640, 12
N_SQUARES = {"a": 9, "b": 7, "c": 5, "d": 0}
TRANSFORM = Affine.translation(500000, 5000000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)


def write_scene(path, *, seed, n):
    """Bright squares; returns their centres (x, y) in pixels."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 12, (3, SIDE, SIDE)).astype(np.uint8)
    places = [(60 + 130 * (k % 4), 60 + 130 * (k // 4)) for k in range(n)]
    for row, col in places:
        image[:, row : row + SQUARE, col : col + SQUARE] = 255
    profile = {"driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8", "photometric": "rgb"}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=TRANSFORM, **profile) as out:
        out.write(image)
    return np.array([(col + SQUARE / 2, row + SQUARE / 2) for row, col in places]).reshape(-1, 2)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A folder of scenes and, in `found`, what `geopdn detect --detector` wrote of them; and the truth."""
    folder = tmp_path_factory.mktemp("scenes")
    truth = {name: write_scene(folder / f"{name}.tif", seed=n, n=n) for name, n in N_SQUARES.items()}
    detector = save(moments_network(tile=256, side=SQUARE, layout="yolov8"), folder / "d.onnx", **deepness())
    (folder / "found").mkdir()
    scenes = [str(folder / f"{name}.tif") for name in truth]
    with pytest.raises(SystemExit) as stop:
        run(["detect", *scenes, "--detector", str(detector), "--budget", "full", "-o", str(folder / "found"), "-q"])
    assert not stop.value.code
    return folder, truth


def test_detections_are_read_as_labels_at_their_place(found):
    folder, truth = found
    for name, centres in truth.items():
        with Scene.open(folder / f"{name}.tif") as scene:
            path = folder / "found" / f"{name}.detections.gpkg"
            labels = read_labels(path, frame_of(scene), names=("red", "blue"), upright=True, allow_empty=True)
        assert labels.boxes[np.lexsort(labels.boxes[:, :2].T), :2] == pytest.approx(
            centres[np.lexsort(centres.T)], abs=0.02
        )
        assert labels.boxes[:, 2:4] == pytest.approx(np.full((len(centres), 2), SQUARE), abs=0.1)
        assert not labels.labels.any()
        assert not labels.ignore.any()


def test_the_configuration_in_the_documentation_is_one():
    text = (Path(__file__).parents[2] / "docs" / "detectors.md").read_text()
    config = TrainConfig.model_validate(yaml.safe_load(text.partition("```yaml")[2].partition("```")[0]))
    assert config.data.sources[0].labels == "found/{stem}.detections.gpkg"


def test_a_class_that_the_model_does_not_know_is_named(found):
    folder, _ = found
    with Scene.open(folder / "a.tif") as scene, pytest.raises(LabelError, match="'red'"):
        read_labels(folder / "found" / "a.detections.gpkg", frame_of(scene), names=("blue",))


def test_training_samples_are_made_of_them(found):
    folder, truth = found
    record = {
        "name": "squares",
        "model": {
            "classes": ["red", "blue"],
            "bands": ["red", "green", "blue"],
            "pixel_size_m": 0.5,
            "radiometry": {"kind": "fixed", "low": [0], "high": [255]},
            "has_heading": False,
        },
        "data": {
            "root": str(folder),
            "sources": [{"scenes": "*.tif", "labels": "found/{stem}.detections.gpkg"}],
            "calibration": ["c"],
        },
        "training": {"region_px": 512, "window_px": 128, "windows": 1, "batch": 1, "gain": 0.0},
    }
    (folder / "squares.yaml").write_text(yaml.safe_dump(record))
    config = load_train_config(folder / "squares.yaml")
    scenes = [scene for scene in find_scenes(config.data, base=folder) if scene.split == "train"]
    stream = TrainingScenes(scenes, config=config)
    assert stream.n_objects == [len(truth[name]) for name in "abd"]
    total = 0.0
    for index in range(6):
        sample = stream.sample(index)
        bright = sample.overview[0].reshape(16, 4, 16, 4).amax((1, 3))
        counts = sample.counts.sum(0)
        assert (bright[counts > 0] > 0.3).all()
        total += float(counts.sum())
    assert total > 10
