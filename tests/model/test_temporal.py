"""Earlier dates: nothing changes without them, missing ones say nothing, and weights hold them only where learnt."""

from __future__ import annotations

import pytest
import torch

from geopdn.config import ModelConfig, RadiometryConfig, WindowKind
from geopdn.errors import CheckpointError
from geopdn.model.fusion import fourier
from geopdn.model.patchdrivenet import PatchDriveNet
from geopdn.model.temporal import LONGEST_GAP, EarlierDates, TemporalAttention
from geopdn.model.weights import WeightsHeader, load_weights, save_weights


@pytest.fixture
def attention():
    torch.manual_seed(0)
    module = TemporalAttention(12, dim=16, heads=4)
    torch.nn.init.normal_(module.out.weight)
    return module.eval()


def config(**changes):
    return ModelConfig(
        classes=("target",),
        bands=("red", "green", "blue"),
        pixel_size_m=0.5,
        radiometry=RadiometryConfig(kind="fixed", low=(0.0,), high=(1.0,)),
        kinds=(WindowKind(extent=256, level=0, halo=32),),
        neck=16,
        grid=16,
        dim=32,
        **changes,
    )


def learnt(**changes):
    torch.manual_seed(1)
    net = PatchDriveNet(config=config(**changes)).eval()
    for part in (net.temporal.cells, net.temporal.grid):
        torch.nn.init.normal_(part.out.weight, std=0.5)
    return net


def test_without_dates_the_map_is_the_very_same(attention):
    now = torch.rand(2, 12, 5, 7)
    assert attention(now, [], torch.zeros(2, 0, 5, 7), torch.zeros(2, 0)) is now


def test_before_training_dates_change_nothing():
    module = TemporalAttention(12, dim=16, heads=4)
    now = torch.rand(1, 12, 5, 7)
    assert torch.equal(module(now, [torch.rand(1, 12, 5, 7)], torch.ones(1, 1, 5, 7), torch.ones(1, 1)), now)


def test_missing_dates_say_nothing_and_places_without_any_stay(attention):
    now, seen, hidden = torch.rand(1, 12, 6, 6), torch.rand(1, 12, 6, 6), torch.full((1, 12, 6, 6), 9.0)
    known = torch.ones(1, 2, 6, 6)
    known[:, 1] = 0
    known[:, 0, :2] = 0
    days = torch.tensor([[3.0, 30.0]])
    fused = attention(now, [seen, hidden], known, days)
    assert torch.allclose(fused, attention(now, [seen], known[:, :1], days[:, :1]), atol=1e-6)
    assert torch.equal(fused[:, :, :2], now[:, :, :2])
    assert not torch.allclose(fused[:, :, 2:], now[:, :, 2:])


def test_the_order_of_dates_does_not_matter_and_their_gaps_do(attention):
    now, first, second = torch.rand(3, 1, 12, 4, 4)
    known, days = torch.ones(1, 2, 4, 4), torch.tensor([[2.0, 400.0]])
    one = attention(now, [first, second], known, days)
    assert torch.allclose(one, attention(now, [second, first], known, days.flip(1)), atol=1e-5)
    assert not torch.allclose(one, attention(now, [first, second], known, days.flip(1)), atol=1e-5)


def test_attention_over_dates_is_that_of_a_softmax(attention):
    now, earlier = torch.rand(1, 12, 1, 1), torch.rand(5, 1, 12, 1, 1)
    days = torch.arange(5.0)[None]
    fused = attention(now, list(earlier), torch.ones(1, 5, 1, 1), days)
    query = attention.query(now).reshape(4, 1, 4)
    gaps = attention.gap(fourier(torch.log1p(days)[..., None], longest=LONGEST_GAP))[0]
    key_value = torch.stack([attention.key_value(x).flatten() for x in earlier])
    keys = torch.cat([attention.nothing[None, :16], key_value[:, :16] + gaps])
    values = torch.cat([attention.nothing[None, 16:], key_value[:, 16:]])
    heads = [part.reshape(6, 4, 4).transpose(0, 1) for part in (keys, values)]  # [heads, dates + 1, dim / heads]
    attended = torch.nn.functional.scaled_dot_product_attention(query, *heads).reshape(1, 16)
    both = torch.cat([attention.norm(query.reshape(1, 16)), attention.norm(attended)], -1)
    change = attention.out(torch.nn.functional.gelu(attention.feed(both)))
    assert torch.allclose(fused.flatten(), (now.flatten() + change.flatten()), atol=1e-5)


def test_forward_takes_dates_in_memory():
    net = learnt()
    x, earlier = torch.rand(2, 3, 600, 520), torch.rand(2, 3, 3, 600, 520)
    plain = net(x, min_score=0.0)
    for output, other in zip(net(x, min_score=0.0), plain, strict=True):
        assert torch.equal(output.saliency.rate, other.saliency.rate)
    missing = torch.zeros(2, 3, 600, 520, dtype=torch.bool)
    missing[1] = True
    with_dates = net(x, earlier=earlier, days=torch.ones(2, 3), missing=missing, min_score=0.0)
    assert not torch.allclose(with_dates[0].saliency.rate, plain[0].saliency.rate)
    assert torch.allclose(with_dates[1].saliency.rate, plain[1].saliency.rate)  # all its dates are missing


def test_look_says_where_dates_differ():
    net = learnt()
    overview, other = torch.rand(2, 1, 11, 64, 64)
    changed = other.clone()
    changed[..., 32:, :] = 1 - changed[..., 32:, :]
    known, days = torch.ones(1, 1, 16, 16), torch.zeros(1, 1)
    first, second = (net.look(overview, EarlierDates(x[:, None], known, days))[1].rate for x in (other, changed))
    difference = (first - second).abs().sum((0, 1, 3))
    assert difference[-4:].min() > 0


def test_rates_with_dates_have_a_calibration_of_their_own():
    net = learnt()
    overview, other = torch.rand(2, 1, 11, 64, 64)
    known = torch.ones(1, 1, 16, 16)
    known[..., :8] = 0
    dates = EarlierDates(other[:, None], known, torch.zeros(1, 1))
    plain, before = net.look(overview)[1].rate, net.look(overview, dates)[1].rate
    net.temporal.calibration.fill_(-0.5)
    after = net.look(overview, dates)[1].rate
    assert torch.equal(net.look(overview)[1].rate, plain)
    assert torch.equal(after[..., :8], plain[..., :8])
    assert torch.allclose(after[..., 8:], before[..., 8:] * 0.60653066, rtol=1e-4)


def test_weights_hold_what_was_learnt_from_dates_only_where_something_was(tmp_path):
    with_dates, without = learnt(dates=True), learnt()
    for net, name in ((with_dates, "with"), (without, "without")):
        save_weights(net, WeightsHeader(name=name, model=net.config), tmp_path / f"{name}.safetensors")
    again = load_weights(tmp_path / "with.safetensors").net
    assert torch.allclose(again.temporal.cells.out.weight, with_dates.temporal.cells.out.weight, atol=2e-3)
    assert float(load_weights(tmp_path / "without.safetensors").net.temporal.cells.out.weight.abs().max()) == 0
    assert (tmp_path / "without.safetensors").stat().st_size < (tmp_path / "with.safetensors").stat().st_size


def test_weights_that_say_they_know_dates_but_do_not_are_refused(tmp_path):
    net = learnt()
    path = tmp_path / "lying.safetensors"
    header = WeightsHeader(name="lying", model=net.config)
    save_weights(net, header, path)
    content = path.read_bytes()
    assert b'\\"dates\\": false' in content
    path.write_bytes(content.replace(b'\\"dates\\": false', b'\\"dates\\": true '))
    with pytest.raises(CheckpointError, match="temporal"):
        load_weights(path)
