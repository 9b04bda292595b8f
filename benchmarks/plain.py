"""Neural style transfer as Gatys, Ecker and Bethge describe it: the loop that others run.

One scale, float32, L-BFGS on the pixels from noise; VGG-19 with max pooling, content at relu4_2,
style at relu1_1 to relu5_1 as Gram matrices. The weights of the losses, their normalization and
the optimizer's settings are those of neural-style-pt (PyPI ``neural-style`` 0.5.7), whose defaults
most people run: content 5, style 100, TV 1e-3; Gram matrices over C * H * W; mean squared errors;
no line search, a history of 100. It reads cnnart's copy of the weights and uses none of its code.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.weights.vgg import load_vgg

CONTENT_LAYERS = ("4_2",)
STYLE_LAYERS = ("1_1", "2_1", "3_1", "4_1", "5_1")
CONTENT_WEIGHT, STYLE_WEIGHT, TV_WEIGHT = 5.0, 100.0, 1e-3
HISTORY = 100
NOISE = 0.001  # deviation of the first picture, in units of 0..255


class PlainVGG19:
    """The original network on its original scale: RGB 0..255 minus the mean."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        weights = load_vgg("vgg19")
        self.mean = 255 * torch.tensor(weights.mean, device=device).view(1, 3, 1, 1)
        # cnnart divides every bias by 255 to take pictures in [0, 1]; this undoes it.
        self._convs = {
            name.removeprefix("conv"): (weight.to(device), bias.to(device) * 255)
            for name, (weight, bias) in weights.convs.items()
        }

    def __call__(self, x: Tensor) -> dict[str, Tensor]:
        """Activations after ReLU by name (``4_2``), up to the deepest one needed."""
        found = {}
        for name, (weight, bias) in self._convs.items():
            if name.endswith("_1") and name != "1_1":
                x = F.max_pool2d(x, 2)
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
            if name in CONTENT_LAYERS or name in STYLE_LAYERS:
                found[name] = x
            if name == STYLE_LAYERS[-1]:
                break
        return found


def gram(features: Tensor) -> Tensor:
    """Gram matrix over channels * height * width, as neural-style-pt divides it."""
    flat = features[0].flatten(1)
    return flat @ flat.T / features.numel()


def tv_loss(x: Tensor) -> Tensor:
    rows = (x[..., 1:, :] - x[..., :-1, :]).abs().sum()
    return rows + (x[..., 1:] - x[..., :-1]).abs().sum()


def plain_loop(photo: Tensor, style: Tensor, evaluations: int, seed: int = 0) -> Iterator[Tensor]:
    """Yields, after each evaluation, the picture so far: ``1x3xHxW`` in [0, 1] up to clamping.

    ``photo`` and ``style`` are ``1x3xHxW`` in [0, 1] at the sizes and on the device to be used.
    """
    network = PlainVGG19(photo.device)
    with torch.no_grad():
        found = network(255 * photo - network.mean)
        contents = {name: found[name] for name in CONTENT_LAYERS}
        found = network(255 * style - network.mean)
        grams = {name: gram(found[name]) for name in STYLE_LAYERS}
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(seed))
    x = (NOISE * noise).to(photo.device).requires_grad_(True)
    # One iteration per call makes the same sequence as one call with many, and can be watched.
    optimizer = torch.optim.LBFGS(
        [x], max_iter=1, history_size=HISTORY, tolerance_grad=-1, tolerance_change=-1
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        found = network(x)
        loss = TV_WEIGHT * tv_loss(x)
        for name, target in contents.items():
            loss = loss + CONTENT_WEIGHT * F.mse_loss(found[name], target)
        for name, target in grams.items():
            loss = loss + STYLE_WEIGHT * F.mse_loss(gram(found[name]), target)
        loss.backward()
        return loss

    for _ in range(evaluations):
        optimizer.step(closure)
        yield (x.detach() + network.mean) / 255
