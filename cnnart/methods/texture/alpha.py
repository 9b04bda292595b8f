"""Transparency for the neural method, whose network sees colors only.

The exemplar is laid on a background of a color that it does not have itself, so its holes are part
of what is synthesized. In the result each pixel gets the alpha that pixels with the same
neighborhood have in the exemplar (after the image analogies of Hertzmann et al. 2001), and the
background's share is taken out of its color again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.image.picture import Picture
from cnnart.methods.texture.config import TextureConfig
from cnnart.methods.texture.neural import NeuralTexture
from cnnart.networks.vgg import FeatureExtractor

CONSTANT_RANGE = 2 / 255  # alpha that varies by less than this is one value throughout
SAMPLES = 4096  # neighborhoods of the exemplars that the result's are compared with
NEIGHBORS = 3  # of them whose alpha is averaged
NEIGHBORHOOD = 5  # pixels a side
CHUNK = 1 << 14  # pixels compared at once
MIN_ALPHA = 0.1  # below it a pixel's own color cannot be told from the background's


class MatteBackground:
    """Exemplars with varying alpha, laid on a background of a color of its own.

    ``exemplars``: ``1x3xHxW`` each. ``is_needed``: whether any of them has transparency at all.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        alphas = [torch.ones_like(p.rgb[:, :1]) if p.alpha is None else p.alpha for p in pictures]
        self.is_needed = any(float(a.min()) < 1 for a in alphas)
        spread = max(float(a.max()) for a in alphas) - min(float(a.min()) for a in alphas)
        self.is_constant = spread <= CONSTANT_RANGE
        self.alphas = alphas
        self.colors = [p.rgb for p in pictures]
        if self.is_constant:
            self.exemplars = self.colors
            return
        self.color = background_color(self.colors, alphas)
        self.exemplars = [
            rgb * a + self.color * (1 - a) for rgb, a in zip(self.colors, alphas, strict=True)
        ]

    def recover_alpha(self, image: Tensor, wrap: tuple[bool, bool], seed: int) -> Tensor:
        """``1x3xHxW`` on the background -> color and alpha, ``1x4xHxW``."""
        if self.is_constant:
            alpha = torch.full_like(image[:, :1], float(self.alphas[0].mean()))
            return torch.cat((image, alpha), 1)
        keys = torch.cat([neighborhoods(e, (False, False)) for e in self.exemplars])
        known = [
            torch.cat(pair, 1)[0].flatten(1) for pair in zip(self.colors, self.alphas, strict=True)
        ]
        values = torch.cat(known, 1).T
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(keys), generator=generator)[:SAMPLES]
        keys, values = keys[chosen], values[chosen]
        count = min(NEIGHBORS, len(keys))
        found = [
            values[torch.cdist(part, keys).topk(count, largest=False).indices].mean(1)
            for part in neighborhoods(image, wrap).split(CHUNK)
        ]
        matched = torch.cat(found).T.view(1, 4, *image.shape[-2:])
        alpha = matched[:, 3:]
        own = (image - self.color * (1 - alpha)) / alpha.clamp_min(MIN_ALPHA)
        rgb = torch.where(alpha > MIN_ALPHA, own.clamp(0, 1), matched[:, :3])
        return torch.cat((rgb, alpha), 1)


class TransparentTexture(NeuralTexture):
    """A neural texture of exemplars on their background, whose pictures have alpha: ``1x4xHxW``.

    The other arguments are those of ``NeuralTexture``; what is inpainted is the first exemplar.
    """

    def __init__(
        self,
        background: MatteBackground,
        weights: Sequence[float],
        config: TextureConfig,
        features: FeatureExtractor,
        **options: Any,
    ) -> None:
        super().__init__(background.exemplars, weights, config, features, **options)
        self.background = background

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's picture as it is to be written, ``1x4xHxW``, on the CPU."""
        rgb = super().finish(image)
        result = self.background.recover_alpha(rgb, self.wrap, self.config.seed)
        if self.inpaint is None:
            return result
        before = torch.cat((self.background.colors[0], self.background.alphas[0]), 1)
        return torch.where(self.inpaint.mask.cpu() > 0, result, before)


def background_color(colors: Sequence[Tensor], alphas: Sequence[Tensor]) -> Tensor:
    """The corner of the RGB cube furthest from what is visible, ``1x3x1x1``."""
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
    nearest = torch.full((len(corners),), 9.0)
    for rgb, alpha in zip(colors, alphas, strict=True):
        visible = rgb[0].flatten(1).T[alpha.flatten() > 0.5][::7]
        if len(visible):
            nearest = torch.minimum(nearest, torch.cdist(corners, visible).min(1).values)
    return corners[int(nearest.argmax())].view(1, 3, 1, 1)


def neighborhoods(image: Tensor, wrap: tuple[bool, bool]) -> Tensor:
    """The colors around each pixel of ``1x3xHxW``: ``NxD``."""
    reach = NEIGHBORHOOD // 2
    (down, across) = (reach * w for w in wrap)
    if any(wrap):
        image = F.pad(image, (across, across, down, down), mode="circular")
    rest = (reach - across, reach - across, reach - down, reach - down)
    return F.unfold(F.pad(image, rest, mode="replicate"), NEIGHBORHOOD)[0].T
