"""A classifier that looks at one patch only, so that the important pixels are known."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from cnnart.networks.module import Intake, ModuleNetwork

SIDE = 32
CLASSES = ["nothing", "patch", "tree frog", "fire engine"]
ROWS, COLUMNS = slice(4, 9), slice(9, 14)  # units that count, of 16 x 16
PIXELS = (slice(7, 19), slice(17, 29))  # what they see: unit i sees 2i - 1 to 2i + 1, generously


def probe_model(seed: int = 0) -> nn.Sequential:
    """Convolution, ReLU6, and a linear layer that reads the patch's units."""
    rng = torch.Generator().manual_seed(seed)
    conv, head = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Linear(6 * 16 * 16, len(CLASSES))
    with torch.no_grad():
        conv.weight.copy_(torch.randn(conv.weight.shape, generator=rng) * 0.4)
        conv.bias.copy_(torch.rand(conv.bias.shape, generator=rng) * 0.1)
        reading = torch.zeros(len(CLASSES), 6, 16, 16)
        weights = torch.randn(len(CLASSES), 6, 5, 5, generator=rng) * 0.2
        reading[1:, :, ROWS, COLUMNS] = weights[1:]
        head.weight.copy_(reading.flatten(1))
        head.bias.copy_(torch.tensor([3.0, 0.0, 0.0, 0.0]))
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU6(), flat=nn.Flatten(), out=head))


def probe_network(seed: int = 0) -> ModuleNetwork:
    """The model as a Network of 32 x 32 pixels, pictures as they are."""
    intake = Intake((0.0,) * 3, (1.0,) * 3, SIDE, SIDE + 4, classes=CLASSES)
    return ModuleNetwork("probe", probe_model(seed), intake)


def make_probe() -> nn.Module:
    """For ``--backbone inspect_probes:make_probe``."""
    model = probe_model()
    model.mean, model.std = (0.0,) * 3, (1.0,) * 3
    model.input_size, model.resize, model.classes = SIDE, SIDE + 4, CLASSES
    return model


def noise_picture(seed: int = 0) -> Tensor:
    """1x3x32x32 of noise: every pixel of the patch could matter."""
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def inside_share(saliency: Tensor) -> float:
    """How much of a map (1x1x32x32) lies on the patch's pixels."""
    return float(saliency[0, 0][PIXELS].sum() / saliency.sum())
