"""Any painting as a style in one pass: its affine pairs, predicted (Ghiasi et al. 2017).

What a painting looks like is told by means and deviations of a VGG's channels over it, a few
thousand numbers; a small network makes the affine pairs of a transformer network of them. The two
are trained together, with the same losses as single styles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnart.image.picture import fit_long_side, resize
from cnnart.methods.fast.header import COLORS
from cnnart.methods.fast.layers import AffinePair
from cnnart.networks.vgg import FeatureExtractor

HALVED = "/2"  # suffix of the names of layers of the picture at half its size
SMALLEST_SIDE = 64  # of a painting in pixels
FARTHEST = 4.0  # deviations from the mean painting that still count
FIRST_OUTPUT = 0.1  # how far an untrained predictor strays from plain normalization


@dataclass(frozen=True)
class PredictorShape:
    """``layers``: whose statistics it sees, with those of the picture at half its size marked.

    ``inputs``: numbers that describe a painting; ``outputs``: channels of all the transformer's
    normalizations. ``style_size``: the paintings' long side in pixels. ``hidden``, ``bottleneck``:
    its layers' widths.
    """

    layers: tuple[str, ...]
    inputs: int
    outputs: int
    style_size: int
    hidden: int = 384
    bottleneck: int = 128

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(facts: Mapping[str, Any]) -> PredictorShape:
        """From ``as_dict``'s values. Raises TypeError and KeyError for others."""
        return PredictorShape(**{**facts, "layers": tuple(facts["layers"])})


class StylePredictor(nn.Module):
    """Maps descriptions of paintings to affine pairs, weak and strong ones."""

    center: Tensor
    spread: Tensor

    def __init__(self, shape: PredictorShape, *, seed: int = 0) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("center", torch.zeros(shape.inputs))
        self.register_buffer("spread", torch.ones(shape.inputs))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Linear(shape.inputs, shape.hidden)
            self.second = nn.Linear(shape.hidden, shape.bottleneck)
            self.last = nn.Linear(shape.bottleneck, 4 * shape.outputs)
        with torch.no_grad():
            self.last.weight.mul_(FIRST_OUTPUT)
            gamma_beta = torch.stack((torch.ones(shape.outputs), torch.zeros(shape.outputs)))
            self.last.bias.copy_(gamma_beta.repeat(2, 1).flatten())

    def fit_inputs(self, described: Tensor) -> None:
        """Bring what it sees to mean 0 and deviation 1 over many paintings (``NxD``)."""
        spread, center = torch.std_mean(described, 0)
        self.center.copy_(center)
        self.spread.copy_(spread.clamp_min(1e-3 * float(spread.mean()) + 1e-12))

    @torch.no_grad()
    def begin_at(self, weak: AffinePair, strong: AffinePair) -> None:
        """Have the untrained predictor stray from these pairs (``1xC``) instead."""
        pairs = torch.cat([weak.gamma, weak.beta, strong.gamma, strong.beta], 1)
        self.last.bias.copy_(pairs[0])

    def forward(self, described: Tensor, position: Tensor) -> AffinePair:
        """The pairs of all layers.

        Args:
            described: ``BxD``, see ``describe``.
            position: ``B``, 0 for the weak pair, 1 for the strong one; see ``StyleBank.position``.
        """
        x = ((described - self.center) / self.spread).clamp(-FARTHEST, FARTHEST)
        x = F.relu(self.second(F.relu(self.first(x))))
        weak, strong = self.last(x).unflatten(1, (2, 2, -1)).unbind(1)
        gamma, beta = torch.lerp(weak, strong, position[:, None, None]).unbind(1)
        return AffinePair(gamma, beta)


def describe(statistics: Sequence[tuple[Tensor, Tensor]], colors: tuple[Tensor, Tensor]) -> Tensor:
    """Means and variances (``BxC`` each) of layers, and means and covariances of colors, as one
    description, ``BxD``.
    """
    parts = [torch.cat((m, v.clamp_min(0).sqrt()), 1) for m, v in statistics]
    return torch.cat((*parts, colors[0], colors[1].flatten(1)), 1)


def colors_of(described: Tensor) -> tuple[Tensor, Tensor]:
    """Means (``Bx3``) and covariances (``Bx3x3``) of colors: the last numbers of descriptions, and
    what ``StyleInfo.colors`` holds.
    """
    mean, covariance = described[:, -COLORS:].split((3, 9), 1)
    return mean, covariance.unflatten(1, (3, 3))


@torch.no_grad()
def describe_painting(
    features: FeatureExtractor, painting: Tensor, shape: PredictorShape
) -> Tensor:
    """The description of a painting (``1x3xHxW`` in [0, 1], any size): ``1xD`` on the device."""
    from cnnart.optim.color import color_gaussians  # only here: trained styles paint without it

    picture = at_style_size(painting, shape.style_size).to(features.device)
    fine = [name for name in shape.layers if not name.endswith(HALVED)]
    coarse = [name.removesuffix(HALVED) for name in shape.layers if name.endswith(HALVED)]
    found = features(picture, fine) if fine else {}
    if coarse:
        half = features(F.avg_pool2d(picture, 2), coarse)
        found |= {f"{name}{HALVED}": value for name, value in half.items()}
    statistics = []
    for name in shape.layers:
        variance, mean = torch.var_mean(found[name].float(), (2, 3), correction=0)
        statistics.append((mean, variance))
    return describe(statistics, color_gaussians(picture))


def at_style_size(painting: Tensor, style_size: int) -> Tensor:
    """A painting (``1x3xHxW``) at the size that its strokes are seen at, and large enough for deep
    layers to see anything. A small one is enlarged, as by ``stylize``: its strokes are relative to
    it.
    """
    size = fit_long_side(painting.shape[-2], painting.shape[-1], style_size)
    return resize(painting, *(max(side, SMALLEST_SIDE) for side in size))
