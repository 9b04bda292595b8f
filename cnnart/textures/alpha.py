"""Transparency for the neural method, whose network sees colours only.

The exemplar is laid on a ground of a colour that it does not have itself, so its holes are part of
what is synthesized. In the result each pixel gets the alpha that pixels with the same surroundings
have in the exemplar (after the image analogies of Hertzmann et al. 2001), and the ground's share
is taken out of its colour again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.budget import MemoryPlan
from cnnart.features import FeatureExtractor
from cnnart.image import Picture
from cnnart.optimize import Step
from cnnart.schedule import Scale
from cnnart.textures.neural import TextureSynthesis

CONSTANT = 2 / 255  # alpha that varies by less than this is one value throughout
SAMPLES = 4096  # surroundings of the exemplars that the result's are compared with
NEIGHBOURS = 3  # of them whose alpha is averaged
SIDE = 5  # pixels of what counts as surroundings
CHUNK = 1 << 14  # pixels compared at once
FAINT = 0.1  # alpha below which a pixel's own colour cannot be told from the ground's


class Ground:
    """Exemplars with varying alpha, laid on a ground of their own.

    ``exemplars``: ``1x3xHxW`` each. ``is_needed``: whether any of them has transparency at all.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        alphas = [torch.ones_like(p.rgb[:, :1]) if p.alpha is None else p.alpha for p in pictures]
        self.is_needed = any(float(a.min()) < 1 for a in alphas)
        self.constant = max(float(a.max()) for a in alphas) - min(float(a.min()) for a in alphas)
        self.alphas = alphas
        self.colours = [p.rgb for p in pictures]
        if self.constant <= CONSTANT:
            self.exemplars = self.colours
            return
        self.colour = ground_colour(self.colours, alphas)
        self.exemplars = [
            rgb * a + self.colour * (1 - a) for rgb, a in zip(self.colours, alphas, strict=True)
        ]

    def find(self, image: Tensor, wrap: tuple[bool, bool], seed: int) -> Tensor:
        """``1x3xHxW`` on the ground -> colour and alpha, ``1x4xHxW``."""
        if self.constant <= CONSTANT:
            alpha = torch.full_like(image[:, :1], float(self.alphas[0].mean()))
            return torch.cat((image, alpha), 1)
        keys = torch.cat([surroundings(e, (False, False)) for e in self.exemplars])
        known = [
            torch.cat(pair, 1)[0].flatten(1) for pair in zip(self.colours, self.alphas, strict=True)
        ]
        values = torch.cat(known, 1).T
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(keys), generator=generator)[:SAMPLES]
        keys, values = keys[chosen], values[chosen]
        found = [
            values[
                torch.cdist(part, keys).topk(min(NEIGHBOURS, len(keys)), largest=False).indices
            ].mean(1)
            for part in surroundings(image, wrap).split(CHUNK)
        ]
        seen = torch.cat(found).T.view(1, 4, *image.shape[-2:])
        alpha = seen[:, 3:]
        own = (image - self.colour * (1 - alpha)) / alpha.clamp_min(FAINT)
        rgb = torch.where(alpha > FAINT, own.clamp(0, 1), seen[:, :3])
        return torch.cat((rgb, alpha), 1)


class TransparentSynthesis:
    """A ``TextureSynthesis`` of exemplars on their ground whose pictures have alpha (``1x4xHxW``).

    ``given``: with inpainting, the picture and its mask: outside of it nothing changes.
    """

    def __init__(
        self, work: TextureSynthesis, ground: Ground, given: tuple[Picture, Tensor] | None = None
    ) -> None:
        self.work = work
        self.ground = ground
        self.given = given
        self.notes = work.notes

    @property
    def features(self) -> FeatureExtractor:
        """The network."""
        return self.work.features

    @property
    def memory(self) -> MemoryPlan:
        """What the run takes."""
        return self.work.memory

    @property
    def schedule(self) -> list[Scale]:
        """The scales, coarsest first."""
        return self.work.schedule

    def steps(self) -> Iterator[Step]:
        """See ``TextureSynthesis``."""
        return self.work.steps()

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's picture as it is to be written, ``1x4xHxW``, on the CPU."""
        result = self.ground.find(self.work.finish(image), self.work.wrap, self.work.config.seed)
        if self.given is None or self.work.hole is None:
            return result
        picture, mask = self.given[0], self.work.hole.mask.cpu()
        alpha = torch.ones_like(mask) if picture.alpha is None else picture.alpha
        return torch.where(mask > 0, result, torch.cat((picture.rgb, alpha), 1))


def ground_colour(colours: Sequence[Tensor], alphas: Sequence[Tensor]) -> Tensor:
    """The corner of the RGB cube furthest from what is visible, ``1x3x1x1``."""
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
    nearest = torch.full((len(corners),), 9.0)
    for rgb, alpha in zip(colours, alphas, strict=True):
        visible = rgb[0].flatten(1).T[alpha.flatten() > 0.5][::7]
        if len(visible):
            nearest = torch.minimum(nearest, torch.cdist(corners, visible).min(1).values)
    return corners[int(nearest.argmax())].view(1, 3, 1, 1)


def surroundings(image: Tensor, wrap: tuple[bool, bool]) -> Tensor:
    """The colours around each pixel of ``1x3xHxW``: ``NxD``."""
    reach = SIDE // 2
    (down, across) = (reach * w for w in wrap)
    around = F.pad(image, (across, across, down, down), mode="circular") if any(wrap) else image
    rest = (reach - across, reach - across, reach - down, reach - down)
    return F.unfold(F.pad(around, rest, mode="replicate"), SIDE)[0].T
