"""The transformer network: normalization, sizes, blends, strips."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cnnart.errors import UsageError
from cnnart.methods.fast.architecture import ARCHITECTURES, architecture_from, make_architecture
from cnnart.methods.fast.layers import (
    AffinePair,
    ConvBlock,
    ConvSpec,
    Rows,
    instance_norm,
    statistics,
)
from cnnart.methods.fast.network import StyleNetwork, make_noise, reflect_pad_to_stride
from cnnart.methods.fast.strips import RunningStatistics, in_strips
from tests.helpers.fast import TINY, network

LAYOUTS = (
    TINY,
    "johnson,widths=4-6-8,blocks=1",
    "small,widths=8,blocks=2,stem=4",
    "small,widths=6-8,blocks=1,direct=no,outer=5",
    "johnson,widths=4-6,separable=yes,blocks=0",
)


def picture(height: int, width: int, seed: int = 0, batch: int = 1) -> torch.Tensor:
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def one_hot(index: int, pairs: int) -> torch.Tensor:
    return F.one_hot(torch.tensor([index]), pairs).float()


# Normalization


@pytest.mark.parametrize("grad", [False, True], ids=["kernel", "by hand"])
def test_one_pair_is_plain_instance_normalization(grad: bool) -> None:
    x = 3 + 2 * torch.randn(1, 5, 9, 7, generator=torch.Generator().manual_seed(0))
    pair = AffinePair(torch.linspace(0.5, 1.5, 5)[None], torch.linspace(-1, 1, 5)[None])
    expected = F.instance_norm(x, weight=pair.gamma[0], bias=pair.beta[0])
    with torch.set_grad_enabled(grad):
        found = instance_norm(x.contiguous(memory_format=torch.channels_last), pair)
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("grad", [False, True], ids=["kernel", "by hand"])
def test_a_blank_channel_becomes_its_shift(grad: bool, dtype: torch.dtype) -> None:
    pair = AffinePair(torch.full((1, 2), 2.0), torch.full((1, 2), 0.5))
    blank = torch.tensor([101.5, 0.3])[:, None, None].expand(1, 2, 24, 24).to(dtype)
    with torch.set_grad_enabled(grad):
        found = instance_norm(blank, pair)
    assert torch.allclose(found.float(), torch.full_like(found, 0.5).float(), atol=0.02)


def test_each_sample_of_a_batch_gets_its_own_mix() -> None:
    net = network("small,widths=2,stem=4,blocks=0", 2)
    assert net.encoder[0].norm is not None
    with torch.no_grad():
        net.encoder[0].norm.beta.copy_(torch.tensor([[0.0, 0.0], [10.0, 20.0]]))
    x = picture(6, 5, batch=3)[:, :2]
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    (pair,) = net.layer_pairs(weights)
    means = instance_norm(x, pair).mean((2, 3))
    assert torch.allclose(means, torch.tensor([[0.0, 0.0], [10.0, 20.0], [5.0, 10.0]]), atol=1e-4)


def test_the_pair_of_all_layers_is_that_of_each() -> None:
    net, weights = network(pairs=2), torch.tensor([[0.25, 0.75]])
    whole, photo = net.mixed_pair(weights), picture(20, 24)
    assert whole.gamma.shape == whole.beta.shape == (1, sum(net.channels))
    parts = net.layer_pairs(weights)
    for block, part in zip(net.normalized_blocks(), parts, strict=True):
        assert block.norm is not None
        assert torch.equal(part.gamma, weights @ block.norm.gamma)
        assert torch.equal(part.beta, weights @ block.norm.beta)
    with torch.no_grad():
        assert torch.equal(net(photo, whole), net(photo, weights))


# Noise


def test_noise_is_the_seeds_and_of_the_size_that_the_network_sees() -> None:
    arch = make_architecture(TINY)
    noise = make_noise(arch, 30, 50, [5, 6])
    assert noise is not None
    assert noise.shape == (2, 2, 8, 13)
    again = make_noise(arch, 30, 50, [6])
    assert again is not None
    assert torch.equal(noise[1:], again)
    assert not torch.equal(noise[:1], again)
    assert make_noise(ARCHITECTURES["johnson"], 30, 50, [0]) is None


def test_noise_lets_a_network_paint_where_there_is_nothing() -> None:
    """On a clear sky, too, two seeds differ, and one without noise has nothing to paint."""
    sky = torch.full((1, 3, 32, 32), 0.6)
    seen, blind = network(), network(TINY + ",noise=0")
    with torch.no_grad():
        first, second = (
            seen(sky, torch.ones(1, 1), noise=make_noise(seen.arch, 32, 32, [s])) for s in (1, 2)
        )
        empty = blind(sky, torch.ones(1, 1))
    assert first.std() > 0.01
    assert (first - second).abs().mean() > 0.01
    assert empty.std((2, 3)).max() < 1e-3


def test_statistics_of_pieces_are_those_of_the_whole() -> None:
    x = 100 + torch.randn(1, 4, 30, 8, generator=torch.Generator().manual_seed(1))
    pieces = RunningStatistics()
    for start, stop in ((0, 3), (3, 20), (20, 30)):
        pieces.add(x[..., start:stop, :])
    mean, variance = pieces.result()
    assert torch.allclose(mean, x.mean((2, 3)), rtol=1e-6)
    assert torch.allclose(variance, x.var((2, 3), correction=0), rtol=1e-4)


def test_statistics_are_float32_whatever_comes_in() -> None:
    x = (300 + torch.randn(1, 2, 40, 40, generator=torch.Generator().manual_seed(2))).bfloat16()
    mean, variance = statistics(x)
    assert mean.dtype == torch.float32
    assert torch.allclose(mean, x.double().mean((2, 3)).float(), rtol=1e-6)
    assert torch.allclose(variance, x.double().var((2, 3), correction=0).float(), rtol=1e-3)


# The whole network


@pytest.mark.parametrize("size", [(1, 9), (2, 33), (31, 17), (48, 64)])
@pytest.mark.parametrize("arch", LAYOUTS)
def test_output_has_the_input_size_and_strips_change_nothing(
    arch: str, size: tuple[int, int]
) -> None:
    net, photo = network(arch, 2), picture(*size)
    noise = make_noise(net.arch, *size, [3])
    with torch.no_grad():
        pair = net.mixed_pair(torch.tensor([[0.3, 0.7]]))
        whole = net(photo, pair, noise=noise)
        strips = in_strips(net, photo, pair, torch.float32, noise, rows=16)
    assert whole.shape == strips.shape == photo.shape
    assert torch.allclose(whole, strips, atol=2e-4)


def test_a_one_hot_mix_is_that_style_alone() -> None:
    net, photo = network(pairs=3), picture(20, 24)
    for index in range(3):
        alone = StyleNetwork(net.arch, 1)
        state = {
            key: value[index : index + 1] if key.endswith(("gamma", "beta")) else value
            for key, value in net.state_dict().items()
        }
        alone.load_state_dict(state)
        with torch.no_grad():
            mixed, single = net(photo, one_hot(index, 3)), alone(photo, torch.ones(1, 1))
        assert torch.equal(mixed, single)


def test_styles_differ_and_a_batch_is_what_its_pictures_are() -> None:
    net, photos = network(pairs=2), picture(24, 20, batch=2)
    vectors = torch.cat((one_hot(0, 2), one_hot(1, 2)))
    with torch.no_grad():
        both = net(photos, vectors)
        singles = torch.cat([net(photos[i : i + 1], vectors[i : i + 1]) for i in range(2)])
        swapped = net(photos[:1], vectors[1:])
    assert torch.allclose(both, singles, atol=1e-4)
    assert (swapped - singles[:1]).abs().mean() > 0.01


def test_half_precision_stays_close_to_float32() -> None:
    net, photo = network("small,widths=16-16,blocks=2"), picture(32, 40)
    with torch.no_grad():
        exact, half = net(photo, torch.ones(1, 1)), net(photo, torch.ones(1, 1), torch.bfloat16)
    assert half.dtype == torch.float32
    assert (half - exact).abs().mean() < 0.05 * exact.std()


@pytest.mark.parametrize("factor", [2, 4])
def test_shuffling_leaves_no_grid_whatever_is_learned(factor: int) -> None:
    block = ConvBlock(ConvSpec(4, 3, shuffle=factor), relu=False)
    with torch.no_grad():
        block.weight.normal_()  # every pixel of a square its own
    flat = torch.rand(1, 4, 1, 1).expand(1, 4, 6, 5)
    found = block.convolve(flat)[..., factor:-factor, factor:-factor]
    assert torch.allclose(found, found[..., :1, :1].expand_as(found), atol=1e-5)


def test_a_new_units_block_is_one_value() -> None:
    """ICNR: convolving and shuffling begins as convolving and repeating pixels."""
    weight = ConvBlock(ConvSpec(4, 3, shuffle=2), relu=False).weight
    assert all(torch.equal(weight[i::4], weight[::4]) for i in range(4))


def test_a_seed_decides_the_weights_and_leaves_others_alone() -> None:
    torch.manual_seed(7)
    before = torch.rand(1)
    torch.manual_seed(7)
    first, second = network(seed=3), network(seed=3)
    assert torch.equal(torch.rand(1), before)
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, network(seed=4).head.weight)


def test_extending_adds_the_mean_and_keeps_the_rest() -> None:
    net = network(pairs=2)
    before = net.encoder[0].norm.gamma.detach().clone()
    net.add_pairs(1)
    after = net.encoder[0].norm.gamma.detach()
    assert torch.equal(after[:2], before)
    assert torch.allclose(after[2], before.mean(0))


def test_other_pairs_in_the_same_convolutions_are_another_style_of_it() -> None:
    net, photo = network(pairs=2), picture(24, 20)
    mixed = net.mixed_pair(torch.tensor([[0.25, 0.75]]))
    alone = net.with_pairs([mixed])
    assert alone.pairs == 1
    assert torch.equal(alone(photo, torch.ones(1, 1)), net(photo, mixed))


def test_a_picture_is_continued_by_reflection() -> None:
    arch = make_architecture("johnson,widths=4-4-4,outer=3")
    x = torch.arange(5.0).expand(1, 3, 5, 5)
    assert reflect_pad_to_stride(x, arch)[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    assert reflect_pad_to_stride(x[..., :1], arch)[0, 0, 0].tolist() == [0.0] * 8


@pytest.mark.parametrize("height", [2, 5])
def test_enlarging_and_convolving_is_one_transposed_convolution(height: int) -> None:
    block = ConvBlock(ConvSpec(5, 3, upsample=2), relu=False)
    with torch.no_grad():
        assert block.bias is not None
        block.bias.normal_(generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 5, height, 7, generator=torch.Generator().manual_seed(1))
    expected = block.convolve(x)
    with torch.no_grad():
        found = block.convolve(x)
    assert found.shape == (2, 3, 2 * height, 14)
    assert torch.allclose(found, expected, atol=1e-5)


def test_needed_rows_are_exactly_those_that_matter() -> None:
    block = ConvBlock(ConvSpec(1, 1, kernel=5, upsample=2), relu=False)
    with torch.no_grad():
        block.weight.fill_(1)
    x = torch.zeros(1, 1, 20, 8, requires_grad=True)
    rows = Rows(14, 17)
    block.convolve(x)[..., rows.start : rows.stop, :].sum().backward()
    touched = x.grad.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
    assert list(range(*block.needed(rows, 20))) == touched


# Architectures


def test_variations_are_spelled_on_the_command_line() -> None:
    arch = make_architecture("small,blocks=7,widths=24-48-96,separable=no")
    assert (arch.blocks, arch.widths, arch.separable, arch.stride) == (7, (24, 48, 96), False, 8)
    assert architecture_from(arch.as_dict()) == arch
    assert make_architecture("johnson") == ARCHITECTURES["johnson"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("smal", "Unknown architecture 'smal': use johnson, small. Did you"),
        ("small,depth=3", "Architecture 'small,depth=3': no field 'depth'"),
        ("small,blocks=many", "Architecture 'small,blocks=many': blocks cannot be 'many'"),
        ("small,outer=4", "odd kernels"),
        ("small,direct=perhaps", "direct cannot be 'perhaps'"),
        ("small,widths=0-9", "widths of 1 to 1024"),
    ],
)
def test_architectures_that_make_no_sense_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make_architecture(text)
