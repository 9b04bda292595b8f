"""EfficientNet-Lite0, the embedded classifier.

The EfficientNet of Tan and Le (arXiv:1905.11946) without squeeze-and-excitation and with ReLU6, as
Google published it for small devices (tensorflow/tpu, efficientnet/lite). Batch norm is folded
into the convolutions, so that each layer is a convolution with a bias.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

# repeats, kernel, stride, expansion, channels out: table 1 of the paper
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD, CLASSES = 32, 1280, 1000


def convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, depthwise: bool = False
) -> nn.Sequential:
    """Padding, convolution, ReLU6.

    The padding is TensorFlow's "same" for an even side: with stride 2 there is one pixel more
    below and right than above and left.
    """
    before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
    groups = inputs if depthwise else 1
    parts: list[tuple[str, nn.Module]] = []
    padding = before
    if before != after:
        parts, padding = [("pad", nn.ZeroPad2d((before, after, before, after)))], 0
    parts.append(("conv", nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)))
    parts.append(("relu", nn.ReLU6()))
    return nn.Sequential(OrderedDict(parts))


class Block(nn.Module):
    """Mobile inverted bottleneck (Sandler et al., arXiv:1801.04381): wide, by channel, narrow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = convolution(inputs, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = convolution(wide, wide, kernel, stride=stride, depthwise=True)
        self.project = nn.Conv2d(wide, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """``Bx3xHxW`` normalized pictures -> ``Bx1000`` logits."""

    def __init__(self) -> None:
        super().__init__()
        blocks, inputs = [], STEM
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for number in range(repeats):
                once = stride if number == 0 else 1
                blocks.append(Block(inputs, outputs, kernel, once, expansion))
                inputs = outputs
        self.stem = convolution(3, STEM, 3, stride=2)
        self.blocks = nn.Sequential(*blocks)
        self.head = convolution(inputs, HEAD, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(HEAD, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.head(self.blocks(self.stem(x))))
        return self.classifier(x.flatten(1))
