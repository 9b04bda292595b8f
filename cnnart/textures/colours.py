"""The exemplar's colours: noise made of them, and a finished picture given exactly them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnart.palette import PaletteLoss, blend_gaussians, colour_gaussian, recolour
from cnnart.textures.parts import Exemplar, Part

ROUNDS = 20  # after which the sliced distance has stopped falling


def colour_noise(
    parts: Sequence[tuple[Part, Tensor | None]], size: tuple[int, int], seed: int
) -> Tensor:
    """``1x3xHxW``: each pixel has the colour of a random pixel of its part's exemplars.

    ``parts``: each with its mask at this size.
    """
    generator = torch.Generator().manual_seed(seed)
    result = torch.zeros(1, 3, *size)
    for part, mask in parts:
        weights = torch.tensor([e.weight for e in part.exemplars])
        chosen = torch.multinomial(weights, size[0] * size[1], True, generator=generator)
        places = torch.rand(len(chosen), generator=generator)
        colours = torch.empty(3, len(chosen))
        for index, exemplar in enumerate(part.exemplars):
            pixels, mine = exemplar.pixels()[0, :, 0].cpu(), chosen == index
            colours[:, mine] = pixels[:, (places[mine] * pixels.shape[1]).long()]
        noise = colours.view(1, 3, *size)
        result += noise if mask is None else noise * mask.cpu()
    return result


def match_colours(image: Tensor, exemplars: Sequence[Exemplar], mask: Tensor | None) -> Tensor:
    """``image`` with its colours distributed as the exemplars', where ``mask`` says.

    A linear map first, then the descent of the sliced Wasserstein distance in RGB, which also
    matches what is no Gaussian (Bonneel et al. 2015). Channel by channel would be exact for each
    and wrong for their combinations.
    """
    pictures = [(e.pixels(), e.weight) for e in exemplars]
    target = blend_gaussians([(*colour_gaussian(p), weight) for p, weight in pictures])
    moved = recolour(image, colour_gaussian(image, mask), target)
    result = moved if mask is None else image + (moved - image) * mask
    palette = PaletteLoss(pictures, mask)
    for _ in range(ROUNDS):
        result = (result + palette.displacement(result)).clamp(0, 1)
    return result
