"""A convolution with TensorFlow's padding, which the networks published for TFLite have."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """Padding "same" of an even side: with stride 2 there is one pixel more below and right than
    above and left. ``depthwise``: each channel by itself.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, depthwise: bool = False
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=inputs if depthwise else 1)
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        self.margins = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.margins) if any(self.margins) else x)
