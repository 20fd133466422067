"""A search's two networks: ONNX Runtime answers as torch does, from graphs that the weights file carries bare."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import rasterio
from affine import Affine
from test_export import config_of, model_of

from geopdn import cores
from geopdn.budget import Budget
from geopdn.config import WindowKind
from geopdn.engine import DetectOptions, detect
from geopdn.errors import CheckpointError
from geopdn.memory import MemoryPlan
from geopdn.model import network as networks
from geopdn.model.graph import RUN_PARTS, Graph
from geopdn.model.graph_export import bare_graph
from geopdn.model.network import Planes, network_of
from geopdn.model.onnx_network import OnnxNetwork
from geopdn.model.torch_network import TorchNetwork
from geopdn.model.weights import LoadedModel, StoredWeights, load_weights, save_weights
from geopdn.scene import Scene

PLAN = MemoryPlan(
    bound=1 << 34,
    base=1 << 30,
    maps=1 << 28,
    workers=2,
    work=1 << 29,
    decoding=1 << 28,
    cache=1 << 28,
    part=1 << 22,
    kept=1 << 28,
)
SAMPLE = Path(__file__).parents[2] / "sample_scenes" / "airport.tif"


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """Weights with graphs, as a file."""
    kinds = (WindowKind(extent=512, level=1, halo=32), WindowKind(extent=256, level=0, halo=32))
    made = model_of(config_of(has_heading=True, views=2, kinds=kinds))
    made.net.head.box[-1].weight.data *= 0.2  # boxes as large as the scene make merging what a search takes
    made.net.graphs = {part: bare_graph(made, part) for part in RUN_PARTS}
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(made.net, made.header, path)
    return path


@pytest.fixture(scope="module")
def model(path):
    return load_weights(path)


@pytest.fixture(scope="module")
def both(model):
    """Torch's network and ONNX Runtime's."""
    return TorchNetwork(model.net), network_of(model)


def random(*shape):
    return np.random.default_rng(sum(shape)).random(shape, np.float32)


def alike(one, other, share=1e-4):
    assert one.shape == other.shape
    assert np.abs(one - other).max() <= share * np.abs(one).max()


@pytest.mark.parametrize("shape", [(1, 128, 128), (3, 256, 256), (1, 96, 160)])
@pytest.mark.parametrize("with_context", [True, False])
def test_windows_are_seen_as_torch_sees_them(both, shape, with_context) -> None:
    n, height, width = shape
    windows, context = random(n, 3, height, width), random(n, 16) - 0.5 if with_context else None
    (features, found), (theirs, other) = (net.find(windows, context, min_score=0.25) for net in both)
    assert len(found.score) > 3
    if height == width:  # another shape is followed by zeros, which is seen at its edges
        alike(features.tokens, theirs.tokens)
        alike(features.pooled, theirs.pooled)
        np.testing.assert_allclose(other.score, found.score, rtol=1e-4)
        (one, many) = (net.take(np.lexsort((net.boxes[:, 0], net.window))) for net in (found, other))
        for name in ("window", "boxes", "label"):
            np.testing.assert_allclose(getattr(many, name), getattr(one, name), rtol=1e-3, atol=1e-2)
    assert (other.boxes[:, :2] < [width + 4, height + 4]).all()


@pytest.mark.parametrize("shape", [(128, 96), (64, 320)])
@pytest.mark.parametrize("ranges", [False, True])
def test_overviews_are_seen_as_torch_sees_them(both, shape, ranges) -> None:
    mean, valid = random(3, *shape), random(1, *shape)[0]
    planes = Planes(mean, valid, mean * 0.8, mean * 1.3) if ranges else Planes(mean, valid)
    plain, fast = both
    ours = plain.look(planes)
    with ThreadPoolExecutor(3) as pool:
        for _ in range(2):
            for theirs in pool.map(fast.look, [planes] * 3):
                alike(ours.grid, theirs.grid)
                alike(ours.rate, theirs.rate, 1e-3)
            fast.rest()
            assert (fast._means._session, fast._overview._session) == (None, None)


def test_fusion_calibration_and_priorities_are_torchs(both) -> None:
    plain, fast = both
    places = random(32, 3) * np.array([16, 12, 3], np.float32)
    alike(plain.fuse(random(16, 12, 16), random(32, 32), places), fast.fuse(random(16, 12, 16), random(32, 32), places))
    score, level = random(50), np.arange(50) % 2
    np.testing.assert_allclose(plain.probabilities(score, level), fast.probabilities(score, level))
    np.testing.assert_allclose(plain.priorities, fast.priorities, rtol=1e-6)
    np.testing.assert_allclose(plain.surroundings, fast.surroundings)


def test_threads_share_sessions_and_answers_do_not_depend_on_them(both) -> None:
    windows, context = random(2, 3, 128, 128), random(2, 16)
    net = both[1]
    alone = net.find(windows, context, min_score=0.2)[1]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: net.find(windows, context, min_score=0.2)[1], range(12)))
    assert all(np.array_equal(alone.boxes, one.boxes) for one in together)
    assert net._highres._spare[cores.total()].qsize() <= 5


def test_a_window_without_room_is_a_memory_error(model, monkeypatch) -> None:
    class Full:
        def run(self, *_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 9")

    monkeypatch.setattr("geopdn.model.onnx_network._session", lambda *_, **__: Full())
    with pytest.raises(MemoryError, match="128 x 128"):
        network_of(model).find(random(1, 3, 128, 128), None, min_score=0.5)


def test_graphs_are_kept_in_the_file_without_weights(model, path, tmp_path) -> None:
    stored = model.stored
    assert set(stored.graphs) == set(RUN_PARTS)
    for graph in stored.graphs.values():
        bare = onnx.load_from_string(graph.content)
        weights = graph.weights(stored.arrays)
        assert not set(weights) & {tensor.name for tensor in bare.graph.initializer}
        assert sum(np.prod(tensor.dims) for tensor in bare.graph.initializer) < 4000
        onnx.checker.check_model(onnx.load_from_string(graph.model(stored.arrays)), full_check=True)
        assert Graph.parse(graph.content, graph.recipe()) == graph
    net = load_weights(path).net
    del net.graphs["fusion"]
    save_weights(net, model.header, tmp_path / "less.safetensors", base=path)
    assert network_of(load_weights(tmp_path / "less.safetensors")).runtime == "torch", "all parts or none"


def test_what_only_torch_can_do_is_torchs(model, monkeypatch) -> None:
    assert network_of(model).runtime == "onnxruntime"
    assert network_of(model, dates=True).runtime == "torch"
    assert network_of(LoadedModel(model.net, model.header, "changing")).runtime == "torch"
    kinds = (WindowKind(extent=384, level=1, halo=32),)
    others = replace(model.header, model=model.header.model.model_copy(update={"kinds": kinds}))
    assert network_of(LoadedModel(model.net, others, "x", model.stored)).runtime == "torch"
    monkeypatch.setattr(networks, "has_onnxruntime", lambda: False)
    assert network_of(model).runtime == "torch"


def test_graphs_that_read_files_or_are_none_are_refused(model) -> None:
    stored = model.stored

    def changed(part, graph):
        return StoredWeights(stored.path, stored.arrays, {**stored.graphs, part: graph})

    for part, graph in stored.graphs.items():
        for bad in (graph.content + b"location", b"0" * (1 << 21)):
            with pytest.raises(CheckpointError, match=r"tiny\.safetensors.*none that geopdn writes"):
                OnnxNetwork(model.header.model, changed(part, replace(graph, content=bad)))
    half = replace(stored.graphs["highres"], content=stored.graphs["highres"].content[:5000])
    with pytest.raises(CheckpointError, match="cannot be run by onnxruntime"):
        OnnxNetwork(model.header.model, changed("highres", half)).find(random(1, 3, 128, 128), None, min_score=0.5)
    for recipe in (b"", b"[]", b'{"a": 1}', b'{"a": {"source": "b"}}', b"\xff"):
        with pytest.raises(CheckpointError, match="none that geopdn writes"):
            Graph.parse(b"", recipe)


@pytest.mark.parametrize("change", ["missing", "misshapen"])
def test_weights_that_do_not_fit_are_named(model, change) -> None:
    arrays = dict(model.stored.arrays)
    key = next(key for key in arrays if arrays[key].ndim == 4 and key.startswith("highres_stream.backbone"))
    arrays[key] = arrays[key][:, :1].repeat(7, 1)
    if change == "missing":
        del arrays[key]
    broken = LoadedModel(None, model.header, "x", StoredWeights(model.stored.path, arrays, model.stored.graphs))
    with pytest.raises(CheckpointError, match=key):
        network_of(broken).find(random(1, 3, 128, 128), None, min_score=0.5)


def test_a_search_finds_the_same_by_both(model, path, tmp_path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (3, 1024, 1024), np.uint8)
    profile = {"driver": "GTiff", "width": 1024, "height": 1024, "count": 3, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(tmp_path / "a.tif", "w", **profile, transform=Affine(0.5, 0, 4e5, 0, -0.5, 5e6)) as target:
        target.write(pixels)
    options = DetectOptions(budget=Budget(windows=4), min_score=0.4)
    with Scene.open(str(tmp_path / "a.tif"), bands=("red", "green", "blue")) as scene:
        plain = detect(scene, LoadedModel(model.net, model.header, "x"), options)
        fast = detect(scene, load_weights(path, at_once=False), options)
        small = detect(scene, model, replace(options, memory=PLAN))
    runtimes = [result.facts["runtime"] for result in (plain, fast, small)]
    assert runtimes == ["torch", "onnxruntime", "onnxruntime"]
    np.testing.assert_allclose(small.detections.boxes, fast.detections.boxes, atol=0.01)
    assert len(fast.detections) == len(plain.detections) > 0
    ours, theirs = (
        np.column_stack([result.detections.boxes[:, :2], result.detections.score]) for result in (plain, fast)
    )
    ours, theirs = (rows[np.lexsort((rows[:, 1], rows[:, 0]))] for rows in (ours, theirs))  # many scores are alike
    assert np.abs(ours - theirs).max() < 0.1  # of random weights, whose boxes jump from one position to the next


def test_a_search_by_shipped_weights_does_not_import_torch(tmp_path) -> None:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['geopdn', 'detect', {str(SAMPLE)!r}, '-o', {str(tmp_path / 'a.gpkg')!r}, '--budget', '2w',"
        " '--device', 'cpu', '-q']\n"
        "try:\n    runpy.run_module('geopdn.cli.main', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "large = sorted({'torch', 'torchgeo', 'lightning', 'timm', 'sympy'} & set(sys.modules))\n"
        "assert not large, large\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
