"""What can be raised in a network: units, channels, layers, as an objective for many pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError

if TYPE_CHECKING:
    from cnnart.networks import Network

TINY = 1e-3  # against a layer that is zero everywhere
LEAK = 0.1  # what a unit below its ReLU's threshold counts, where only the layer before is of use


@dataclass(frozen=True)
class Target:
    """What to raise: a channel of a layer, or with ``channel`` None the whole layer.

    ``unit``: only the channel's unit at the centre of the picture, not its mean everywhere.
    ``leaky``: what is negative counts a tenth.
    """

    layer: str
    channel: int | None = None
    unit: bool = False
    leaky: bool = False


class Objective(Protocol):
    """What a batch of pictures is worth.

    ``count`` pictures, ``B x 3 x H x W`` in (0, 1), to B values that are to be raised; each value
    depends on its own picture alone.
    """

    count: int

    def __call__(self, pictures: Tensor) -> Tensor: ...


class Activations:
    """The objective of targets that are channels, units or layers of a network.

    A plain activation grows with contrast without end, and garish colours excite everything a
    little. So a channel's is divided by the size (root mean square) of its whole layer to the power
    ``selectivity``: the picture is to excite this channel rather than all of them.

    ``diversity``: how much pictures of the same target are kept apart, by the cosine of their
    layer's Gram matrices (Olah et al. 2017, section "Diversity"); they then depend on each other.
    """

    def __init__(
        self,
        network: Network,
        targets: Sequence[Target],
        selectivity: float = 0.0,
        diversity: float = 0.0,
    ) -> None:
        self.count = len(targets)
        self.targets = list(targets)
        self.selectivity = selectivity
        self.diversity = diversity
        self._network = network

    @property
    def layers(self) -> list[str]:
        """Every layer that is looked at, once."""
        return list(dict.fromkeys(target.layer for target in self.targets))

    def __call__(self, pictures: Tensor) -> Tensor:
        found = self._network(pictures, self.layers)
        maps = [units(found[target.layer][i], target) for i, target in enumerate(self.targets)]
        values = torch.stack([self._value(*pair) for pair in zip(maps, self.targets, strict=True)])
        if self.diversity:
            values = values - self.diversity * values.detach().abs() * likeness(maps, self.targets)
        return values

    def _value(self, maps: Tensor, target: Target) -> Tensor:
        value = excitement(maps, target)
        if not self.selectivity or target.channel is None or maps.ndim < 3:
            return value
        size = maps.square().mean().sqrt() + TINY
        # A negative value would rise as well by exciting everything else.
        size = torch.where(value > 0, size, size.detach())
        return value / size**self.selectivity

    def revive(self, pictures: Tensor) -> list[str]:
        """Replace targets that are zero on these pictures by what comes before their ReLU.

        A ReLU that is zero everywhere passes no gradient, and the picture would stay grey. Returns
        a line of warning for each layer concerned.
        """
        with torch.no_grad():
            values = self(pictures).tolist()
        notes: dict[str, list[str]] = {}
        for i, target in enumerate(self.targets):
            if values[i] != 0:
                continue
            before = before_relu(self._network, target.layer)
            if before is not None:
                self.targets[i] = replace(target, layer=before, leaky=True)
                remedy = f"aiming at {before}, before its ReLU."
            else:
                remedy = "the picture may stay grey; try another --seed, or the layer before."
            channel = "" if target.channel is None else str(target.channel)
            notes.setdefault(f"{target.layer}|{remedy}", []).append(channel)
        return [
            f"Nothing excites {key.split('|')[0]} {', '.join(names)} at the start: "
            f"{key.split('|')[1]}"
            for key, names in notes.items()
        ]


def units(activations: Tensor, target: Target) -> Tensor:
    """A picture's activations at a target's layer as float32, channels first."""
    maps = activations.float()
    if maps.ndim == 2:  # tokens x channels
        maps = maps.mT
    return F.leaky_relu(maps, LEAK) if target.leaky else maps


def excitement(maps: Tensor, target: Target) -> Tensor:
    """How much a layer's activations (``C x h x w``, ``C x n`` or ``C``) please a target: a number.

    The mean of a channel, its unit at the centre, or a whole layer's mean square (DeepDream's).
    """
    if target.channel is None:
        return maps.square().mean()
    channel = maps[target.channel]
    if target.unit and channel.ndim == 2:
        return channel[channel.shape[0] // 2, channel.shape[1] // 2]
    return channel.mean()


def likeness(maps: Sequence[Tensor], targets: Sequence[Target]) -> Tensor:
    """Per picture, the mean cosine of its layer's Gram matrix with those of the same target."""
    flat = [found.flatten(1) for found in maps]
    grams = [F.normalize((rows @ rows.T).flatten(), dim=0) for rows in flat]
    values = []
    for i, target in enumerate(targets):
        others = [grams[k] for k, t in enumerate(targets) if k != i and t == target]
        alike = [(grams[i] * other).sum() for other in others]
        values.append(torch.stack(alike).mean() if alike else grams[i].new_zeros(()))
    return torch.stack(values)


def before_relu(network: Network, layer: str) -> str | None:
    """The layer whose ReLU ``layer`` is, if there is one of the same size just before it."""
    names = list(network.geometry)
    place = names.index(layer)
    if network.kind(layer) != "relu" or place == 0:
        return None
    before, after = network.geometry[names[place - 1]], network.geometry[layer]
    alike = (before.stride, before.channels) == (after.stride, after.channels)
    return names[place - 1] if alike else None


def check_targets(network: Network, targets: Sequence[Target], size: tuple[int, int]) -> None:
    """Raise UsageError for a layer or channel that is not there, or too small a picture."""
    if not targets:
        raise UsageError("Nothing to visualize: name a layer, like relu4_3.")
    network.check_layers([target.layer for target in targets])
    for target in targets:
        count = network.geometry[target.layer].channels
        if target.channel is not None and not 0 <= target.channel < count:
            raise UsageError(
                f"{target.layer} has no channel {target.channel}: it has {count}, 0 to {count - 1}."
            )
    least = network.smallest_side([target.layer for target in targets])
    if min(size) < least:
        raise UsageError(
            f"{size[1]}x{size[0]} is too small for {targets[0].layer}: the short side needs at "
            f"least {least} pixels. Ask for more with --size."
        )
