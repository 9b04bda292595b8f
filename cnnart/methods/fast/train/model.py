"""What is trained: a transformer network, and perhaps a predictor of its affine pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnnart.methods.fast.layers import AffinePair
from cnnart.methods.fast.network import StyleNetwork
from cnnart.methods.fast.predictor import StylePredictor


class StyleModel(nn.Module):
    """Paints in styles that have affine pairs of their own, and in those that are predicted.

    Args:
        network: holds the pairs of its own.
        predictor: of the others'; None: there are none.
        described: ``SxD``, what the predictor sees of each style by its number.
        own: how many styles, the first, have pairs of their own.
    """

    described: Tensor

    def __init__(
        self,
        network: StyleNetwork,
        predictor: StylePredictor | None = None,
        described: Tensor | None = None,
        own: int = 0,
    ) -> None:
        super().__init__()
        self.network, self.predictor, self.own = network, predictor, own
        self.register_buffer(
            "described", torch.empty(0) if described is None else described, persistent=False
        )

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
        if self.predictor is not None:
            predicted = self.predictor(self.described[styles], positions)
            has_own = (styles < self.own)[:, None]
            pair = AffinePair(
                torch.where(has_own, pair.gamma, predicted.gamma),
                torch.where(has_own, pair.beta, predicted.beta),
            )
        result: Tensor = self.network(photos, pair, dtype, noise)
        return result
