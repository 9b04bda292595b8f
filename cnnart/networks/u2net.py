"""U2-Net-P: the salient subject of a picture (Qin et al. 2020, arXiv:2005.09007), embedded.

A U of blocks each of which is a U itself: so each place is seen with its surroundings, far and
near, at every size. "P" is the small one: 16 channels within a block, 64 between them. Batch norm
is folded into the convolutions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnart.image.picture import resize
from cnnart.weights.embedded import embedded_module

NAME = "u2netp"
SIDE = 320  # of the square it was trained on
CHANNELS, INNER = 64, 16
HEIGHTS = (7, 6, 5, 4)  # convolutions down each block; the two deepest blocks are flat
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def convolution(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation), nn.ReLU()
    )


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, 2, ceil_mode=True)


class UBlock(nn.Module):
    """The paper's RSU: a U with ``height`` steps down, added to what goes into it.

    ``flat``: the RSU-4F, which dilates its convolutions where others halve the picture.
    """

    def __init__(self, inputs: int, height: int, *, flat: bool = False) -> None:
        super().__init__()
        dilations = [2**n if flat else 1 for n in range(height - 1)]
        channels = [CHANNELS, *[INNER] * (height - 2)]
        self.flat = flat
        self.entry = convolution(inputs, CHANNELS)
        self.down = nn.ModuleList(
            convolution(c, INNER, d) for c, d in zip(channels, dilations, strict=True)
        )
        self.bottom = convolution(INNER, INNER, 2 ** (height - 1) if flat else 2)
        self.up = nn.ModuleList(
            convolution(2 * INNER, c, d)
            for c, d in zip([*[INNER] * (height - 2), CHANNELS], reversed(dilations), strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = entry = self.entry(x)
        seen: list[Tensor] = []
        for down in self.down:
            x = down(halved(x) if seen and not self.flat else x)
            seen.append(x)
        x = self.bottom(x)
        for up in self.up:
            beside = seen.pop()
            x = up(torch.cat((enlarged(x, beside), beside), 1))
        return x + entry


class U2NetP(nn.Module):
    """``Bx3xHxW`` normalized pictures -> ``Bx1xHxW`` in [0, 1]: how salient each pixel is."""

    def __init__(self) -> None:
        super().__init__()
        down = [UBlock(3 if n == 0 else CHANNELS, h) for n, h in enumerate(HEIGHTS)]
        deepest = [UBlock(CHANNELS, 4, flat=True), UBlock(CHANNELS, 4, flat=True)]
        up = [UBlock(2 * CHANNELS, h) for h in reversed(HEIGHTS)]
        self.down = nn.ModuleList([*down, *deepest])
        self.up = nn.ModuleList([UBlock(2 * CHANNELS, 4, flat=True), *up])
        levels = len(self.down)
        self.sides = nn.ModuleList(nn.Conv2d(CHANNELS, 1, 3, padding=1) for _ in range(levels))
        self.fuse = nn.Conv2d(levels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen: list[Tensor] = []
        for down in self.down:
            x = down(halved(x) if seen else x)
            seen.append(x)
        levels = [seen.pop()]
        for up in self.up:
            beside = seen.pop()
            levels.append(up(torch.cat((enlarged(levels[-1], beside), beside), 1)))
        maps = [side(level) for side, level in zip(self.sides, reversed(levels), strict=True)]
        return torch.sigmoid(self.fuse(torch.cat([enlarged(m, maps[0]) for m in maps], 1)))


@torch.no_grad()
def subject_map(photo: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """How salient each part of a photo is: ``1x1x320x320`` in [0, 1] over all of it, on the CPU.

    ``photo``: ``1x3xHxW`` in [0, 1]. Raises WeightsError where the network's file is damaged.
    """
    device = torch.device(device)
    picture = resize(photo, SIDE, SIDE).to(device)
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return embedded_module(U2NetP, NAME, device)((picture - mean) / std).float().cpu()
