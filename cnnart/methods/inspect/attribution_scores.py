"""Deletion and insertion: how well a saliency map ranks the pixels a network decides by.

Petsiuk, Das and Saenko 2018, "RISE: Randomized Input Sampling for Explanation", section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.methods.inspect.colormap import blurred

BLUR = 1 / 20  # of the short side
CELLS = 14  # a side: what is removed or added at once is a cell of so coarse a grid
BATCH = 16


@dataclass(frozen=True)
class RankingScores:
    """Areas under the class probability's curve, in [0, 1].

    deletion: the most salient places are blurred first; low is good. insertion: they come back
    first into a blurred picture; high is good.
    """

    deletion: float
    insertion: float


def ranking_scores(
    probability: Callable[[Tensor], Tensor], image: Tensor, saliency: Tensor, steps: int = 28
) -> RankingScores:
    """Score ``saliency`` (1x1xHxW) of ``image`` (1x3xHxW in [0, 1]).

    The map is averaged over a grid of 14 x 14 cells. Pixel by pixel, scattered dots would damage
    every edge at once and any map of dots, a random one too, would have a good deletion score. A
    blurred picture takes the place of what is removed, as the paper has it for insertion: gray
    holes are things that a network sees.

    Args:
        probability: pictures Bx3xHxW -> B probabilities of the class the map explains.
        steps: how many portions of the picture are removed or added, one after the other.
    """
    start = blurred(image, min(image.shape[-2:]) * BLUR)
    cells = F.adaptive_avg_pool2d(saliency, CELLS)
    coarse = F.interpolate(cells, size=(image.shape[-2], image.shape[-1]), mode="nearest")
    return RankingScores(
        deletion=area(replacement_curve(probability, image, start, coarse, steps)),
        insertion=area(replacement_curve(probability, start, image, coarse, steps)),
    )


def replacement_curve(
    probability: Callable[[Tensor], Tensor],
    before: Tensor,
    after: Tensor,
    saliency: Tensor,
    steps: int,
) -> Tensor:
    """steps + 1 probabilities while ``before`` turns into ``after``, the most salient pixels first.

    Pixels of equal saliency keep the order of reading.
    """
    order = saliency.flatten().argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    rank = rank.view(1, 1, *saliency.shape[-2:]).to(before.device)
    found = []
    for start in range(0, steps + 1, BATCH):
        portions = range(start, min(start + BATCH, steps + 1))
        counts = torch.tensor([round(len(order) * k / steps) for k in portions])
        replaced = rank < counts.view(-1, 1, 1, 1).to(rank.device)
        with torch.no_grad():
            found.append(probability(torch.where(replaced, after, before)).float().cpu())
    return torch.cat(found)


def area(curve: Tensor) -> float:
    """The area under a curve over [0, 1], by trapezoids."""
    return float(torch.trapezoid(curve) / (len(curve) - 1))


def random_saliency(height: int, width: int, *, seed: int = 0) -> Tensor:
    """A 1x1xHxW map that knows nothing: noise on the grid that scores are taken on, enlarged."""
    noise = torch.rand(1, 1, CELLS, CELLS, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(height, width), mode="nearest")
