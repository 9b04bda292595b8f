"""What stands for a picture when pictures are compared: its features and its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.image import resize

if TYPE_CHECKING:
    from cnnart.networks import Network

PIXELS = 32  # pictures are compared pixel by pixel at 32 x 32, as in CIFAR-10
SIDE, SHORT_SIDE = 224, 256  # of networks that do not say how they want their pictures


class Descriptor:
    """From a picture to the features of a layer (pooled over places) and to its pixels.

    Args:
        network: any; a classifier prepares pictures as it was trained on them.
        layer: whose activations count.

    Raises UsageError for a layer the network does not have.
    """

    def __init__(self, network: Network, layer: str) -> None:
        network.check_layers([layer])
        self.network = network
        self.layer = layer

    @property
    def made_with(self) -> dict[str, str]:
        """What the features depend on."""
        return {
            "network": self.network.name,
            "weights": self.network.sha256,
            "layer": self.layer,
            "precision": str(self.network.dtype).removeprefix("torch."),
        }

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features (``D``, float32, of length 1) and pixels (``3072``, uint8) of ``1x3xHxW``.

        Of length 1, so that pictures are compared by direction: contrast matters less.
        """
        with torch.no_grad():
            prepared = self._prepared(image.to(self.network.device))
            found = self.network(prepared, [self.layer])[self.layer].float()
        if found.ndim > 2:  # over the places of a map, or over tokens (BxNxC)
            found = found.mean((2, 3) if found.ndim == 4 else 1)
        pixels = (resize(image.cpu(), PIXELS, PIXELS) * 255).round().byte()
        return F.normalize(found.flatten(), dim=0).cpu(), pixels.flatten()

    def _prepared(self, image: Tensor) -> Tensor:
        if hasattr(self.network, "prepare"):
            prepared: Tensor = self.network.prepare(image)
            return prepared
        height, width = image.shape[-2:]
        scale = SHORT_SIDE / min(height, width)
        image = resize(image, max(SIDE, round(height * scale)), max(SIDE, round(width * scale)))
        top, left = (image.shape[-2] - SIDE) // 2, (image.shape[-1] - SIDE) // 2
        return image[..., top : top + SIDE, left : left + SIDE]


def last_layer(network: Network) -> str:
    """The layer whose features stand for a picture unless another is named.

    What the last linear layer, which tells the classes, takes in: 4,096 values in AlexNet and VGG,
    the pooled maps in later networks. Without one, the last layer.
    """
    names = [name for name in network.geometry if name != "logits"]
    linear = [name for name in names if network.kind(name) == "linear"]
    if linear and names[0] != linear[-1]:
        return names[names.index(linear[-1]) - 1]
    return names[-1]
