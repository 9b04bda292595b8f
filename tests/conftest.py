"""Fixtures of several test files: pictures from a seed, the embedded VGG-19 and a tiny one."""

import pytest
import torch

from cnnart.networks.vgg import FeatureExtractor
from cnnart.weights.vgg import load_vgg
from tests.helpers.pictures import make_painting, make_photo
from tests.helpers.tiny_vgg import tiny_weights


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


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
    """A function ``(height, width, seed, color)`` -> painting."""
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
