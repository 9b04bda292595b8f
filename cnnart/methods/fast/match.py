"""Any picture as a style, of a network that was trained for others: a network of its own.

It begins as a blend of the trained styles, in each layer another, the one that comes nearest by the
style loss; from there all of it is trained for a minute, on a few photos that stand for all: a
style is found once. Colors are not learnt in so short a time; they are a linear map.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from cnnart.methods.fast.checkpoint import Checkpoint
from cnnart.methods.fast.layers import AffinePair
from cnnart.methods.fast.network import StyleNetwork, make_noise
from cnnart.methods.fast.predictor import at_style_size
from cnnart.methods.fast.train.config import CROP_MULTIPLE, TrainConfig
from cnnart.methods.fast.train.data import Photos, center_crop, find_photos, read_photo
from cnnart.methods.fast.train.losses import PerceptualLosses, StyleTargets, make_losses
from cnnart.methods.fast.train.step import ComputeOptions
from cnnart.methods.fast.train.trainer import Painting, Trainer
from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import color_gaussians, recolor_batch
from cnnart.optim.optimize import Adam

STYLE_SIZE = 448  # long side at which a picture's strokes are seen, as in training
STRENGTH = 0.5  # at which blends are compared

# Crops as large as the photos allow, within these bounds in pixels.
SMALLEST_CROP, LARGEST_CROP = 64, 192

# The blend: on so many of the photos, by Adam's steps and learning rate.
PROBES = 2
BLEND_STEPS, BLEND_RATE = 25, 0.4
SHARP = 4.0  # how much more the nearest style has of the blend at first

# The network of its own.
STEPS = 60  # of four crops
LEARNING_RATE, WARM_UP, EMA_DECAY = 5e-3, 10, 0.98
NEVER = 10**6  # steps between validations: there are no photos to spare


def match_style(
    checkpoint: Checkpoint,
    painting: Painting,
    photos: Sequence[Path],
    features: FeatureExtractor,
    dtype: torch.dtype,
) -> Checkpoint:
    """The style of a picture, as a network like a checkpoint's that knows it alone.

    Args:
        photos: to learn on.
        features: a VGG, on the device to work on.
        dtype: of the network's activations.
    """
    found = find_photos(photos, SMALLEST_CROP, hold_out=False)
    ends = nearest_blend(checkpoint, painting.image, found, features, dtype)
    start = single_style(checkpoint, ends, painting)
    losses = make_losses(features, TrainConfig())
    compute = ComputeOptions(dtype)
    trainer = own_trainer(start, painting, found, losses, compute, steps=STEPS)
    with torch.enable_grad():
        for _ in trainer.steps():
            pass
    return replace(trainer.checkpoint(), sha256=checkpoint.sha256)


def single_style(
    checkpoint: Checkpoint, ends: Sequence[AffinePair], painting: Painting
) -> Checkpoint:
    """A checkpoint's network with a single style, in the painting's colors, of these affine pairs
    of all layers (``1xC``): at the weakest strength and at the strongest.
    """
    mean, covariance = color_gaussians(at_style_size(painting.image, STYLE_SIZE))
    colors = torch.cat((mean[0], covariance[0].flatten())).tolist()
    style = replace(painting.info(), colors=tuple(colors))
    return Checkpoint(checkpoint.network.with_pairs(ends), (style,), checkpoint.strength_range)


def own_trainer(
    start: Checkpoint,
    painting: Painting,
    photos: Photos,
    losses: PerceptualLosses,
    compute: ComputeOptions,
    *,
    steps: int = NEVER,
    style_size: int = STYLE_SIZE,
) -> Trainer:
    """What trains a network that knows one style, ``start``'s, further.

    ``photos``: of ``SMALLEST_CROP`` at least. ``steps``: at the most; ``compute`` may have less
    time. ``style_size``: at which the painting's strokes are seen.
    """
    shortest = min(min(size) for size in photos.sizes)
    config = TrainConfig(
        size=min(LARGEST_CROP, shortest // CROP_MULTIPLE * CROP_MULTIPLE),
        style_size=style_size,
        steps=steps,
        learning_rate=LEARNING_RATE,
        warmup_steps=WARM_UP,
        ema_decay=EMA_DECAY,
        small_crop_fraction=0.0,
        validate_every=NEVER,
    )
    trainer = Trainer(config, [painting], photos, losses, compute, start=start)
    trainer.validator.stops = False
    return trainer


def nearest_blend(
    checkpoint: Checkpoint,
    picture: Tensor,
    photos: Photos,
    features: FeatureExtractor,
    dtype: torch.dtype,
) -> list[AffinePair]:
    """The blend of the styles, in each layer another, that comes nearest to a picture (``1x3xHxW``
    in [0, 1], any size) by the style loss alone: its affine pairs of all layers (``1xC``, on the
    CPU) at the weakest strength and at the strongest.
    """
    blends = _Blends(checkpoint, features.device)
    search = _Search(blends.network, picture.to(features.device), photos, features, dtype)
    pairs = blends.pairs(STRENGTH)
    each = (AffinePair(*(row[None] for row in pair)) for pair in zip(*pairs, strict=True))
    with torch.no_grad():
        alone = torch.stack([search.loss(pair) for pair in each])
    nearest = -SHARP * alone / alone.min().clamp_min(1e-12)
    logits = (nearest - nearest.max()).repeat(len(blends.channels), 1)
    adam = Adam(logits, BLEND_RATE)
    with torch.enable_grad():
        for _ in range(BLEND_STEPS if len(alone) > 1 else 0):
            at = logits.clone().requires_grad_()
            loss = search.loss(blends.mixed(at.softmax(1), pairs))
            adam.step(*torch.autograd.grad(loss, at))
    shares = logits.softmax(1)
    ends = [blends.mixed(shares, blends.pairs(strength)) for strength in blends.strengths]
    return [AffinePair(*(value.cpu() for value in pair)) for pair in ends]


class _Blends:
    """Affine pairs between those of a checkpoint's styles."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self.network: StyleNetwork = copy.deepcopy(checkpoint.network).to(device)
        self.network.eval().requires_grad_(False)
        self.channels, self._bank, self._device = self.network.channels, checkpoint.bank, device
        self.strengths = checkpoint.strength_range or (STRENGTH,)

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
    """How far from a picture's style the network paints photos with a pair."""

    def __init__(
        self,
        network: StyleNetwork,
        picture: Tensor,
        photos: Photos,
        features: FeatureExtractor,
        dtype: torch.dtype,
    ) -> None:
        self._network, self._dtype = network, dtype
        self._losses: PerceptualLosses = make_losses(features, TrainConfig())
        seen = at_style_size(picture, STYLE_SIZE)
        self._targets: StyleTargets = self._losses.targets([seen])
        chosen = photos.train[:PROBES]
        count = len(chosen)
        self._numbers = torch.zeros(count, dtype=torch.long, device=features.device)
        self._colors = [v.expand(count, *v.shape[1:]) for v in color_gaussians(seen)]
        side = min(LARGEST_CROP, min(min(size) for size in photos.sizes))
        probes = torch.cat([center_crop(read_photo(path, side), side) for path in chosen])
        self._probes = recolor_batch(probes.to(features.device), *self._colors).clamp(0, 1)
        noise = make_noise(network.arch, side, side, range(count))
        self._noise = None if noise is None else noise.to(features.device)

    def loss(self, pair: AffinePair) -> Tensor:
        """The style loss of what is painted with a pair (``1xC`` each), in the picture's colors."""
        pair = AffinePair(*(value.expand(len(self._probes), -1) for value in pair))
        painted = self._network(self._probes, pair, self._dtype, self._noise)
        found = self._losses.activations(recolor_batch(painted, *self._colors))
        return self._losses.style(found, self._targets, self._numbers).mean()
