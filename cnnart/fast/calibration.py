"""The weights of training, found by measuring instead of by trial.

Two things differ from style to style by orders of magnitude: how far photos are from a style in
each layer, and how hard a style is to reach. The first is measured before training, on a few
photos: each layer's loss is divided by the photos' own, so that 1 means "no more like the style
than a photo". The second is measured while it trains: a factor per style is moved until the style
left over, by the content changed, comes to the ratio asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.config import TrainConfig
from cnnart.fast.perceptual import Terms

# At strength 0.5, against the content loss.
STYLE_TO_CONTENT = 2.8
PALETTE_TO_CONTENT = 1.0
TV_TO_CONTENT = 1.0
PIXEL_TO_CONTENT = 4.0
GRID_TO_CONTENT = 50.0
EXCESS_TO_CONTENT = 4.0
MOST_RATIO = 8.0  # of style to content at strength 1, against 1 at strength 0.5

# Of the steps, when factors begin and cease to move. Not only at first: a network that has learnt
# little has much style left whatever its weight, and a factor found then would be far too large.
BEGIN, SHARE = 0.3, 0.8
EVERY = 10  # steps between two moves
EXPONENT = 0.15  # of a move: what is wrong by a factor of 2 is corrected by 11 %
FACTORS = (0.5, 2.0)
LEAST_UNIT = 1e-3


def ratio(strength: float) -> float:
    """The style's weight against the content's: 1 at strength 0.5.

    The square of what ``stylize`` has: a network gives way to its weights less than a picture does.
    """
    return min(MOST_RATIO, (strength / max(1 - strength, 1e-3)) ** 2)


@dataclass
class Units:
    """What photos score before training: ``style`` is ``SxL``, ``palette`` is ``S``."""

    style: Tensor
    palette: Tensor


class Balance:
    """Turns terms into one loss.

    Args:
        config: the expert weights, and the ratio to aim at.
        units: from a few photos.
        until: the step after which factors stay as they are; the first of these are left out.
    """

    def __init__(self, config: TrainConfig, units: Units, until: int) -> None:
        self._config = config
        self.units = units
        self.until = until
        count, device = len(units.palette), units.palette.device
        self.factors = torch.ones(count, device=device)
        self.seen = torch.zeros(3, count, device=device)  # sums of style left, content, pictures
        weights = [*config.style_layers.values(), *config.coarse_layers.values()]
        self._layers = torch.tensor(weights, device=device) / sum(weights)

    def parts(self, terms: Terms, styles: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Style and palette left over, ``B`` each: 1 for photos, 0 for the style itself."""
        index = torch.tensor(list(styles), device=self.factors.device)
        style = (terms.style / self.units.style[index]) @ self._layers
        return style, terms.palette / self.units.palette[index]

    def __call__(
        self, terms: Terms, styles: Sequence[int], strengths: Sequence[float]
    ) -> dict[str, Tensor]:
        """The weighted terms, each a mean over the batch; their sum is what is minimized."""
        config, device = self._config, self.factors.device
        style, palette = self.parts(terms, styles)
        factor = self.factors[torch.tensor(list(styles), device=device)]
        strong = torch.tensor([ratio(s) for s in strengths], device=device)
        weak = torch.tensor([max(0.0, 0.5 - s) / max(s, 1e-3) for s in strengths], device=device)
        # Divided by its own weight, so that strong samples do not shout down the others.
        norm = 1 / (1 + STYLE_TO_CONTENT * strong)
        weighted = {
            "content": config.content_weight * terms.content,
            "style": config.style_weight * STYLE_TO_CONTENT * factor * strong * style,
            "palette": config.palette_weight * PALETTE_TO_CONTENT * factor * strong * palette,
            "pixel": PIXEL_TO_CONTENT * weak * terms.pixel,
            "tv": config.tv_weight * TV_TO_CONTENT * terms.tv,
            "grid": GRID_TO_CONTENT * terms.grid,
            "excess": EXCESS_TO_CONTENT * strong * terms.excess,
        }
        return {name: (norm * value).mean() for name, value in weighted.items()}

    def see(self, terms: Terms, styles: Sequence[int], strengths: Sequence[float]) -> None:
        """Note how samples at the middle strength stand."""
        with torch.no_grad():
            style, _ = self.parts(terms, styles)
            for i, (index, strength) in enumerate(zip(styles, strengths, strict=True)):
                if strength == 0.5:
                    one = torch.ones_like(style[i])
                    self.seen[:, index] += torch.stack((style[i], terms.content[i], one))

    def move(self, totals: Tensor, step: int) -> None:
        """Correct the factors by ``seen``, summed over all processes, and forget it."""
        self.seen.zero_()
        if not self.until * BEGIN / SHARE < step <= self.until:
            return
        style, content, count = totals
        wrong = style / content.clamp_min(1e-6) / self._config.balance
        moved = self.factors * wrong.clamp(0.1, 10) ** EXPONENT
        self.factors = torch.where(count > 0, moved.clamp(*FACTORS), self.factors)

    def due(self, step: int) -> bool:
        """Whether ``move`` is to be called after this step."""
        return step % EVERY == 0

    def judge(self, terms: Terms, styles: Sequence[int]) -> Tensor:
        """A loss that does not depend on factors, for comparing steps with each other: ``B``."""
        style, palette = self.parts(terms, styles)
        aim = self._config.balance
        return terms.content + style / aim + 0.25 * palette / aim
