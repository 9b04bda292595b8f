"""The transformer network (Johnson et al. 2016) with conditional instance normalization, and the
bank of styles that its affine pairs hold (Dumoulin et al. 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from cnnart.errors import UsageError, did_you_mean
from cnnart.methods.fast.architecture import Architecture
from cnnart.methods.fast.layers import ConvBlock, ConvSpec

GRAY = 0.5  # what an untrained network paints
FIRST_OUTPUT = 0.1  # how much an untrained network's last layer is toned down


class ResidualBlock(nn.Module):
    """Two convolution blocks added to their input."""

    def __init__(self, spec: ConvSpec, pairs: int) -> None:
        super().__init__()
        self.first = ConvBlock(spec, pairs)
        self.second = ConvBlock(spec, pairs, relu=False)

    def forward(self, x: Tensor, style_weights: Tensor) -> Tensor:
        return x + self.second(self.first(x, style_weights), style_weights)


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
        if arch.direct:
            into = [ConvSpec(3, coarse, unshuffle=arch.stride)]
        else:
            into = [ConvSpec(3, fine, arch.outer, unshuffle=arch.stem)]
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
        self, photos: Tensor, style_weights: Tensor, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Stylize a batch.

        Args:
            photos: ``Bx3xHxW`` in [0, 1], any size.
            style_weights: ``Bxpairs`` float32, rows that sum to 1: what each picture is to look
                like; see ``StyleBank.style_vector``.
            dtype: of the activations; statistics are float32 anyhow.

        Returns ``Bx3xHxW`` float32, about [0, 1] and not clamped.
        """
        height, width = photos.shape[-2:]
        if not torch.jit.is_tracing():  # an exported network gets sizes that fit
            photos = reflect_pad_to_stride(photos, self.arch)
        x = photos.to(dtype).contiguous(memory_format=torch.channels_last)
        for part in (*self.encoder, *self.blocks, *self.decoder, self.head):
            x = part(x, style_weights)
        x = x.float()
        return x if torch.jit.is_tracing() else x[..., :height, :width]

    def conv_blocks(self) -> list[ConvBlock]:
        """Every convolution block, in order."""
        return [module for module in self.modules() if isinstance(module, ConvBlock)]

    def add_pairs(self, count: int) -> None:
        """Add affine pairs, each starting as the mean of those that are there."""
        for block in self.conv_blocks():
            if block.norm is None:
                continue
            for name in ("gamma", "beta"):
                old = getattr(block.norm, name).data
                new = old.mean(0, keepdim=True).expand(count, -1)
                setattr(block.norm, name, nn.Parameter(torch.cat((old, new))))
        self.pairs += count


def smallest_side(arch: Architecture) -> int:
    """The smallest side whose coarsest layer can be padded by reflection."""
    return max(
        2 * arch.stride, arch.stride * (arch.inner // 2 + 1), arch.stem * (arch.outer // 2 + 1)
    )


def reflect_pad_to_stride(photos: Tensor, arch: Architecture) -> Tensor:
    """``photos`` continued below and to the right by reflection, to a size the network can take."""
    for axis in (-2, -1):
        side = photos.shape[axis]
        padded = -(-max(side, smallest_side(arch)) // arch.stride) * arch.stride
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
