"""AlexNet's convolutions, as torchvision has them (Krizhevsky, arXiv:1404.5997)."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

# channels out, kernel, stride, padding, and whether a pool follows
CONVOLUTIONS = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


def alexnet_convolutions() -> nn.Sequential:
    """conv1, relu1, pool1, ..., conv5, relu5, pool5; normalized pictures in."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 3
    for number, (outputs, kernel, stride, padding, pooled) in enumerate(CONVOLUTIONS, start=1):
        parts[f"conv{number}"] = nn.Conv2d(inputs, outputs, kernel, stride, padding)
        parts[f"relu{number}"] = nn.ReLU()
        if pooled:
            parts[f"pool{number}"] = nn.MaxPool2d(3, 2)
        inputs = outputs
    return nn.Sequential(parts)
