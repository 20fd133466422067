"""The network's stages: shapes of the contract, identities at the start, invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from shapely.geometry import Polygon

from geopdn.config import WindowKind
from geopdn.errors import ConfigError
from geopdn.geometry.boxes import corners
from geopdn.model.advice import N_STATISTICS
from geopdn.model.backbones import make_backbone
from geopdn.model.controller import PatchDriveController, likeness
from geopdn.model.decoded import decode
from geopdn.model.fusion import Fusion
from geopdn.model.losses import count_loss, focal_heat_loss, hellinger_distance
from geopdn.model.patchdrivenet import PatchDriveNet, rgb_config
from geopdn.model.saliency import Saliency
from geopdn.model.select import select_windows
from geopdn.model.streams import overview_of
from geopdn.model.targets import cell_counts, window_targets


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return PatchDriveNet(num_patches=4).eval()


def test_forward_runs_all_stages_on_a_plain_tensor(net):
    out = net(torch.rand(2, 3, 640, 1100))
    assert len(out) == 2
    assert out[0].saliency.rate.shape == (1, 3, 20, 36)
    assert out[0].grid.shape == (64, 5, 9)
    assert 1 <= len(out[0].windows) <= 4
    assert out[0].boxes.shape[1] == 5


def test_small_images_take_the_dense_path(net):
    out = net(torch.rand(1, 3, 300, 411))[0]
    assert out.saliency is None
    assert out.windows.tolist() == [[0, 0, 0]]


def test_small_images_are_seen_at_the_level_of_the_first_kind():
    config = rgb_config()
    kinds = (WindowKind(extent=1024, level=1, halo=64), *config.kinds[:2])
    net = PatchDriveNet(config=config.model_copy(update={"kinds": kinds})).eval()
    image = torch.rand(1, 3, 150, 90)
    out = net(image, min_score=0.0)[0]
    halved = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(image, (0, 38, 0, 42)), 2)
    _, maps = net.inspect(halved, None)
    found = net.detect(maps, min_score=0.0)
    inside = (2 * found.boxes[:, 0] < 90) & (2 * found.boxes[:, 1] < 150)
    np.testing.assert_allclose(out.boxes[:, :4].numpy(), 2 * found.boxes[inside, :4])
    assert np.array_equal(out.boxes[:, 4].numpy(), found.boxes[inside, 4])


def test_forward_refuses_other_bands(net):
    with pytest.raises(ValueError, match="expected 3 bands"):
        net(torch.rand(1, 4, 64, 64))


def test_article_size_has_the_shapes_of_the_contract():
    config = rgb_config().model_copy(update={"grid": 256, "dim": 512, "heads": 8, "hidden": 256})
    net = PatchDriveNet(config=config)
    assert net.fusion.attention.embed_dim == 512
    assert net.fusion.attention.num_heads == 8
    assert (net.patch_drive_controller.lstm.input_size, net.patch_drive_controller.lstm.hidden_size) == (512, 256)
    assert net.saliency_head.conv.kernel_size == (1, 1)
    features, _ = net.eval().look(torch.rand(1, 11, 64, 64))
    assert features.grid.shape == (1, 256, 4, 4)


@pytest.mark.parametrize("name", ["dense-nano", "timm:resnet18", "torchgeo:resnet18"])
def test_backbones_by_name_start_at_stride_4(name):
    backbone = make_backbone(name, n_in=5).eval()
    maps = backbone(torch.rand(1, 5, 64, 96))
    for stride, channels, x in zip(backbone.strides, backbone.channels, maps, strict=True):
        assert x.shape == (1, channels, 64 // stride, 96 // stride)
    assert backbone.strides[0] == 4


@pytest.mark.parametrize("name", ["nothing", "timm:no_such_network", "timm:"])
def test_unknown_backbones_are_refused(name):
    with pytest.raises(ConfigError, match="backbone"):
        make_backbone(name, n_in=3)


def test_fusion_starts_as_the_identity_and_ignores_padding():
    fusion = Fusion(grid=16, dim=32, heads=4)
    grid, tokens, places = torch.rand(2, 16, 4, 4), torch.rand(2, 6, 32), torch.rand(2, 6, 3)
    assert torch.equal(fusion(grid, tokens, places), grid)
    torch.nn.init.normal_(fusion.out.weight)
    missing = torch.zeros(2, 6, dtype=torch.bool)
    missing[0], missing[1, 4:] = True, True
    fused = fusion(grid, tokens, places, missing)
    assert torch.equal(fused[0], grid[0])
    assert torch.allclose(fused[1:], fusion(grid[1:], tokens[1:, :4], places[1:, :4]), atol=1e-5)


def test_fusion_does_not_depend_on_the_order_of_tokens():
    fusion = Fusion(grid=16, dim=32, heads=4)
    torch.nn.init.normal_(fusion.out.weight)
    grid, tokens, places = torch.rand(1, 16, 4, 4), torch.rand(1, 6, 32), torch.rand(1, 6, 3)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert torch.allclose(fusion(grid, tokens, places), fusion(grid, tokens[:, order], places[:, order]), atol=1e-5)


def test_the_controller_starts_neutral_and_its_advice_is_bounded():
    controller = PatchDriveController(dim=32, grid=16, hidden=24)
    parts = torch.rand(1, 3, 32), torch.rand(1, 3, 16), torch.rand(1, 3, N_STATISTICS)
    advice, state = controller(*parts)
    grid = torch.randn(1, 16, 4, 4) * 50
    assert torch.equal(likeness(grid, advice), torch.zeros(1, 4, 4))
    assert not advice.log_scale.any()
    assert not advice.slope.any()
    torch.nn.init.normal_(controller.out.weight, std=5.0)
    advice, _ = controller(*parts, state)
    assert likeness(grid, advice).abs().max() <= 2.0
    assert -2 <= advice.log_scale.item() <= 1.5


def test_the_controller_goes_on_where_it_stopped():
    controller = PatchDriveController(dim=32, grid=16, hidden=24)
    torch.nn.init.normal_(controller.out.weight)
    parts = torch.rand(1, 5, 32), torch.rand(1, 5, 16), torch.rand(1, 5, N_STATISTICS)
    whole, _ = controller(*parts)
    _, state = controller(*(p[:, :2] for p in parts))
    rest, _ = controller(*(p[:, 2:] for p in parts), state)
    assert torch.allclose(whole.query, rest.query, atol=1e-6)


def test_the_overview_holds_mean_and_extremes_of_valid_pixels():
    rng = np.random.default_rng(0)
    x = rng.random((3, 16, 24)).astype(np.float32)
    valid = rng.random((16, 24)) > 0.3
    valid[:8, :8] = False
    packed = overview_of(
        torch.from_numpy(x * valid)[None], torch.from_numpy(valid[None, None].astype(np.float32)), step=8
    )[0].numpy()
    for i in range(2):
        for j in range(3):
            inside = valid[8 * i : 8 * i + 8, 8 * j : 8 * j + 8]
            part = x[:, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8][:, inside]
            assert packed[9, i, j] == pytest.approx(inside.mean())
            if inside.any():
                mean = part.mean(1)
                assert packed[:3, i, j] == pytest.approx(mean * inside.mean(), abs=1e-5)
                assert packed[3:6, i, j] == pytest.approx(2 * (part.max(1) - mean) * inside.mean(), abs=1e-5)
                assert packed[6:9, i, j] == pytest.approx(2 * (mean - part.min(1)) * inside.mean(), abs=1e-5)
            else:
                assert (packed[:9, i, j] == 0).all()


@pytest.mark.parametrize("has_heading", [True, False])
def test_targets_decode_back_to_their_boxes(has_heading):
    rng = np.random.default_rng(1)
    boxes = np.column_stack(
        [rng.uniform(30, 226, (5, 2)), rng.uniform(30, 60, 5), rng.uniform(8, 25, 5), rng.uniform(-1.5, 1.5, 5)]
    )
    boxes[:, 0] = np.arange(5) * 45 + 35
    if not has_heading:
        boxes[:, 4] = 0
    targets = window_targets(boxes, np.zeros(5, np.int64), side=256, stride=4, n_classes=1)
    heat = torch.from_numpy(targets.heat)[None]
    box = torch.from_numpy(targets.box)[None]
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    regression = torch.stack(
        [box[0, 0] - x - 0.5, box[0, 1] - y - 0.5, box[0, 2], box[0, 3], (2 * box[0, 4]).cos(), (2 * box[0, 4]).sin()]
    )[None]
    logits = torch.logit(heat.clamp(1e-6, 1 - 1e-6)).numpy()
    found = decode(logits, regression.numpy(), stride=4, has_heading=has_heading, min_score=0.9)
    got = found.boxes[found.boxes[:, 0].argsort()]
    assert got[:, :4] == pytest.approx(boxes[:, :4], abs=1e-3)
    assert np.cos(2 * (got[:, 4] - boxes[:, 4])) == pytest.approx(np.ones(5), abs=1e-5)


def test_cell_counts_are_histograms_by_size():
    boxes = np.array([[5.0, 5, 10, 4, 0], [40, 5, 20, 4, 0], [41, 7, 50, 4, 0], [-3, 5, 10, 4, 0]])
    counts = cell_counts(boxes, shape=(2, 3), cell_px=32, edges_px=(12, 32))
    assert counts.sum() == 3
    assert counts[0, 0, 0] == counts[1, 0, 1] == counts[2, 0, 1] == 1


def test_the_count_loss_is_least_at_the_true_rate():
    counts = torch.poisson(torch.full((1, 2, 16, 16), 0.3))
    valid, dispersion = torch.ones(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    mean = counts.mean((2, 3), keepdim=True).expand_as(counts)
    losses = [float(count_loss(Saliency(mean * f, dispersion), counts, valid)) for f in (0.7, 1.0, 1.4)]
    assert losses[1] == min(losses)


def test_the_heat_loss_falls_towards_the_truth():
    heat = torch.zeros(1, 1, 8, 8)
    heat[0, 0, 3, 4] = 1
    good, bad = (torch.logit(v.clamp(1e-4, 1 - 1e-4)) for v in (heat, torch.full_like(heat, 0.5)))
    one, told = torch.tensor(1.0), torch.ones(1, 8, 8)
    assert focal_heat_loss(good, heat, told=told, count=one) < 0.01 < focal_heat_loss(bad, heat, told=told, count=one)


def test_the_heat_loss_says_nothing_of_background_where_labels_are_silent():
    heat, told = torch.zeros(1, 1, 8, 8), torch.ones(1, 8, 8)
    heat[0, 0, 3, 4] = 1
    told[0, :, :4] = 0
    calm = torch.full((1, 1, 8, 8), -9.0)
    calm[0, 0, 3, 4] = 9
    loud = calm.clone()
    loud[0, 0, 5, 1] = 5
    one = torch.tensor(1.0)
    assert focal_heat_loss(loud, heat, told=told, count=one) == focal_heat_loss(calm, heat, told=told, count=one)
    assert focal_heat_loss(loud, heat, told=torch.ones(1, 8, 8), count=one) > 1
    told[:] = 0
    assert focal_heat_loss(-calm, heat, told=told, count=one) > 1, "labelled objects are taught everywhere"


def test_the_hellinger_distance_is_zero_for_equal_boxes_and_grows_as_they_part():
    box = torch.tensor([[10.0, 10, 8, 4, 0.3]])
    apart = [box + torch.tensor([[d, 0, 0, 0, 0]]) for d in (0.0, 1.0, 3.0, 9.0)]
    values = [float(hellinger_distance(other, box)) for other in apart]
    assert values[0] < 0.02
    assert values == sorted(values)
    half_turn = box + torch.tensor([[0, 0, 0, 0, math.pi]])
    assert float(hellinger_distance(half_turn, box)) < 0.02


def test_selection_takes_the_densest_place_and_then_leaves_it():
    rate = torch.zeros(1, 40, 40)
    rate[0, 5:7, 5:7], rate[0, 30, 30] = 1.0, 0.5
    net = PatchDriveNet()
    kinds = (net.config.kinds[1],)
    chosen, covered = select_windows(rate, torch.zeros_like(rate), torch.tensor([[0.9]]), kinds, cell_px=32, count=5)
    assert len(chosen) == 2
    assert chosen[0].expected == pytest.approx(3.6)
    assert chosen[1].expected == pytest.approx(0.45)
    assert float(covered[0, 30, 30]) == pytest.approx(0.9)


def test_decoded_corners_form_rectangles_of_the_given_sides():
    ring = corners(np.array([[10.0, 20, 8, 3, 0.7]]))[0]
    assert Polygon(ring).area == pytest.approx(24)
