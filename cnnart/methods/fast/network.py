"""The transformer network (Johnson et al. 2016) with conditional instance normalization, and the
bank of styles that its affine pairs hold (Dumoulin et al. 2017).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnart.errors import UsageError, did_you_mean
from cnnart.methods.fast.architecture import Architecture
from cnnart.methods.fast.layers import AffinePair, ConvBlock, ConvSpec

GRAY = 0.5  # what an untrained network paints
FIRST_OUTPUT = 0.1  # how much an untrained network's last layer is toned down


class ResidualBlock(nn.Module):
    """Two convolution blocks added to their input."""

    def __init__(self, spec: ConvSpec, pairs: int) -> None:
        super().__init__()
        self.first = ConvBlock(spec, pairs)
        self.second = ConvBlock(spec, pairs, relu=False)


class StyleNetwork(nn.Module):
    """Maps photos to stylized photos.

    Args:
        arch: its shape.
        pairs: affine pairs per normalization; see ``StyleBank``.
        seed: of the random weights it starts from.
    """

    def __init__(self, arch: Architecture, pairs: int = 1, *, seed: int = 0) -> None:
        super().__init__()
        self.arch = arch
        self.pairs = pairs
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(arch, pairs)

    def _build(self, arch: Architecture, pairs: int) -> None:
        fine, coarse, levels = arch.widths[0], arch.widths[-1], list(pairwise(arch.widths))
        seen = 3 * arch.cell**2 + arch.noise
        if arch.direct:
            into = [ConvSpec(seen, coarse)]
        else:
            into = [ConvSpec(seen, fine, arch.outer)]
            into += [ConvSpec(wide, deep, stride=2) for wide, deep in levels]
        inside = ConvSpec(coarse, coarse, arch.inner, separable=arch.separable)
        out = [ConvSpec(deep, wide, upsample=2) for wide, deep in levels]
        # These names are in checkpoints.
        self.encoder = nn.ModuleList(ConvBlock(spec, pairs) for spec in into)
        self.blocks = nn.ModuleList(ResidualBlock(inside, pairs) for _ in range(arch.blocks))
        self.decoder = nn.ModuleList(ConvBlock(spec, pairs) for spec in reversed(out))
        self.head = ConvBlock(ConvSpec(fine, 3, arch.outer, shuffle=arch.stem), relu=False)
        with torch.no_grad():
            self.head.weight.mul_(FIRST_OUTPUT)
            assert self.head.bias is not None
            self.head.bias.fill_(GRAY)

    def forward(
        self,
        photos: Tensor,
        style: Tensor | AffinePair,
        dtype: torch.dtype = torch.float32,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Stylize a batch.

        Args:
            photos: ``Bx3xHxW`` in [0, 1], any size.
            style: what each picture is to look like: weights of the affine pairs, ``Bxpairs``
                float32, rows that sum to 1 (see ``StyleBank.style_vector``), or the pair of all
                layers itself.
            dtype: of the activations; statistics are float32 anyhow.
            noise: for photos of that size, see ``make_noise``; None: of seed 0, for each photo.

        Returns ``Bx3xHxW`` float32, about [0, 1] and not clamped.
        """
        height, width = photos.shape[-2:]
        if not torch.jit.is_tracing():  # an exported network gets sizes that fit
            photos = reflect_pad_to_stride(photos, self.arch)
            if noise is None:
                noise = make_noise(self.arch, height, width, [0] * len(photos))
        pairs = iter(self.layer_pairs(style))
        x = F.pixel_unshuffle(photos.to(dtype), self.arch.cell)
        if noise is not None and self.arch.noise:
            x = torch.cat((x, noise.to(x)), 1)
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.encoder:
            x = block(x, next(pairs))
        for residual in self._residual_blocks():
            x = x + residual.second(residual.first(x, next(pairs)), next(pairs))
        for block in self.decoder:
            x = block(x, next(pairs))
        x = self.head(x, None).float()
        return x if torch.jit.is_tracing() else x[..., :height, :width]

    def layer_pairs(self, style: Tensor | AffinePair) -> list[AffinePair]:
        """The affine pair of each normalized layer, for weights of its pairs or that of all."""
        pair = style if isinstance(style, AffinePair) else self.mixed_pair(style)
        return pair.split(self.channels)

    def mixed_pair(self, style_weights: Tensor) -> AffinePair:
        """The affine pair of all layers, mixed from those trained: ``Bxpairs`` -> ``BxC`` each."""
        norms = [block.norm for block in self.conv_blocks() if block.norm is not None]
        gamma = torch.cat([norm.gamma for norm in norms], 1)
        beta = torch.cat([norm.beta for norm in norms], 1)
        return AffinePair(style_weights @ gamma, style_weights @ beta)

    @property
    def channels(self) -> list[int]:
        """Of each normalized layer."""
        return [block.spec.outputs for block in self.normalized_blocks()]

    def conv_blocks(self) -> list[ConvBlock]:
        """Every convolution block, in order."""
        return [module for module in self.modules() if isinstance(module, ConvBlock)]

    def _residual_blocks(self) -> list[ResidualBlock]:
        return [block for block in self.blocks if isinstance(block, ResidualBlock)]

    def normalized_blocks(self) -> list[ConvBlock]:
        """Those that have affine pairs: all but the head."""
        return self.conv_blocks()[:-1]

    def add_pairs(self, count: int) -> None:
        """Add affine pairs, each starting as the mean of those that are there."""
        for block in self.normalized_blocks():
            for name in ("gamma", "beta"):
                old = getattr(block.norm, name).data
                new = old.mean(0, keepdim=True).expand(count, -1)
                setattr(block.norm, name, nn.Parameter(torch.cat((old, new))))
        self.pairs += count

    @torch.no_grad()
    def with_pairs(self, pairs: Sequence[AffinePair]) -> StyleNetwork:
        """A copy with the same convolutions and these affine pairs of all layers (``1xC`` each) in
        place of its own.
        """
        network = StyleNetwork(self.arch, len(pairs))
        kept = {k: v for k, v in self.state_dict().items() if not k.endswith((".gamma", ".beta"))}
        network.load_state_dict(kept, strict=False)
        for index, pair in enumerate(pairs):
            parts = pair.split(self.channels)
            for block, part in zip(network.normalized_blocks(), parts, strict=True):
                assert block.norm is not None
                block.norm.gamma[index] = part.gamma[0]
                block.norm.beta[index] = part.beta[0]
        return network


@torch.no_grad()
def mean_network(networks: Sequence[StyleNetwork], shares: Sequence[float]) -> StyleNetwork:
    """A network whose convolutions are the mean of several's, by shares that sum to 1; its affine
    pairs are the first one's.

    It paints a blend of their styles if they all began as one network, and are not far from it
    (Wortsman et al. 2022).
    """
    mean = copy.deepcopy(networks[0])
    each = zip(*(network.conv_blocks() for network in (mean, *networks)), strict=True)
    for block, *blocks in each:
        for name in ("weight", "bias", "depthwise"):
            if (value := getattr(block, name)) is not None:
                values = zip(shares, (getattr(b, name) for b in blocks), strict=True)
                value.copy_(sum(share * other for share, other in values))
    return mean


def make_noise(arch: Architecture, height: int, width: int, seeds: Sequence[int]) -> Tensor | None:
    """What the network sees beside photos of a size: white noise, the same for the same seed, one
    seed for each photo: ``BxCxhxw`` on the CPU. None where it sees none.
    """
    if not arch.noise:
        return None
    rows, columns = (padded_side(side, arch) // arch.cell for side in (height, width))
    return torch.cat(
        [
            torch.randn(
                (1, arch.noise, rows, columns), generator=torch.Generator().manual_seed(seed)
            )
            for seed in seeds
        ]
    )


def padded_side(side: int, arch: Architecture) -> int:
    """A side of the picture as the network takes it: a multiple of its stride."""
    return -(-max(side, smallest_side(arch)) // arch.stride) * arch.stride


def smallest_side(arch: Architecture) -> int:
    """The smallest side whose coarsest layer can be padded by reflection."""
    return max(
        2 * arch.stride, arch.stride * (arch.inner // 2 + 1), arch.stem * (arch.outer // 2 + 1)
    )


def reflect_pad_to_stride(photos: Tensor, arch: Architecture) -> Tensor:
    """``photos`` continued below and to the right by reflection, to a size the network can take."""
    for axis in (-2, -1):
        side = photos.shape[axis]
        padded = padded_side(side, arch)
        if padded != side:
            period = max(2 * side - 2, 1)
            index = torch.arange(padded, device=photos.device) % period
            photos = photos.index_select(axis, torch.minimum(index, period - index))
    return photos


@dataclass(frozen=True)
class StyleBank:
    """The styles of a network by name: which of its affine pairs belong to which.

    ``strength_range``: the strengths of a style's two affine pairs, weak and strong, between which
    it was trained; other strengths mix them. None: each style has one pair, trained at one
    strength.
    """

    names: tuple[str, ...]
    strength_range: tuple[float, float] | None = None

    @property
    def pairs(self) -> int:
        """Affine pairs per normalization of the network."""
        return len(self.names) * (2 if self.strength_range else 1)

    def index(self, name: str) -> int:
        """Raises UsageError, with the closest name, for a style that is not in it."""
        if name not in self.names:
            hint = did_you_mean(name, list(self.names))
            raise UsageError(f"No style {name!r} in it: {', '.join(self.names)}.{hint}")
        return self.names.index(name)

    def style_vector(self, weights: Mapping[str, float], strength: float) -> Tensor:
        """The style weights for a blend of styles at a strength: ``1xpairs``, their sum 1."""
        total = sum(weights.values())
        vector = torch.zeros(self.pairs)
        for name, weight in weights.items():
            part, index = weight / total, self.index(name)
            if self.strength_range is None:
                vector[index] += part
                continue
            position = self.position(strength)
            vector[2 * index] += part * (1 - position)
            vector[2 * index + 1] += part * position
        return vector[None]

    def position(self, strength: float) -> float:
        """0 at the weak pair, 1 at the strong one; strengths beyond count as these."""
        assert self.strength_range
        weak, strong = self.strength_range
        return min(1.0, max(0.0, (strength - weak) / (strong - weak)))

    def opacity(self, strength: float) -> float:
        """How much of the network's picture is laid over the photo; 0 at strength 0.

        Below the weakest strength that was trained the two are close, and mixing them does not
        show double edges. A style of one pair has nothing else to offer below its 0.5.
        """
        least = self.strength_range[0] if self.strength_range else 0.5
        return min(1.0, strength / least)
