"""Windows through ONNX Runtime: the answers of torch, from a graph that the weights file carries without weights."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import onnx
import pytest
import rasterio
import torch
from affine import Affine
from test_export import config_of, model_of

from geopdn.budget import Budget
from geopdn.engine import DetectOptions, detect, run
from geopdn.errors import CheckpointError
from geopdn.memory import MemoryPlan
from geopdn.model import runtime
from geopdn.model.graph import bare_graph, weights_of, with_weights
from geopdn.model.means import MeansStream
from geopdn.model.parts import RUN_PARTS
from geopdn.model.runtime import OnnxMeans, OnnxStream
from geopdn.model.weights import load_weights, save_weights
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


@pytest.fixture(scope="module")
def model():
    made = model_of(config_of(has_heading=True, views=2))
    made.net.head.box[-1].weight.data *= 0.2  # boxes as large as the scene make merging what a search takes
    made.net.graphs = {part: bare_graph(made, part) for part in RUN_PARTS}
    return made


def inputs(n=2, side=256):
    torch.manual_seed(side + n)
    return torch.rand(n, 3, side, side), torch.randn(n, 16)


@pytest.mark.parametrize(("n", "side"), [(1, 128), (3, 256)])
@pytest.mark.parametrize("with_context", [True, False])
def test_it_answers_as_torch_does(model, n, side, with_context) -> None:
    plain, fast = model.net.for_inference(), model.net.for_inference(many=True)
    assert (plain.runtime, type(fast.runtime)) == (None, OnnxStream)
    windows, context = inputs(n, side)
    context = context if with_context else None
    with torch.inference_mode():
        (features, maps), (theirs, answers) = plain.inspect(windows, context), fast.inspect(windows, context)
    for ours, other in (
        (maps.logits, answers.logits),
        (maps.regression, answers.regression),
        (features.tokens, theirs.tokens),
        (features.pooled, theirs.pooled),
    ):
        assert (ours - other).abs().max() <= 1e-4 * ours.abs().max()


def test_sizes_that_the_graph_does_not_know_are_torchs(model) -> None:
    fast = model.net.for_inference(many=True)
    windows, context = torch.rand(1, 3, 96, 160), torch.randn(1, 16)
    with torch.inference_mode():
        assert torch.equal(
            fast.inspect(windows, context)[1].logits, model.net.for_inference().inspect(windows, context)[1].logits
        )


def test_threads_share_sessions_and_answers_do_not_depend_on_them(model) -> None:
    stream = OnnxStream(model.net.for_inference(strips=False), model.net.graphs["highres"])
    windows, context = inputs(2, 128)
    alone = stream(windows, context)[1].logits
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: stream(windows, context)[1].logits, range(12)))
    assert all(torch.equal(alone, one) for one in together)
    assert sum(spare.qsize() for spare in stream._spare.values()) <= 5


def test_the_graph_is_kept_in_the_file_and_has_no_weights(model, tmp_path) -> None:
    path = tmp_path / "tiny.safetensors"
    save_weights(model.net, model.header, path)
    again = load_weights(path)
    assert again.net.graphs == model.net.graphs
    for part, graph in model.net.graphs.items():
        weights = weights_of(model.net.for_inference(strips=False), part)
        assert not set(weights) & {tensor.name for tensor in onnx.load_from_string(graph).graph.initializer}
        onnx.checker.check_model(onnx.load_from_string(with_weights(graph, weights)), full_check=True)
    again.net.graphs = {}
    save_weights(again.net, again.header, path, base=path)
    ready = load_weights(path).net.for_inference(many=True)
    assert (ready.runtime, type(ready.means_stream)) == (None, MeansStream)


def test_without_onnxruntime_torch_looks(model, monkeypatch) -> None:
    monkeypatch.setattr("geopdn.model.patchdrivenet.is_installed", lambda: False)
    ready = model.net.for_inference(many=True)
    assert (ready.runtime, type(ready.means_stream)) == (None, MeansStream)
    assert runtime.is_installed()


def test_graphs_that_read_files_or_are_none_are_refused(model) -> None:
    net = model.net.for_inference(strips=False)
    windows, context = inputs(1, 128)
    graph = model.net.graphs["highres"]
    for bad in (graph + b"location", b"0" * (1 << 21)):
        with pytest.raises(CheckpointError, match="none that geopdn writes"):
            OnnxStream(net, bad)
        with pytest.raises(CheckpointError, match="none that geopdn writes"):
            OnnxMeans(net, bad, others=net.means_stream)
    with pytest.raises(CheckpointError, match="cannot be run by onnxruntime"):
        OnnxStream(net, graph[: len(graph) // 2])(windows, context)


@pytest.mark.parametrize("shape", [(1, 4, 128, 96), (1, 4, 64, 320), (1, 4, 112, 80), (2, 4, 64, 64)])
def test_overviews_of_means_are_seen_as_torch_sees_them(model, shape) -> None:
    plain, fast = model.net.for_inference(), model.net.for_inference(many=True)
    assert (type(plain.means_stream), type(fast.means_stream)) == (MeansStream, OnnxMeans)
    overview = torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))
    with torch.inference_mode(), ThreadPoolExecutor(3) as pool:
        ours, saliency = plain.look(overview)
        for _ in range(2):
            for theirs, expected in pool.map(fast.look, [overview] * 3):
                assert (ours.grid - theirs.grid).abs().max() <= 1e-4 * ours.grid.abs().max()
                assert (ours.cells - theirs.cells).abs().max() <= 1e-4 * ours.cells.abs().max()
                assert (saliency.rate - expected.rate).abs().max() <= 1e-3 * saliency.rate.max()
            fast.rest()
            assert fast.means_stream._session is None
    whole = torch.cat([torch.rand(1, 3, 64, 64), torch.zeros(1, 6, 64, 64), torch.ones(1, 1, 64, 64)], 1)
    whole = torch.cat([whole, torch.zeros(1, 1, 64, 64)], 1)  # statistics are torch's
    with torch.inference_mode():
        assert torch.equal(plain.look(whole)[1].rate, fast.look(whole)[1].rate)


def test_a_window_without_room_is_a_memory_error(model, monkeypatch) -> None:
    stream = OnnxStream(model.net.for_inference(strips=False), model.net.graphs["highres"])

    class Full:
        def run(self, *_: object) -> None:
            raise RuntimeError("Failed to allocate memory for requested buffer of size 9")

    monkeypatch.setattr(stream, "_session", lambda _: Full())
    with pytest.raises(MemoryError, match="128 x 128"):
        stream(*inputs(1, 128))


def test_searches_of_large_scenes_use_it_and_say_so(model, monkeypatch, tmp_path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (3, 900, 1100)).astype(np.uint8)
    profile = {"driver": "GTiff", "count": 3, "height": 900, "width": 1100, "dtype": "uint8", "tiled": True}
    place = {"crs": "EPSG:32631", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)}
    with rasterio.open(tmp_path / "a.tif", "w", **profile, **place) as out:
        out.write(pixels)
        out.colorinterp = [rasterio.enums.ColorInterp[c] for c in ("red", "green", "blue")]
    # random weights find something nearly everywhere: a few windows of it will do
    options = DetectOptions(budget=Budget(windows=4), min_score=0.4)
    with Scene.open(str(tmp_path / "a.tif"), bands=("red", "green", "blue")) as scene:
        plain = detect(scene, model, options)
        monkeypatch.setattr(run, "MANY_MS", 0.0)
        fast = detect(scene, model, options)
        small = detect(scene, model, replace(options, memory=PLAN))
    runtimes = [result.facts["runtime"] for result in (plain, fast, small)]
    assert runtimes == ["torch", "onnxruntime", "torch"], "a bound of memory was measured with torch"
    assert len(fast.detections) == len(plain.detections) > 0
    assert np.abs(fast.detections.score - plain.detections.score).max() < 1e-3
    assert np.abs(fast.detections.boxes[:, :2] - plain.detections.boxes[:, :2]).max() < 1e-2
