"""Pictures from a seed and two networks: the embedded VGG-19, and a tiny one of the same layout."""

import pytest
import torch

from cnnart.features import FeatureExtractor
from cnnart.weights import load_vgg
from cnnart.weights.backbones import VGGWeights

VGG19_LAYOUT = (2, 2, 4, 4, 4)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def make_photo(height=64, width=80, seed=0):
    """A sky over a dark hill with a bright disc, and a little noise: smooth areas and edges."""
    y = torch.linspace(0, 1, height)[:, None].expand(height, width)
    x = torch.linspace(0, 1, width)[None].expand(height, width)
    sky = torch.stack((0.45 + 0.2 * y, 0.6 + 0.1 * x, 0.85 - 0.2 * y))
    hill = torch.stack((0.25 + 0.1 * x, 0.35 - 0.1 * y, 0.2 + 0.1 * x))
    disc = torch.tensor([0.9, 0.8, 0.4]).view(3, 1, 1)
    picture = torch.where(y > 0.6 + 0.15 * torch.sin(5 * x), hill, sky)
    picture = torch.where((x - 0.7) ** 2 + (y - 0.3) ** 2 < 0.02, disc, picture)
    noise = 0.02 * torch.randn(3, height, width, generator=generator(seed))
    return (picture + noise).clamp(0, 1)[None]


def make_painting(height=72, width=60, seed=1, colour=(0.7, 0.4, 0.15)):
    """Diagonal strokes in one colour, of random lightness: a texture with a palette of its own."""
    y = torch.arange(height)[:, None]
    x = torch.arange(width)[None]
    lightness = 0.4 + 0.8 * torch.rand(16, generator=generator(seed))
    strokes = lightness[((x + 2 * y) // 5 % 16).flatten()].view(1, height, width)
    noise = 0.05 * torch.randn(3, height, width, generator=generator(seed + 1))
    return (torch.tensor(colour).view(3, 1, 1) * strokes + noise).clamp(0, 1)[None]


def tiny_weights(channels=6, seed=0):
    """A VGG-19 of random weights with a handful of channels: its geometry, at no cost."""
    rng, convs, inputs = generator(seed), {}, 3
    for block, count in enumerate(VGG19_LAYOUT, start=1):
        for index in range(1, count + 1):
            scale = (2 / (9 * inputs)) ** 0.5  # He et al. 2015: activations keep their size
            weight = scale * torch.randn(channels, inputs, 3, 3, generator=rng)
            convs[f"conv{block}_{index}"] = (weight, 0.1 * torch.randn(channels, generator=rng))
            inputs = channels
    return VGGWeights("tiny", convs, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "0" * 64)


@pytest.fixture(scope="session")
def photo():
    """``1x3x64x80`` in [0, 1]."""
    return make_photo()


@pytest.fixture(scope="session")
def painting():
    """``1x3x72x60`` in [0, 1]."""
    return make_painting()


@pytest.fixture(scope="session")
def photo_of():
    """A function ``(height, width, seed)`` -> photo."""
    return make_photo


@pytest.fixture(scope="session")
def painting_of():
    """A function ``(height, width, seed, colour)`` -> painting."""
    return make_painting


@pytest.fixture(scope="session")
def vgg():
    """The embedded weights."""
    return load_vgg()


@pytest.fixture(scope="session")
def features(vgg):
    """The embedded VGG-19 in float32 on the CPU."""
    return FeatureExtractor(vgg)


@pytest.fixture(scope="session")
def tiny():
    """Weights of a VGG-19 with six random channels per layer."""
    return tiny_weights()
