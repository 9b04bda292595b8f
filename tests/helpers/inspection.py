"""For the tests of inspect: networks small enough to check by hand, and lists of pictures.

``SmallNetwork`` has two convolutions; the probe is a classifier that looks at one patch only, so
that the important pixels are known.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnart.errors import UsageError
from cnnart.methods.inspect.pictures import Item
from cnnart.networks.base import LayerGeometry, ReceptiveField
from cnnart.networks.module import ModuleNetwork, Preprocessing

SIDE = 32
CLASSES = ["nothing", "patch", "tree frog", "fire engine"]
ROWS, COLUMNS = slice(4, 9), slice(9, 14)  # units that count, of 16 x 16
PIXELS = (slice(7, 19), slice(17, 29))  # what they see: unit i sees 2i - 1 to 2i + 1, generously

FIELDS = {"conv1": ReceptiveField(3, 2, 1), "conv2": ReceptiveField(7, 2, 3)}


class SmallNetwork:
    """Two convolutions of random weights: 3 -> 4 channels at stride 2, and 4 -> 5."""

    name = "small"
    sha256 = "0" * 64
    device = torch.device("cpu")
    dtype = torch.float32
    geometry = {"conv1": LayerGeometry(2, 1, 4), "conv2": LayerGeometry(2, 3, 5)}  # noqa: RUF012

    def __init__(self, seed: int = 0) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.first = torch.randn(4, 3, 3, 3, generator=rng)
        self.second = torch.randn(5, 4, 3, 3, generator=rng)

    def check_layers(self, layers: Iterable[str]) -> None:
        for layer in layers:
            if layer not in self.geometry:
                raise UsageError(f"small has no layer {layer!r}.")

    def smallest_side(self, layers: Iterable[str]) -> int:
        return 2

    def halo(self, layers: Iterable[str]) -> int:
        return 3

    def kind(self, layer: str) -> str:
        return "conv"

    def receptive_field(self, layer: str) -> ReceptiveField:
        return FIELDS[layer]

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        first = F.conv2d(image - 0.5, self.first, stride=2, padding=1)
        found = {"conv1": first, "conv2": F.conv2d(F.relu(first), self.second, padding=1)}
        return {layer: found[layer] for layer in layers}


def noise_items(count: int, height: int = 20, width: int = 26) -> list[Item]:
    """Pictures of noise, each with a seed of its own."""

    def read(seed: int) -> Tensor:
        return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))

    return [
        Item(f"{n:03}.png", lambda n=n: read(n), (n, n))
        for n in range(count)  # type: ignore[misc]
    ]


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


def probe_network(seed: int = 0, device: torch.device | str = "cpu") -> ModuleNetwork:
    """The model as a Network of 32 x 32 pixels, pictures as they are."""
    preprocessing = Preprocessing((0.0,) * 3, (1.0,) * 3, SIDE, SIDE + 4, classes=CLASSES)
    return ModuleNetwork("probe", probe_model(seed), preprocessing, device=device)


def make_probe() -> nn.Module:
    """For ``--backbone tests.helpers.inspection:make_probe``."""
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
