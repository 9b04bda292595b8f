"""Moving pictures about: random transforms before a network sees them, and the zoom of a flight.

What excites a unit only at one exact position is noise; what still does so after random jitter,
scale and rotation is a shape ("transformation robustness", Mordvintsev et al. 2015; Olah,
Mordvintsev and Schubert 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import center_crop

GRAY = 0.5  # what lies outside a picture


@dataclass(frozen=True)
class RandomTransform:
    """How far pictures are moved at random before a network sees them.

    ``jitter``: pixels each way, applied twice; ``scale``: 0.1 for 10 % smaller to 10 % larger;
    ``rotate``: degrees each way.
    """

    jitter: float = 0.0
    scale: float = 0.0
    rotate: float = 0.0

    def margin(self, height: int, width: int) -> int:
        """Pixels of canvas around a picture that usually suffice: half of the farthest move."""
        turned = self.scale + math.sin(math.radians(min(self.rotate, 90)))
        return math.ceil((2 * self.jitter + max(height, width) / 2 * turned) / 2)

    def __call__(
        self,
        canvases: Tensor,
        generator: torch.Generator,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """Cut pictures out of ``canvases`` (``B x C x H x W``), all moved in the same random way.

        Jitter, scale, rotation and jitter again (a second shift, because the first is rotated too)
        are one affine map and one bilinear sampling, differentiable; gray comes in from outside
        the canvas.

        Args:
            generator: the map is drawn from it, on the CPU.
            size: (height, width) of the pictures, cut from the middle; None: the canvas's own.
        """
        height, width = size or canvases.shape[-2:]
        canvas = (canvases.shape[-2], canvases.shape[-1])
        theta = self.drawn(generator, canvas, (height, width))
        return self.moved(canvases, theta.to(canvases), (height, width))

    def drawn(
        self, generator: torch.Generator, canvas: tuple[int, int], size: tuple[int, int]
    ) -> Tensor:
        """A random map, ``2x3`` on the CPU, from a picture of this size into the canvas."""
        if self == RandomTransform():
            return torch.eye(2, 3)
        (height, width), (rows, columns) = size, canvas
        drawn = torch.rand(6, generator=generator).mul(2).sub(1)
        first, _, _, second = drawn.split([2, 1, 1, 2])
        _, _, scale, angle, _, _ = drawn.tolist()
        zoom = math.exp(scale * math.log1p(self.scale))
        turn = math.radians(angle * self.rotate)
        rotation = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        matrix = torch.tensor(rotation) / zoom
        shift = matrix @ (first * self.jitter) + second * self.jitter
        # affine_grid counts in half-widths and half-heights: of the picture, then of the canvas.
        inner = torch.tensor([width / 2, height / 2])
        outer = torch.tensor([columns / 2, rows / 2])
        return torch.cat([matrix * inner / outer[:, None], (shift / outer)[:, None]], dim=1)

    def moved(self, canvases: Tensor, theta: Tensor, size: tuple[int, int]) -> Tensor:
        """What a map that was drawn makes of the canvases, on whose device it is."""
        if self == RandomTransform():
            return center_crop(canvases, *size)
        shape = [*canvases.shape[:2], *size]
        theta = theta.expand(len(canvases), 2, 3)
        grid = F.affine_grid(theta, shape, align_corners=False)
        moved = F.grid_sample(canvases - GRAY, grid, padding_mode="zeros", align_corners=False)
        return moved + GRAY


def zoom_picture(image: Tensor, zoom: float = 1.0, rotate: float = 0.0) -> Tensor:
    """``image`` (``B x C x H x W``) enlarged and rotated about its center, at the same size.

    Bicubic; what comes in from outside is the picture's own mirror image. A zoom of 1 and a
    rotation of 0 return ``image`` itself.

    Args:
        zoom: 1.03 comes 3 % nearer, below 1 moves away.
        rotate: degrees, counter-clockwise.

    Raises UsageError for a zoom that is not above zero.
    """
    if not (0 < zoom < math.inf):
        raise UsageError(f"A zoom of {zoom:g} is not possible: 1.03 comes nearer, 0.97 moves away.")
    if zoom == 1 and rotate % 360 == 0:
        return image
    turn = math.radians(rotate)
    ratio = image.shape[-2] / image.shape[-1]
    # affine_grid counts in half-widths and half-heights, so a rotation also changes the unit.
    theta = torch.tensor(
        [
            [math.cos(turn), -math.sin(turn) * ratio, 0],
            [math.sin(turn) / ratio, math.cos(turn), 0],
        ]
    )
    theta = (theta / torch.tensor([zoom, zoom, 1])).to(image).expand(len(image), 2, 3)
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    moved = F.grid_sample(
        image, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return moved.clamp(0, 1)  # bicubic overshoots at edges
