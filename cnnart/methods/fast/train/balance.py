"""The weights of training, found by measuring instead of by trial.

Two things differ from style to style by orders of magnitude: how far photos are from a style in
each layer, and how hard a style is to reach. The first is measured before training, on a few
photos: each layer's loss is divided by the photos' own, so that 1 means "no more like the style
than a photo". The second is measured while it trains: a factor per style is moved until the style
left over, by the content changed, comes to the ratio asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.losses import Terms

# What a batch loses, by name.
TERMS = ("content", "style", "palette", "pixel", "tv", "grid", "excess")

# At strength 0.5, against the content loss.
STYLE_TO_CONTENT = 4.0
PALETTE_TO_CONTENT = 1.0
TV_TO_CONTENT = 1.0
PIXEL_TO_CONTENT = 4.0
GRID_TO_CONTENT = 50.0
EXCESS_TO_CONTENT = 4.0
MAX_RATIO = 8.0  # of style to content at strength 1, against 1 at strength 0.5

# Of the steps, when factors begin and cease to move. Not only at first: a network that has learnt
# little has much style left whatever its weight, and a factor found then would be far too large.
BEGIN, END = 0.3, 0.8
EVERY = 10  # steps between two moves
EXPONENT = 0.15  # of a move: what is wrong by a factor of 2 is corrected by 11 %
FACTORS = (0.5, 1.5)
PALETTE_SHARE = 0.25  # of the style's, in the score


def style_ratio(strengths: Tensor) -> Tensor:
    """The style's weight against the content's: 1 at strength 0.5.

    The square of what ``stylize`` has: a network gives way to its weights less than a picture does.
    """
    return (strengths / (1 - strengths).clamp_min(1e-3)).square().clamp_max(MAX_RATIO)


@dataclass
class LossScales:
    """What photos score before training: ``style`` is ``SxL``, ``palette`` is ``S``."""

    style: Tensor
    palette: Tensor


class LossBalancer:
    """Turns terms into one loss.

    ``styles`` (int64) and ``strengths`` (float32) are tensors on the device, one of each per
    picture of a batch: no method waits for the device, and what changes (``factors``, ``seen``)
    stays where it is in memory, so that a step can be captured.

    Args:
        config: the expert weights, and the ratio to aim at.
        scales: from a few photos.
        last_step: the step after which factors stay as they are; the first ones are left out.
        own: how many styles, the first, have a factor each; the others share one. None: all.
    """

    def __init__(
        self, config: TrainConfig, scales: LossScales, last_step: int, own: int | None = None
    ) -> None:
        self._config = config
        self.scales = scales
        self.last_step = last_step
        styles, device = len(scales.palette), scales.palette.device
        own = styles if own is None else own
        self._factor_of = torch.arange(styles, device=device).clamp_max(own)
        count = min(styles, own + 1)
        self.factors = torch.ones(count, device=device)
        self.seen = torch.zeros(3, count, device=device)  # sums of style left, content, pictures
        weights = [*config.style_layers.values(), *config.coarse_layers.values()]
        self._layers = torch.tensor(weights, device=device) / sum(weights)

    def left_over(self, terms: Terms, styles: Tensor) -> tuple[Tensor, Tensor]:
        """Style and palette left over, ``B`` each: 1 for photos, 0 for the style itself."""
        style = (terms.style / self.scales.style[styles]) @ self._layers
        return style, terms.palette / self.scales.palette[styles]

    def __call__(self, terms: Terms, styles: Tensor, strengths: Tensor) -> dict[str, Tensor]:
        """The weighted terms, each a mean over the batch; their sum is what is minimized."""
        config = self._config
        style, palette = self.left_over(terms, styles)
        factor = self.factors[self._factor_of[styles]]
        strong = style_ratio(strengths)
        weak = (0.5 - strengths).clamp_min(0) / strengths.clamp_min(1e-3)
        # Divided by its own weight, so that strong samples do not drown the others.
        norm = 1 / (1 + STYLE_TO_CONTENT * strong)
        weighted: dict[str, Tensor] = {
            "content": config.content_weight * terms.content,
            "style": config.style_weight * STYLE_TO_CONTENT * factor * strong * style,
            "palette": config.palette_weight * PALETTE_TO_CONTENT * factor * strong * palette,
            "pixel": PIXEL_TO_CONTENT * weak * terms.pixel,
            "tv": config.tv_weight * TV_TO_CONTENT * terms.tv,
            "grid": GRID_TO_CONTENT * terms.grid,
            "excess": EXCESS_TO_CONTENT * strong * terms.excess,
        }
        return {name: (norm * value).mean() for name, value in weighted.items()}

    @torch.no_grad()
    def observed(self, terms: Terms, styles: Tensor, strengths: Tensor) -> Tensor:
        """How samples at the middle strength stand, to be added to ``seen``."""
        style, _ = self.left_over(terms, styles)
        found = torch.stack((style, terms.content, torch.ones_like(style)))
        found = torch.where(strengths == 0.5, found, 0.0)
        return torch.zeros_like(self.seen).index_add_(1, self._factor_of[styles], found)

    def move(self, totals: Tensor, step: int) -> None:
        """Correct the factors by ``seen``, summed over all processes, and forget it."""
        self.seen.zero_()
        if not self.last_step * BEGIN / END < step <= self.last_step:
            return
        style, content, count = totals
        wrong = style / content.clamp_min(1e-6) / self._config.balance
        moved = self.factors * wrong.clamp(0.1, 10) ** EXPONENT
        self.factors.copy_(torch.where(count > 0, moved.clamp(*FACTORS), self.factors))

    def due(self, step: int) -> bool:
        """Whether ``move`` is to be called after this step."""
        return step % EVERY == 0

    def score(self, terms: Terms, styles: Tensor) -> Tensor:
        """A loss that does not depend on factors, for comparing steps with each other: ``B``."""
        style, palette = self.left_over(terms, styles)
        aim = self._config.balance
        return terms.content + style / aim + PALETTE_SHARE * palette / aim

    def state_dict(self) -> dict[str, Any]:
        """All that changes in training, and what was measured before it."""
        return {
            "factors": self.factors.clone(),
            "seen": self.seen.clone(),
            "last_step": self.last_step,
            "style_scales": self.scales.style,
            "palette_scales": self.scales.palette,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.factors.copy_(state["factors"])
        self.seen.copy_(state["seen"])
        self.last_step = state["last_step"]
        self.scales.style.copy_(state["style_scales"])
        self.scales.palette.copy_(state["palette_scales"])
