"""`geopdn export`: files in a folder, all or none; the detector finds in a scene what the network itself finds."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window

from geopdn.errors import ExportError

SAMPLE = Path(__file__).parents[2] / "sample_scenes" / "airport.tif"
CROP = Window(512, 640, 1024, 1024)


@pytest.fixture(scope="module")
def aircraft(tmp_path_factory):
    """The detector of shipped weights, written by the command, and what the command said."""
    from geopdn.cli.main import run

    folder, said = tmp_path_factory.mktemp("exported"), io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as stop:
        run(["export", "aircraft-50cm", "--part", "detector", "-o", str(folder / "new")])
    assert stop.value.code == 0
    return folder / "new" / "aircraft-50cm.detector.onnx", said.getvalue()


@pytest.fixture
def crop(tmp_path):
    """A part of the sample scene at the detector's own level, 1 m: means of 2 x 2 pixels."""
    with rasterio.open(SAMPLE) as source:
        pixels = source.read(window=CROP).reshape(3, 512, 2, 512, 2).mean((2, 4)).round().astype(np.uint8)
        transform = source.window_transform(CROP) @ Affine.scale(2)
        options = {"crs": source.crs, "transform": transform, "photometric": "rgb"}
    path = tmp_path / "crop.tif"
    with rasterio.open(path, "w", driver="GTiff", width=512, height=512, count=3, dtype="uint8", **options) as out:
        out.write(pixels)
    return path


@pytest.fixture
def stub(monkeypatch):
    """Parts without the work; the names in the list that it gives fail."""
    from geopdn.model import export as module

    failing = []

    def part(model, name):
        if name in failing:
            raise ExportError(f"part {name} of {model.header.name} cannot be written as ONNX: tracing")
        return module.OnnxPart(name, name.encode(), {"images": ("n", 3, "side")}, {"out": (1, 2)}, 1e-6)

    monkeypatch.setattr(module, "export_part", part)
    return failing


def test_the_summary_says_what_goes_in_and_comes_out(aircraft):
    path, said = aircraft
    assert path.stat().st_size > 5e6
    assert list(path.parent.iterdir()) == [path]
    for text in (
        f"Wrote {path} (",
        "which answer as PyTorch does",
        "detector takes images [1, 3, 512, 512] and gives output [1, 16384, 6]",
        "bands red, green, blue, physical values (stored * scale + offset) 0 to 255 as 0 to 1",
        "Licence of the weights: CC-BY-NC-SA-4.0",
    ):
        assert text in said
    assert said.count("\n") == 1


def test_the_detector_finds_in_a_scene_what_the_network_finds(cli, aircraft, crop, tmp_path):
    from geopdn.detectors import DetectorSpec, from_function
    from geopdn.detectors.card import Card
    from geopdn.detectors.onnx_file import load_onnx
    from geopdn.engine import detect_with
    from geopdn.model.weights import find_weights, load_weights
    from geopdn.scene import Scene
    from geopdn.scene.resample import resample

    done = cli("detect", crop, "--detector", aircraft[0], "--json")
    assert done.code == 0, done.err
    assert "by its geopdn header and Deepness keys: aircraft; tiles of 512 px, pixels of 1 m" in done.err
    table = geopandas.read_file(tmp_path / "crop.detections.gpkg", layer="detections")
    model = load_weights(find_weights("aircraft-50cm"))
    spec: DetectorSpec = load_onnx(aircraft[0], stated=Card())[0].spec
    assert spec.min_score == model.header.min_score

    def find(patch):
        with torch.inference_mode():
            maps = model.net.inspect(torch.from_numpy(patch)[None], None)[1]
            found = model.net.detect_at(maps, 1, min_score=0.05)
        low, high = found.boxes[:, :2] - found.boxes[:, 2:4] / 2, found.boxes[:, :2] + found.boxes[:, 2:4] / 2
        return np.concatenate([low, high], 1), found.score, found.label

    with Scene.open(crop, bands=["red", "green", "blue"]) as scene:
        truth = detect_with(from_function(find, spec), resample(scene, pixel_size_m=spec.pixel_size_m)).detections
    assert len(table) == len(truth) > 8
    with rasterio.open(crop) as source:
        places = np.column_stack(source.transform @ (truth.boxes[:, 0], truth.boxes[:, 1]))
    found = np.column_stack([table.geometry.centroid.x, table.geometry.centroid.y])
    apart = np.hypot(*(found[:, None] - places).transpose(2, 0, 1))
    nearest = apart.argmin(1)
    assert len(set(nearest)) == len(truth)
    assert apart.min(1).max() < 0.02
    assert table["score"].to_numpy() == pytest.approx(truth.score[nearest], abs=2e-3)


def test_it_agrees_with_the_search_of_the_model_itself(cli, aircraft, tmp_path):
    scene = tmp_path / "scene.tif"
    with rasterio.open(SAMPLE) as source:
        options = {"crs": source.crs, "transform": source.window_transform(CROP), "photometric": "rgb"}
        with rasterio.open(
            scene, "w", driver="GTiff", width=1024, height=1024, count=3, dtype="uint8", **options
        ) as out:
            out.write(source.read(window=CROP))
    for name, how in (
        ("own", ("--model", "aircraft-50cm", "--budget", "full")),
        ("other", ("--detector", aircraft[0])),
    ):
        assert cli("detect", scene, *how, "-o", f"{name}.gpkg", "-q").code == 0
    own, other = (
        geopandas.read_file(f"{name}.gpkg", layer="detections").geometry.centroid for name in ("own", "other")
    )
    assert len(own) > 8
    for some, all_ in ((own, other), (other, own)):  # the network's context and the resampled metre differ a little
        assert sum(all_.distance(place).min() < 3 for place in some) >= 0.85 * len(some)


def test_all_parts_of_a_file_of_weights(cli, stub, weights, tmp_path):
    done = cli("export", weights, "--json")
    assert done.code == 0, done.err
    names = ["global", "highres", "fusion", "detector"]
    assert [item["part"] for item in done.record["files"]] == names
    assert (done.record["model"], done.record["licence"]) == ("tiny", "CC0-1.0")
    first = done.record["files"][0]
    assert (first["output"], first["bytes"], first["difference"]) == ("tiny.global.onnx", 6, 1e-6)
    assert (first["inputs"], first["outputs"]) == ({"images": ["n", 3, "side"]}, {"out": [1, 2]})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"tiny.{name}.onnx" for name in names)
    assert (tmp_path / "tiny.fusion.onnx").read_bytes() == b"fusion"


def test_files_that_exist_are_replaced_only_on_request(cli, refused, stub, weights, tmp_path):
    (tmp_path / "tiny.fusion.onnx").write_bytes(b"old")
    line = refused(6, "export", weights)
    assert "tiny.fusion.onnx' exists" in line
    assert "--overwrite" in line
    assert cli("export", weights, "--part", "global", "-q").code == 0
    assert (tmp_path / "tiny.fusion.onnx").read_bytes() == b"old"
    assert cli("export", weights, "--overwrite", "-q").code == 0
    assert (tmp_path / "tiny.fusion.onnx").read_bytes() == b"fusion"


def test_nothing_is_left_when_a_part_fails(refused, cli, stub, weights, tmp_path):
    stub.append("detector")
    assert "part detector of tiny" in refused(6, "export", weights, "-o", "new", "-q")
    (tmp_path / "tiny.global.onnx").write_bytes(b"old")
    assert cli("export", weights, "--overwrite", "-q").code == 6
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.global.onnx"]
    assert (tmp_path / "tiny.global.onnx").read_bytes() == b"old"


def test_what_cannot_work_is_refused_before_the_work(refused, weights, tmp_path, monkeypatch):
    assert "--part 'head': expected global, highres" in refused(2, "export", weights, "--part", "head")
    assert "see `geopdn models`" in refused(3, "export", "no-such-model")
    (tmp_path / "file").write_text("x")
    assert "'file'" in refused(6, "export", weights, "-o", "file")
    assert "cannot be made" in refused(6, "export", weights, "-o", "a/b")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert "pip install 'geopdn[onnx]'" in refused(2, "export", weights)


def test_values_that_other_programs_cannot_scale_are_explained(weights):
    from geopdn.cli.export import _values
    from geopdn.config import RadiometryConfig
    from geopdn.model.weights import WeightsHeader, read_header

    tiny = read_header(weights).model

    def said(*, alone=True, **stretch):
        header = WeightsHeader(name="x", model=tiny.model_copy(update={"radiometry": RadiometryConfig(**stretch)}))
        return _values(header, alone=alone)

    assert "Deepness" not in said(kind="fixed", low=(0,), high=(255,), dtypes=("uint8",))
    reflectance = said(kind="fixed", low=(0,), high=(0.35,))
    assert "0 to 0.35 as 0 to 1" in reflectance
    assert "Deepness and GeoDeep cannot: give them an 8-bit raster" in reflectance
    assert "percentiles 2 and 98 of each band" in said(kind="percentile", low=(2,), high=(98,))
    assert "Deepness" not in said(alone=False, kind="percentile", low=(2,), high=(98,))


def test_other_parts_are_no_detectors(refused, scene, tmp_path):
    from networks import constant_network, save

    model = constant_network([np.zeros((1, 5, 6), np.float32)])
    save(model, tmp_path / "x.highres.onnx", geopdn=json.dumps({}), geopdn_part="highres")
    line = refused(3, "detect", scene, "--detector", "x.highres.onnx")
    assert "is the part 'highres' of a geopdn model" in line
