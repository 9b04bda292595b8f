"""DeepDream on tiny pictures: what rises, what stays, and what it does not depend on."""

import contextlib
import dataclasses

import pytest
import torch

from cnnart.errors import OutOfMemory, UsageError
from cnnart.image.picture import resize
from cnnart.methods.dream import dream as dream_module
from cnnart.methods.dream.config import DreamConfig, resolve_preset
from cnnart.methods.dream.dream import DeepDream, octave_sizes
from cnnart.networks.vgg import FeatureExtractor
from cnnart.networks.zoo import open_network
from cnnart.optim.memory import Limits

LAYERS = {"relu3_2": 1.0}
CONFIG = DreamConfig(layers=LAYERS, steps=3, octaves=2, jitter=4)


@pytest.fixture(scope="module")
def network(tiny):
    return FeatureExtractor(tiny)


def prepare(photo, network, tile=0, **more):
    given = {name: more.pop(name) for name in ("guide", "mask") if name in more}
    config = dataclasses.replace(CONFIG, **more)
    return DeepDream(photo, config, network, **given, limits=Limits(tile=tile))


def run(photo, network, **settings):
    """All steps, and the finished picture."""
    dream = prepare(photo, network, **settings)
    steps = list(dream.steps())
    return steps, dream.finish(steps[-1].image)


def energy(picture, network, layer="relu3_2"):
    return float(network(picture, [layer])[layer].square().mean())


@pytest.mark.parametrize("objective", ["l2", "mean"])
def test_the_objective_rises(photo, network, objective):
    steps, _ = run(photo, network, steps=6, octaves=1, jitter=0, objective=objective)
    values = [step.losses["relu3_2"] for step in steps]
    assert values == sorted(values)
    assert values[-1] > 1.2 * values[0]


def test_a_negative_weight_suppresses(photo, network):
    settings = {"steps": 6, "octaves": 1, "jitter": 0, "step_size": 0.005, "smoothing": 0.0}
    steps, picture = run(photo, network, layers={"relu3_2": -1.0}, **settings)
    assert energy(picture, network) < 0.9 * energy(photo, network)
    assert steps[0].losses["relu3_2"] < steps[-1].losses["relu3_2"] < 0


def test_two_layers_with_opposite_weights_part(photo, network):
    both = {"relu3_2": 1.0, "relu2_1": -1.0}
    _, picture = run(photo, network, layers=both, steps=6, octaves=1, jitter=0)
    assert energy(picture, network) > energy(photo, network)
    _, only = run(photo, network, steps=6, octaves=1, jitter=0)
    assert energy(picture, network, "relu2_1") < energy(only, network, "relu2_1")


@pytest.mark.parametrize("settings", [{"strength": 0.0}, {"step_size": 0.0}])
def test_without_a_step_the_photo_comes_back_exactly(photo, network, settings):
    _, picture = run(photo, network, **settings)
    assert torch.equal(picture, photo)


def test_strength_is_how_far_it_goes(photo, network):
    far = [
        float((run(photo, network, strength=s)[1] - photo).abs().mean()) for s in (0.1, 0.5, 1.0)
    ]
    assert far == sorted(far)
    assert far[2] > 1.5 * far[1] > 1.5 * far[0]


def test_pixels_stay_within_what_a_file_can_hold(photo, network):
    steps, picture = run(photo, network, strength=1.0, step_size=0.2)
    for image in (*(step.image for step in steps), picture):
        assert torch.equal(image, image.clamp(0, 1))


def test_octaves_end_at_the_output_size(photo, network):
    steps, picture = run(photo, network, size=48, octaves=3, octave_scale=1.2)
    assert picture.shape[-2:] == steps[-1].image.shape[-2:] == (38, 48)
    assert [s.index for s in steps] == list(range(1, 1 + steps[0].steps))
    assert len({s.scale for s in steps}) == 2  # a third one's short side would be below 32 pixels


@pytest.mark.parametrize("size", [(20, 33), (16, 16), (300, 17)])
def test_small_and_narrow_photos(photo_of, network, size):
    _, picture = run(photo_of(*size), network, octaves=None, layers={"relu5_1": 1.0})
    assert picture.shape[-2:] == size
    assert torch.isfinite(picture).all()
    assert not torch.equal(picture, photo_of(*size))


def test_any_step_finishes_at_the_output_size_with_the_photos_details(photo, network):
    dream = prepare(photo, network, strength=1e-4)
    first = next(dream.steps())
    assert first.image.shape[-2:] != photo.shape[-2:]
    assert float((dream.finish(first.image) - photo).abs().max()) < 1e-3


def test_the_seed_decides(photo, network):
    _, one = run(photo, network, seed=1)
    _, again = run(photo, network, seed=1)
    _, other = run(photo, network, seed=2)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@contextlib.contextmanager
def threads_at(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class OnOneThread(torch.autograd.Function):
    """A network's activations and their gradient, computed on one thread at any setting."""

    @staticmethod
    def forward(ctx, image, network, layers):
        with threads_at(1), torch.enable_grad():
            ctx.leaf = image.detach().requires_grad_(True)
            found = network(ctx.leaf, layers)
        ctx.maps = [found[name] for name in layers]
        return tuple(found.detach() for found in ctx.maps)

    @staticmethod
    def backward(ctx, *gradients):
        with threads_at(1):
            (gradient,) = torch.autograd.grad(ctx.maps, ctx.leaf, gradients)
        return gradient, None, None


class OneThreadNetwork:
    """A network that gives the same bits at any number of threads."""

    def __init__(self, network):
        self.network = network

    def __getattr__(self, name):
        return getattr(self.network, name)

    def __call__(self, image, layers):
        layers = list(layers)
        maps = OnOneThread.apply(image, self.network, layers)
        return dict(zip(layers, maps, strict=True))


THREADS = (1, 2, 3, 4)
PRECISIONS = [torch.float32, torch.bfloat16]
LARGE = (112, 144)  # torch splits a sum of more than 32,768 values between its threads


def pictures_by_threads(photo, network):
    """The finished picture at each number of threads."""
    found = []
    for threads in THREADS:
        with threads_at(threads):
            found.append(run(photo, network, layers={"relu3_4": 1.0}, steps=2)[1])
    return found


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_the_same_picture_at_any_number_of_threads(photo_of, vgg, dtype):
    """All that cnnart itself adds up; see the next test for the network's convolutions."""
    network = OneThreadNetwork(FeatureExtractor(vgg, dtype=dtype))
    first, *others = pictures_by_threads(photo_of(*LARGE), network)
    assert all(torch.equal(picture, first) for picture in others)


@pytest.mark.parametrize("size", [(48, 64), (64, 96)])
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-3)])
def test_threads_change_no_more_than_the_networks_own_kernels_do(photo_of, vgg, dtype, most, size):
    """Bit for bit the same picture wherever the convolutions are; else one that looks the same.

    Which processors have convolutions that do not depend on the number of threads is not ours to
    promise: MKL's float32 matrix products, which torch takes for small pictures, split a sum
    between threads on some (with AVX-512 already between two), oneDNN's gradients on others. On
    average the dream changes a pixel by 2e-2.
    """
    network, photo = FeatureExtractor(vgg, dtype=dtype), photo_of(*size)
    octaves = octave_sizes(*size, resolve_preset(CONFIG), 8)
    first, *others = pictures_by_threads(photo, network)
    if kernels_ignore_threads(network, [resize(photo, *octave) for octave in octaves]):
        assert all(torch.equal(picture, first) for picture in others)
    assert max(float((picture - first).abs().mean()) for picture in others) < most


def kernels_ignore_threads(network, pictures):
    """Whether activations and gradients come out bit for bit alike at any number of threads."""
    for picture in pictures:
        found = []
        for threads in THREADS:
            with threads_at(threads):
                leaf = picture.clone().requires_grad_(True)
                maps = network(leaf, ["relu3_4"])["relu3_4"]
                (gradient,) = torch.autograd.grad(maps.float().square().sum(), leaf)
            found.append((maps.detach(), gradient))
        if not all(torch.equal(a, b) for one in found for a, b in zip(one, found[0], strict=True)):
            return False
    return True


def test_tiles_dream_as_the_whole_picture_does(photo_of, network):
    photo = photo_of(140, 200)
    _, whole = run(photo, network, octaves=1, steps=2)
    _, tiled = run(photo, network, octaves=1, steps=2, tile=64)
    assert float((whole - tiled).abs().mean()) < 1e-5  # a pool may decide a tie otherwise


# Masks, colors, guides.


def test_outside_the_mask_nothing_changes(photo, network):
    mask = torch.zeros(1, 1, 64, 80)
    mask[..., :32, :40] = 1
    _, picture = run(photo, network, mask=mask, feather=0.05)
    changed = (picture - photo).abs().sum(1, keepdim=True) > 0
    assert not changed[mask == 0].any()
    assert changed[..., 4:24, 4:32].float().mean() > 0.9


def test_a_mask_fades_toward_its_border(photo, network):
    mask = torch.zeros(1, 1, 64, 80)
    mask[..., :, :40] = 1
    feathered = prepare(photo, network, mask=mask, feather=0.05).mask
    row = feathered[0, 0, 32]
    assert row[40:].max() == 0
    assert row[0] == pytest.approx(1, abs=1e-3)
    assert (row[30:40].diff() < 0).all()
    sharp = prepare(photo, network, mask=mask, feather=0.0).mask
    assert torch.equal(sharp, mask)


def test_luma_keeps_the_chroma(photo, network):
    _, picture = run(photo, network, color="luma", strength=0.2)
    chroma = (picture - picture.mean(1, keepdim=True)) - (photo - photo.mean(1, keepdim=True))
    inside = ((picture > 0) & (picture < 1)).all(1, keepdim=True).expand_as(picture)
    assert float(chroma[inside].abs().max()) < 1e-4
    assert not torch.equal(picture, photo)


@pytest.mark.parametrize("mode", ["keep", "histogram"])
def test_kept_colors_are_nearer_to_the_photos(photo, network, mode):
    def away(picture):
        return float((picture.mean((2, 3)) - photo.mean((2, 3))).abs().sum())

    _, kept = run(photo, network, color=mode, strength=1.0, step_size=0.1)
    _, free = run(photo, network, color="style", strength=1.0, step_size=0.1)
    assert away(kept) < 0.5 * away(free)


def test_a_guide_takes_the_presets_place(photo, painting, network):
    plain, guided = (prepare(photo, network, layers=None, **g) for g in ({}, {"guide": painting}))
    assert plain.layers == ["relu4_3"]
    assert guided.layers == ["relu5_3"]
    own = prepare(photo, network, guide=painting)
    assert own.layers == ["relu3_2"]


def test_a_guide_pulls_toward_itself(photo, painting, network):
    def similarity(picture):
        guides = dream_module.guide_vectors(network, painting, ["relu3_2"])["relu3_2"]
        units = network(picture, ["relu3_2"])["relu3_2"].flatten(2)[0].T
        return float((torch.nn.functional.normalize(units) @ guides.T).amax(1).mean())

    settings = {"octaves": 1, "steps": 6, "jitter": 0, "step_size": 0.005}
    _, guided = run(photo, network, guide=painting, **settings)
    _, free = run(photo, network, **settings)
    assert similarity(guided) > similarity(photo)
    assert similarity(guided) > similarity(free)


# Other networks.


def test_any_network_dreams(photo):
    network = open_network("efficientnet-lite0", device="cpu")
    steps, picture = run(photo, network, layers={"blocks.2": 1.0}, steps=4, octaves=1, jitter=0)
    assert steps[-1].losses["blocks.2"] > 1.2 * steps[0].losses["blocks.2"]
    assert picture.shape == photo.shape


def test_a_network_without_tiles_says_so_when_memory_is_short(photo):
    network = open_network("efficientnet-lite0", device="cpu")
    config = dataclasses.replace(CONFIG, layers={"blocks.2": 1.0})
    with pytest.raises(OutOfMemory, match=r"80x64 needs about .* with this network"):
        DeepDream(photo, config, network, limits=Limits(memory=1))


def test_a_network_without_tiles_says_so_when_memory_runs_out(photo):
    network = open_network("efficientnet-lite0", device="cpu")
    dream = prepare(photo, network, layers={"blocks.2": 1.0})
    with pytest.raises(OutOfMemory, match=r"efficientnet-lite0 cannot work in tiles: .* `size`"):
        dream.objective(dream.schedule[0], 64)


# What goes wrong.


def test_dead_units_leave_the_photo_alone_and_are_told(photo, tiny):
    weight, bias = tiny.convs["conv3_2"]
    convs = {**tiny.convs, "conv3_2": (weight, torch.full_like(bias, -100.0))}
    dream = prepare(photo, FeatureExtractor(dataclasses.replace(tiny, convs=convs)))
    *_, last = dream.steps()
    assert torch.equal(dream.finish(last.image), photo)
    assert len(dream.warnings) == 1
    assert "Nothing in the photo excites these units" in dream.warnings[0]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"layers": {"relu4_9": 1.0}}, "tiny has no layer 'relu4_9'. Did you mean relu4_"),
        ({"layers": {"relu4_3": 0.0}}, "No layer has a weight"),
        ({"channels": (2, 6)}, "relu3_2 has 6 channels, 0 to 5: there is no 6."),
        ({"preset": "eyez", "layers": None}, "No dream preset 'eyez'. Did you mean eyes?"),
        ({"strength": 1.5}, "Strength 1.5 is out of range: use 0 (photo) to 1"),
        ({"neuron": (0.5, 2.0)}, "A neuron's place is x,y from 0,0"),
        ({"objective": "l3"}, "Unknown objective 'l3': use l2, mean."),
        ({"octaves": 0}, "Octaves must be at least 1, not 0."),
        ({"step_size": -1.0}, "The step size must not be negative."),
        ({"size": (8, 64), "layers": {"relu5_1": 1.0}}, "64x8 is too small for these layers"),
    ],
)
def test_what_makes_no_sense_is_said_at_once(photo, network, settings, sentence):
    with pytest.raises(UsageError) as error:
        prepare(photo, network, **settings)
    assert sentence in str(error.value)


def test_too_little_memory_is_said_before_the_start(photo_of, network):
    with pytest.raises(OutOfMemory, match="needs about"):
        DeepDream(photo_of(), CONFIG, network, limits=Limits(memory=1))


def test_a_time_budget_never_adds_steps(photo, network):
    config = dataclasses.replace(CONFIG, steps=2)
    dream = DeepDream(photo, config, network, limits=Limits(seconds=1000.0, tile=0))
    assert len(list(dream.steps())) == sum(s.iterations for s in dream.schedule)
    assert dream.warnings == ["Time budget: 2 at 57x46, 2 at 80x64 steps."]


def test_a_short_time_budget_still_gives_a_picture(photo, network):
    dream = DeepDream(photo, CONFIG, network, limits=Limits(seconds=1e-3, tile=0))
    *_, last = dream.steps()
    assert dream.finish(last.image).shape == photo.shape
    assert last.index < 6


def test_a_preset_of_channels_is_no_preset_of_another_network(photo, tiny):
    weight, bias = tiny.convs["conv5_3"]
    wide = {**tiny.convs, "conv5_3": (weight.repeat(86, 1, 1, 1)[:512], bias.repeat(86)[:512])}
    network = FeatureExtractor(dataclasses.replace(tiny, convs=wide))
    dream = DeepDream(photo, DreamConfig(preset="birds"), network, limits=Limits(tile=0))
    assert len(dream.warnings) == 1
    assert "The channels of the preset birds are those of vgg19: in tiny" in dream.warnings[0]
