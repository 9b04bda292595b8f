"""What is trained: a transformer network, and perhaps a predictor of its affine pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnart.methods.fast.layers import AffinePair
from cnnart.methods.fast.network import StyleNetwork
from cnnart.methods.fast.predictor import StylePredictor
from cnnart.optim.color import recolor_batch


class StyleModel(nn.Module):
    """Paints in styles that have affine pairs of their own, and in those that are predicted.

    Colors need no network, and what is seldom seen is learnt badly: photos go into the network, and
    come out of it, in the colors of a predicted style's painting, and of any where ``colors`` are
    given and no predictor is.

    Args:
        network: holds the pairs of its own.
        predictor: of the others'; None: there are none.
        described: ``SxD``, what the predictor sees of each style by its number.
        own: how many styles, the first, have pairs of their own and paint in colors of their own.
        colors: ``Sx3`` and ``Sx3x3``, of the paintings, for the others; see ``recolor_batch``.
    """

    described: Tensor
    mean: Tensor
    covariance: Tensor

    def __init__(
        self,
        network: StyleNetwork,
        predictor: StylePredictor | None = None,
        described: Tensor | None = None,
        own: int = 0,
        colors: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network, self.predictor, self.own = network, predictor, own
        none = torch.empty(0)
        for name, value in (
            ("described", described),
            ("mean", colors and colors[0]),
            ("covariance", colors and colors[1]),
        ):
            self.register_buffer(name, none if value is None else value, persistent=False)

    def forward(
        self,
        photos: Tensor,
        styles: Tensor,
        style_vectors: Tensor,
        positions: Tensor,
        noise: Tensor | None,
        dtype: torch.dtype,
    ) -> Tensor:
        """``Bx3xHxW`` stylized.

        Args:
            styles: ``B`` int64, by number.
            style_vectors: ``Bxpairs``, which of its pairs a style of its own has.
            positions: ``B``, of a style without, between the weak pair and the strong one.
            noise, dtype: see ``StyleNetwork``.
        """
        pair = self.network.mixed_pair(style_vectors)
        if not len(self.mean):
            painted: Tensor = self.network(photos, pair, dtype, noise)
            return painted
        has_own = (styles < self.own)[:, None]
        if self.predictor is not None:
            predicted = self.predictor(self.described[styles], positions)
            pair = AffinePair(
                torch.where(has_own, pair.gamma, predicted.gamma),
                torch.where(has_own, pair.beta, predicted.beta),
            )
        colors, own_colors = (self.mean[styles], self.covariance[styles]), has_own[..., None, None]
        photos = torch.where(own_colors, photos, recolor_batch(photos, *colors).clamp(0, 1))
        painted = self.network(photos, pair, dtype, noise)
        return torch.where(own_colors, painted, recolor_batch(painted, *colors))
