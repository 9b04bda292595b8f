"""A VGG-19 of random weights: the embedded one's layout, at no cost."""

import torch

from cnnart.weights.backbones import VGGWeights
from tests.helpers.pictures import generator

VGG19_LAYOUT = (2, 2, 4, 4, 4)


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
