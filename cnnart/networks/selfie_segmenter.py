"""MediaPipe's selfie segmenter: which pixels are people, embedded.

A MobileNetV3 (Howard et al. 2019, arXiv:1905.02244) and a small decoder, as Google published it for
video calls (the "general" model, 256 x 256).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnart.image.picture import resize
from cnnart.networks.same_convolution import SameConv2d
from cnnart.weights.embedded import embedded_module

NAME = "selfie-segmenter"
SIDE = 256  # of the square it was trained on

# kernel, stride, channels within, squeezed channels (0: no gate), channels out, h-swish
BLOCKS = (
    (3, 2, 16, 8, 16, False),
    (3, 2, 72, 0, 24, False),
    (3, 1, 88, 0, 24, False),
    (5, 2, 96, 24, 32, True),
    (5, 1, 128, 32, 32, True),
    (5, 1, 128, 32, 32, True),
    (5, 1, 96, 24, 32, True),
    (5, 1, 96, 24, 32, True),
)
STEM, HEAD = 16, 128


class Gate(nn.Module):
    """Squeeze and excitation: a factor in (0, 1) for each channel, from its mean."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Block(nn.Module):
    """Mobile inverted bottleneck: wide, by channel, gated, narrow."""

    def __init__(
        self, inputs: int, kernel: int, stride: int, wide: int, squeezed: int, out: int, swish: bool
    ) -> None:
        super().__init__()
        self.activation = nn.Hardswish() if swish else nn.ReLU()
        self.expand = nn.Conv2d(inputs, wide, 1)
        self.depthwise = SameConv2d(wide, wide, kernel, stride, depthwise=True)
        self.gate = Gate(wide, squeezed) if squeezed else None
        self.project = nn.Conv2d(wide, out, 1)
        self.residual = stride == 1 and inputs == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation(self.depthwise(self.activation(self.expand(x))))
        y = self.project(y if self.gate is None else y * self.gate(y))
        return x + y if self.residual else y


class UpBlock(nn.Module):
    """Twice as large, joined with the encoder's map of that size through a gate."""

    def __init__(self, inputs: int, out: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(inputs, out, 1)
        self.gate = Gate(out, out)
        self.mix = nn.Conv2d(out, out, 1)
        self.depthwise = SameConv2d(out, out, 3, depthwise=True)

    def forward(self, x: Tensor, beside: Tensor) -> Tensor:
        x = self.reduce(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        x = self.mix(beside * self.gate(beside + x) + x).relu()
        return x + self.depthwise(x).relu()


class SelfieSegmenter(nn.Module):
    """``Bx3x256x256`` in [0, 1] -> ``Bx1x256x256`` in [0, 1]: how surely each pixel is a person."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, STEM, 3, 2)
        blocks, inputs = [], STEM
        for block in BLOCKS:
            blocks.append(Block(inputs, *block))
            inputs = block[4]
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Conv2d(inputs, HEAD, 1)
        self.head_gate = nn.Conv2d(inputs, HEAD, 1)
        channels = [HEAD, 24, 16, STEM]
        self.up = nn.ModuleList(map(UpBlock, channels[:-1], channels[1:]))
        self.out = nn.ConvTranspose2d(STEM, 1, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.stem(x))
        seen = [x]  # the last map of each size
        for block in self.blocks:
            x = block(x)
            if x.shape == seen[-1].shape:
                seen[-1] = x
            else:
                seen.append(x)
        x = self.head(x).relu() * self.head_gate(x.mean((2, 3), keepdim=True)).sigmoid()
        for up, beside in zip(self.up, reversed(seen[:-1]), strict=True):
            x = up(x, beside)
        return self.out(x).sigmoid()


@torch.no_grad()
def person_map(photo: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """How surely each part of a photo is a person: ``1x1x256x256`` in [0, 1] over all of it.

    ``photo``: ``1x3xHxW`` in [0, 1]; the map is on the CPU. Raises WeightsError where the network's
    file is damaged.
    """
    device = torch.device(device)
    return (
        embedded_module(SelfieSegmenter, NAME, device)(resize(photo, SIDE, SIDE).to(device))
        .float()
        .cpu()
    )
