"""Any picture as a style, of a network that was trained for others: its affine pairs, found from
theirs in seconds, and its colors.

Colors are a linear map, and a trained network's styles are ways to lay strokes: what is looked for
is the blend of them, in each layer another, that comes nearest by the style loss, and from there
the nearest pairs that are no blend, by style and content loss. Both on pictures without a subject,
so that a style is found once for all photos.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.methods.fast.checkpoint import Checkpoint
from cnnart.methods.fast.layers import AffinePair
from cnnart.methods.fast.network import StyleNetwork, make_noise
from cnnart.methods.fast.predictor import at_style_size
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.losses import PerceptualLosses, StyleTargets, make_losses
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import color_gaussians, recolor_batch
from cnnart.optim.optimize import Adam

STYLE_SIZE = 448  # long side at which a picture's strokes are seen, as in training
STRENGTH = 0.5  # at which blends are compared

# The pictures that blends are compared on.
PROBES, PROBE_SIDE = 2, 192
LEAVES = 900
SMALLEST_LEAF, LARGEST_LEAF = 4.0, 96.0  # radius in pixels
TINT = 0.25  # deviation of a leaf's colors from a gray

# Adam's steps and learning rate, for the blend and from it.
BLEND_STEPS, BLEND_RATE = 25, 0.4
FREE_STEPS, FREE_RATE = 40, 0.03
CONTENT = 0.3  # weight of the content loss beside the style loss, from the blend on
SHARP = 4.0  # how much more the nearest style has of the blend at first


@dataclass(frozen=True)
class MatchedStyle:
    """What ``match_style`` found: the affine pairs of all layers (``1xC``, on the CPU) at the
    weakest strength and at the strongest, and ``colors``, ``1x12``: see ``predictor.colors_of``.

    ``shares``: of each trained style, in the mean of the layers.
    """

    weak: AffinePair
    strong: AffinePair
    colors: Tensor
    shares: Tensor

    def pair(self, position: float) -> AffinePair:
        """0 is the weak pair, 1 the strong one; see ``StyleBank.position``."""
        weak, strong = self.weak, self.strong
        return AffinePair(
            weak.gamma.lerp(strong.gamma, position), weak.beta.lerp(strong.beta, position)
        )

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        pairs = {"weak": self.weak, "strong": self.strong}
        parts = {
            f"{k}.{part}": v for k, pair in pairs.items() for part, v in pair._asdict().items()
        }
        return {**parts, "colors": self.colors, "shares": self.shares}

    @staticmethod
    def from_tensors(found: Mapping[str, Tensor]) -> MatchedStyle:
        """Raises KeyError for what ``tensors`` has not made."""
        weak, strong = (
            AffinePair(found[f"{name}.gamma"], found[f"{name}.beta"]) for name in ("weak", "strong")
        )
        return MatchedStyle(weak, strong, found["colors"], found["shares"])


def match_style(
    checkpoint: Checkpoint, picture: Tensor, features: FeatureExtractor, dtype: torch.dtype
) -> MatchedStyle:
    """The style of a picture (``1x3xHxW`` in [0, 1], any size), within a checkpoint's.

    Args:
        features: a VGG, on the device to work on.
        dtype: of the network's activations.
    """
    blends = _Blends(checkpoint, features.device)
    search = _Search(blends.network, picture.to(features.device), features, dtype)
    with torch.enable_grad():
        shares = _nearest_blend(blends, search)
        weak, strong = (blends.mixed(shares, blends.pairs(each)) for each in blends.strengths)
        beyond = _beyond(blends.mixed(shares, blends.pairs(STRENGTH)), search)
    colors = torch.cat((search.mean[:1], search.covariance[:1].flatten(1)), 1)
    weak, strong = (AffinePair(*(v.cpu() for v in _sum(pair, beyond))) for pair in (weak, strong))
    return MatchedStyle(weak, strong, colors.cpu(), shares.mean(0).cpu())


def _nearest_blend(blends: _Blends, search: _Search) -> Tensor:
    """Shares of the styles in each layer, ``LxS``, by the style loss alone."""
    pairs = blends.pairs(STRENGTH)
    each = (AffinePair(*(row[None] for row in pair)) for pair in zip(*pairs, strict=True))
    with torch.no_grad():
        alone = torch.stack([search.losses(pair)[0] for pair in each])
    nearest = -SHARP * alone / alone.min().clamp_min(1e-12)
    logits = (nearest - nearest.max()).repeat(len(blends.channels), 1)
    adam = Adam(logits, BLEND_RATE)
    for _ in range(BLEND_STEPS if len(alone) > 1 else 0):
        at = logits.clone().requires_grad_()
        style, _ = search.losses(blends.mixed(at.softmax(1), pairs))
        adam.step(*torch.autograd.grad(style, at))
    return logits.softmax(1)


def _beyond(blend: AffinePair, search: _Search) -> AffinePair:
    """What brings a blend's pair nearer, ``1xC`` each, to be added."""
    added = torch.zeros(2, *blend.gamma.shape, device=blend.gamma.device)
    adam = Adam(added, FREE_RATE)
    for _ in range(FREE_STEPS):
        at = added.clone().requires_grad_()
        style, content = search.losses(_sum(blend, AffinePair(*at)))
        adam.step(*torch.autograd.grad(style + CONTENT * content, at))
    return AffinePair(*added)


def _sum(pair: AffinePair, added: AffinePair) -> AffinePair:
    return AffinePair(pair.gamma + added.gamma, pair.beta + added.beta)


class _Blends:
    """Affine pairs between those of a checkpoint's styles."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self.network: StyleNetwork = copy.deepcopy(checkpoint.network).to(device)
        self.network.eval().requires_grad_(False)
        self.channels, self._bank, self._device = self.network.channels, checkpoint.bank, device
        self.strengths = checkpoint.strength_range or (STRENGTH, STRENGTH)

    def mixed(self, shares: Tensor, pairs: AffinePair) -> AffinePair:
        """Of all styles' pairs, for shares of these in each layer (``LxS``, rows that sum to 1)."""
        parts = []
        for value in pairs:
            layers = zip(shares, value.split(self.channels, 1), strict=True)
            parts.append(torch.cat([(share @ layer)[None] for share, layer in layers], 1))
        return AffinePair(*parts)

    def pairs(self, strength: float) -> AffinePair:
        """Those of all styles, ``SxC``."""
        names = self._bank.names
        vectors = [self._bank.style_vector({name: 1.0}, strength) for name in names]
        return self.network.mixed_pair(torch.cat(vectors).to(self._device))


class _Search:
    """How far the network paints from a picture's style and from what it is given, with a pair."""

    def __init__(
        self,
        network: StyleNetwork,
        picture: Tensor,
        features: FeatureExtractor,
        dtype: torch.dtype,
    ) -> None:
        self._network, self._dtype = network, dtype
        self._losses: PerceptualLosses = make_losses(features, TrainConfig())
        seen = at_style_size(picture, STYLE_SIZE)
        self._targets: StyleTargets = self._losses.targets([seen])
        self._numbers = torch.zeros(PROBES, dtype=torch.long, device=features.device)
        mean, covariance = color_gaussians(seen)
        self.mean, self.covariance = mean.expand(PROBES, -1), covariance.expand(PROBES, -1, -1)
        probes = torch.cat([dead_leaves(seed) for seed in range(PROBES)]).to(features.device)
        self._probes = recolor_batch(probes, self.mean, self.covariance).clamp(0, 1)
        noise = make_noise(network.arch, PROBE_SIDE, PROBE_SIDE, range(PROBES))
        self._noise = None if noise is None else noise.to(features.device)

    def losses(self, pair: AffinePair) -> tuple[Tensor, Tensor]:
        """Style and content loss of what is painted with a pair (``1xC`` each), in the picture's
        colors.
        """
        pair = AffinePair(*(value.expand(PROBES, -1) for value in pair))
        painted = self._network(self._probes, pair, self._dtype, self._noise)
        painted = recolor_batch(painted, self.mean, self.covariance)
        terms = self._losses(painted, self._probes, self._targets, self._numbers)
        return terms.style.mean(), terms.content.mean()


def dead_leaves(seed: int) -> Tensor:
    """A picture that has a photo's statistics and no subject: discs that hide one another, as many
    of each size as make it look alike at all scales (Lee, Mumford and Huang 2001): ``1x3xSxS``.
    """
    rng = torch.Generator().manual_seed(seed)
    small, large = 1 / SMALLEST_LEAF, 1 / LARGEST_LEAF
    # As many discs of a radius as its third power is small.
    radii = (torch.rand(LEAVES, generator=rng) * (small**2 - large**2) + large**2).rsqrt()
    places = torch.rand(LEAVES, 2, generator=rng) * PROBE_SIDE
    tints = TINT * torch.randn(LEAVES, 3, generator=rng)
    colors = (torch.rand(LEAVES, 1, generator=rng) + tints).clamp_(0, 1)
    side = torch.arange(PROBE_SIDE)
    picture = torch.full((3, PROBE_SIDE, PROBE_SIDE), 0.5)
    for radius, (top, left), color in zip(radii, places, colors, strict=True):
        disc = (side[:, None] - top).square() + (side - left).square() < radius.square()
        picture = torch.where(disc, color[:, None, None], picture)
    return picture[None]
