"""The transformer network (Johnson et al. 2016) with conditional instance normalization."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from cnnart.fast.architecture import Architecture
from cnnart.fast.unit import Shape, Unit

GREY = 0.5  # what an untrained network paints
FIRST_OUTPUT = 0.1  # how much an untrained network's last layer is toned down


class Residual(nn.Module):
    """Two units added to what they saw."""

    def __init__(self, shape: Shape, entries: int) -> None:
        super().__init__()
        self.first = Unit(shape, entries)
        self.second = Unit(shape, entries, relu=False)

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        return x + self.second(self.first(x, mix), mix)


class StyleNetwork(nn.Module):
    """Maps photos to stylized photos.

    Args:
        arch: its shape.
        entries: affine pairs per normalization; see ``cnnart.fast.table.StyleTable``.
        seed: of the random weights it starts from.
    """

    def __init__(self, arch: Architecture, entries: int = 1, *, seed: int = 0) -> None:
        super().__init__()
        self.arch = arch
        self.entries = entries
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(arch, entries)

    def _build(self, arch: Architecture, entries: int) -> None:
        fine, coarse, levels = arch.widths[0], arch.widths[-1], list(pairwise(arch.widths))
        if arch.direct:
            into = [Shape(3, coarse, unshuffle=arch.stride)]
        else:
            into = [Shape(3, fine, arch.outer, unshuffle=arch.stem)]
            into += [Shape(wide, deep, stride=2) for wide, deep in levels]
        inside = Shape(coarse, coarse, arch.inner, separable=arch.separable)
        out = [Shape(deep, wide, enlarge=2) for wide, deep in levels]
        self.encoder = nn.ModuleList(Unit(shape, entries) for shape in into)
        self.blocks = nn.ModuleList(Residual(inside, entries) for _ in range(arch.blocks))
        self.decoder = nn.ModuleList(Unit(shape, entries) for shape in reversed(out))
        self.head = Unit(Shape(fine, 3, arch.outer, shuffle=arch.stem), relu=False)
        with torch.no_grad():
            self.head.weight.mul_(FIRST_OUTPUT)
            assert self.head.bias is not None
            self.head.bias.fill_(GREY)

    def forward(self, photos: Tensor, mix: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Stylize a batch.

        Args:
            photos: ``Bx3xHxW`` in [0, 1], any size.
            mix: ``Bxentries`` float32, rows that sum to 1: what each picture is to look like.
            dtype: of the activations; statistics are float32 anyhow.

        Returns ``Bx3xHxW`` float32, about [0, 1] and not clamped.
        """
        height, width = photos.shape[-2:]
        if not torch.jit.is_tracing():  # an exported network gets sizes that fit
            photos = fill_up(photos, self.arch)
        x = photos.to(dtype).contiguous(memory_format=torch.channels_last)
        for part in (*self.encoder, *self.blocks, *self.decoder, self.head):
            x = part(x, mix)
        x = x.float()
        return x if torch.jit.is_tracing() else x[..., :height, :width]

    def units(self) -> list[Unit]:
        """Every unit, in order."""
        return [module for module in self.modules() if isinstance(module, Unit)]

    def extend(self, entries: int) -> None:
        """Add affine pairs, each starting as the mean of those that are there."""
        for unit in self.units():
            if unit.norm is None:
                continue
            for name in ("gamma", "beta"):
                old = getattr(unit.norm, name).data
                new = old.mean(0, keepdim=True).expand(entries, -1)
                setattr(unit.norm, name, nn.Parameter(torch.cat((old, new))))
        self.entries += entries


def least_side(arch: Architecture) -> int:
    """The smallest side whose coarsest layer can be padded by reflection."""
    return max(
        2 * arch.stride, arch.stride * (arch.inner // 2 + 1), arch.stem * (arch.outer // 2 + 1)
    )


def fill_up(photos: Tensor, arch: Architecture) -> Tensor:
    """``photos`` continued below and to the right by reflection, to a size the network can take."""
    for axis in (-2, -1):
        side = photos.shape[axis]
        wanted = -(-max(side, least_side(arch)) // arch.stride) * arch.stride
        if wanted != side:
            period = max(2 * side - 2, 1)
            index = torch.arange(wanted, device=photos.device) % period
            photos = photos.index_select(axis, torch.minimum(index, period - index))
    return photos
