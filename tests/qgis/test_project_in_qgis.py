"""QGIS opens a project of the sample scene, also after the folder has moved, and draws detections on the scene."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from headless_qgis import in_qgis

from geopdn.cli.project import write_project_of
from geopdn.detections import Detections, RunResult, SceneFrame, WindowRecord
from geopdn.geometry.window import Window
from geopdn.output.saliency import write_saliency
from geopdn.output.write import write_result
from geopdn.scene import Scene

pytestmark = pytest.mark.qgis

SAMPLES = Path(__file__).parents[2] / "sample_scenes"
PINK = (255, 45, 120)

OPEN = """
project = QgsProject.instance()
read = project.read(sys.argv[1])
nodes = project.layerTreeRoot().findLayers()
extent = project.viewSettings().defaultViewExtent()
layers = [node.layer() for node in nodes]
seen = {
    "read": read, "error": project.error(), "crs": project.crs().authid(), "problems": problems,
    "names": [node.name() for node in nodes],
    "valid": [bool(layer) and layer.isValid() for layer in layers],
    "sources": [layer.source() for layer in layers],
    "extent": [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()],
    "styles": {
        layer.name(): [layer.styleManager().currentStyle(), sorted(layer.styleManager().styles())] for layer in layers
    },
    "aliases": [field.alias() for field in layers[0].fields()],
    "tips": [layer.mapTipTemplate() != "" for layer in layers[:3]],
    "labels": [layer.labelsEnabled() for layer in layers[:2]],
}
settings = QgsMapSettings()
settings.setDestinationCrs(project.crs())
settings.setOutputSize(QSize(400, 400))
settings.setExtent(extent)
shown = [node.layer() for node in nodes if node.isVisible()]
for name, drawn in (("all", shown), ("scene", layers[-1:]), ("counts", layers[-2:])):
    settings.setLayers(drawn)
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(os.path.join(sys.argv[2], name + ".png"))
for name in layers[1].styleManager().styles():
    layers[1].styleManager().setCurrentStyle(name)
    seen[name] = layers[1].renderer().type(), layers[1].renderer().classAttribute()
"""


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory) -> Path:
    """The sample scene, a made-up result on it, its expected counts, and a project of them."""
    folder = tmp_path_factory.mktemp("project") / "a folder & <more>"
    (folder / "scenes").mkdir(parents=True)
    scene = Path(shutil.copy(SAMPLES / "airport.tif", folder / "scenes" / "airport.tif"))
    with Scene.open(scene) as opened:
        frame = SceneFrame("airport.tif", opened.size, opened.transform, opened.crs)
    boxes = np.array([[x, y, 300, 300, 0] for x in (1000, 2000, 3000) for y in (1000, 3000)], float)
    n = len(boxes)
    zeros = np.zeros(n, np.int64)
    saliency = np.zeros((64, 64), np.float32)
    saliency[40:44, 40:44] = 1.2
    result = RunResult(
        frame=frame,
        classes=("aircraft",),
        has_heading=True,
        detections=Detections(boxes, np.full(n, 0.9), zeros, zeros, zeros, np.zeros(n, bool)).in_canonical_order(),
        windows=(WindowRecord(0, Window(0, 0, 512, 512), Window(0, 0, 512, 512), "512", "plan", 0, 1.0),),
        facts={"model": "m", "pixel_size_m": 0.5, "share": 0.1, "n_windows": 1, "estimated_recall": 0.9},
        saliency=saliency,
        cell_px=64,
    )
    output = write_result(result, folder / "found.gpkg")
    counts = write_saliency(result, folder / "counts.tif")
    write_project_of(output, folder / "found.qgz", scene=str(scene), saliency=counts)
    return folder


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as image:
        return image.read((1, 2, 3)).astype(int)


def near(image: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    return (np.abs(image - np.array(colour)[:, None, None]) < 30).all(0)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_project_opens_complete_after_its_folder_has_moved(folder, tmp_path) -> None:
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    shutil.move(folder / "scenes", folder / "gone")  # where it pointed to nothing is left
    (folder / "found.gpkg").rename(folder / "gone.gpkg")
    seen = in_qgis(OPEN, moved / "found.qgz", tmp_path, home=tmp_path / "home")
    assert (seen["read"], seen["error"], seen["crs"], seen["problems"]) == (True, "", "EPSG:32631", [])
    assert seen["names"] == ["detections", "windows", "footprint", "expected objects", "airport.tif"]
    assert all(seen["valid"])
    assert all(source.startswith(str(moved)) for source in seen["sources"])
    west, south, east, north = seen["extent"]
    assert (west, north) == (pytest.approx(431_000 - 41, abs=1), pytest.approx(4_870_000 + 41, abs=1))
    assert (east - west, north - south) == (pytest.approx(2048 * 1.04), pytest.approx(2048 * 1.04))
    assert seen["styles"]["detections"] == ["by class", ["by class", "by review", "by score"]]
    assert seen["styles"]["windows"] == ["by scale", ["by order of visit", "by scale"]]
    assert seen["by order of visit"] == ["graduatedSymbol", "id"]
    assert seen["by scale"][0] == "categorizedSymbol"
    assert "Length (m)" in seen["aliases"]
    assert seen["tips"] == [True] * 3
    assert seen["labels"] == [True, True]

    scene, everything, counts = (pixels(tmp_path / f"{name}.png") for name in ("scene", "all", "counts"))
    side = 2048 * 1.04 / 400  # metres a pixel
    at = lambda px: round((px * 0.5 + 2048 * 0.02) / side)  # noqa: E731
    boxes = np.zeros((400, 400), bool)
    for x in (1000, 2000, 3000):
        for y in (1000, 3000):
            edge = near(everything, PINK)[at(y - 150) - 2 : at(y + 150) + 3, at(x - 150) - 2 : at(x + 150) + 3]
            assert edge.sum() > 60  # the outline of about 28 pixels a side
            assert not edge[8:-8, 8:-8].any()  # hollow
            boxes[at(y - 150) - 3 : at(y + 150) + 4, at(x - 150) - 3 : at(x + 150) + 4] = True
    assert not near(everything, PINK)[~boxes].any()
    assert not near(scene, PINK).any()
    inside = slice(12, 388)
    same = (np.abs(everything - scene).max(0) <= 2)[inside, inside]
    assert same.mean() > 0.9  # the imagery stays visible
    assert scene[:, inside, inside].std() > 20
    changed = np.argwhere(np.abs(counts - scene).max(0) > 10)
    low, high = at(40 * 64), at(44 * 64)
    assert len(changed) > 0.8 * (high - low) ** 2  # the expected counts, and nothing where none are expected
    assert changed.min() >= low - 1
    assert changed.max() <= high + 1


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_scene_of_16_bits_is_bright_enough_to_see(tmp_path) -> None:
    scene = Path(shutil.copy(SAMPLES / "harbour.tif", tmp_path / "harbour.tif"))
    with Scene.open(scene) as opened:
        frame = SceneFrame("harbour.tif", opened.size, opened.transform, opened.crs)
    result = RunResult(frame, ("vessel",), False, Detections.empty(), (), {"pixel_size_m": 10.0})
    output = write_result(result, tmp_path / "found.gpkg")
    write_project_of(output, tmp_path / "found.qgz", scene=str(scene))
    seen = in_qgis(OPEN.replace("layers[-2:]", "layers[-1:]"), tmp_path / "found.qgz", tmp_path, home=tmp_path / "home")
    assert (seen["read"], seen["problems"], all(seen["valid"])) == (True, [], True)
    image = pixels(tmp_path / "scene.png")[:, 12:388, 12:388]
    assert 20 < image.mean() < 225  # most of it is water
    assert image.std() > 25
