"""What a dream raises: the activations of chosen units, and the gradient by the pixels.

A sum over units, so that it is computed tile by tile without a first pass: each tile adds the units
of its core, and the halo around it makes their activations those of the whole picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.networks.base import Network
from cnnart.networks.guest import going_back
from cnnart.optim.capture import sent
from cnnart.optim.steps import Evaluation
from cnnart.optim.tiles import Tile, core_of, picture_tiles

GUIDE_CELLS = 1 << 24  # similarities computed at a time, to bound the memory they take
SMALLEST = 1e-6  # a layer's RMS and a guide vector's length: against dividing by zero


@dataclass(frozen=True)
class ObjectiveSpec:
    """Which units to raise, and how.

    Args:
        layers: weights by name; negative ones suppress. Relative: a layer is measured by its own
            root mean square on the photo (the reference RMS), so that 1 means the same at every
            layer.
        channels: of each layer; empty: all.
        neuron: only the unit at this place, x and y from 0 to 1; jitter moves it about.
        kind: ``l2`` raises the square of an activation, so that what is there grows most
            (Mordvintsev et al. 2015); ``mean`` raises all alike.
        guides: for a guided dream, by layer, unit vectors ``Q x C``: each place's activations are
            pulled to the guide vector they are most similar to (the "control" of the original).
    """

    layers: Mapping[str, float]
    channels: tuple[int, ...] = ()
    neuron: tuple[float, float] | None = None
    kind: str = "l2"
    guides: Mapping[str, Tensor] | None = None


class DreamObjective:
    """Maps a picture to the value of each layer and the gradient of their weighted sum.

    Args:
        network: any of ``cnnart.networks``.
        spec: what to raise.
        size: ``(height, width)`` of the pictures.
        rms: by layer, from ``reference_rms``.
        jitter: at each call the picture is shifted by up to so many pixels along both axes, and the
            gradient shifted back, so that no grid of the network shows (``RandomShift``).
        generator: on the CPU, draws the jitter.
        tile: side of a tile in pixels; 0: the whole picture at once.

    The values are means over the chosen units, times the layer's weight; unlike losses they rise.
    """

    def __init__(
        self,
        network: Network,
        spec: ObjectiveSpec,
        size: tuple[int, int],
        rms: Mapping[str, float],
        *,
        jitter: int = 0,
        generator: torch.Generator | None = None,
        tile: int = 0,
    ) -> None:
        self.network = network
        self.spec = spec
        self.size = size
        self.rms = rms
        generator = generator or torch.Generator().manual_seed(0)
        self.shift = RandomShift(jitter, size, generator, network.device)
        self.layers = [name for name, weight in spec.layers.items() if weight]
        self.tiles = picture_tiles(network, self.layers, size, tile)
        # A list as an index would be sent to the device at each call, and waited for.
        self._channels = torch.tensor(spec.channels, dtype=torch.long, device=network.device)

    def __call__(self, image: Tensor) -> Evaluation:
        """The values and their gradient at ``image`` (``1x3xHxW`` float32)."""
        self.draw()
        return self.evaluate(image)

    def draw(self) -> None:
        """Another shift."""
        self.shift.draw()

    def evaluate(self, image: Tensor) -> Evaluation:
        """The values and the gradient of the picture as it is shifted now."""
        moved = self.shift(image.detach())
        gradient = torch.zeros_like(image)
        totals = {name: torch.zeros((), device=image.device) for name in self.layers}
        counts = dict.fromkeys(self.layers, 0)
        for tile in self.tiles:
            rows, columns = tile.region
            leaf = moved[..., rows, columns].clone().requires_grad_(True)
            sums = self._sums(leaf, tile)
            if not sums:
                continue
            with going_back(self.network):
                torch.stack([s * self._scale(k) for k, (s, _) in sums.items()]).sum().backward()
            assert leaf.grad is not None
            gradient[..., rows, columns] += leaf.grad
            for name, (total, count) in sums.items():
                totals[name] += total.detach()
                counts[name] += count
        values = {
            name: self.spec.layers[name] * totals[name] / max(counts[name], 1)
            for name in self.layers
        }
        return Evaluation(values, self.shift.back(gradient))

    def _sums(self, leaf: Tensor, tile: Tile) -> dict[str, tuple[Tensor, int]]:
        """A tile's part of each layer's sum over chosen units, and how many these are."""
        found = self.network(leaf, self.layers)
        sums = {}
        for name in self.layers:
            stride = self.network.geometry[name].stride
            units = core_of(found[name], tile, stride)
            if self.spec.channels and self.spec.guides is None:
                units = units.index_select(1, self._channels)
            if self.spec.neuron is not None:
                units = self._at_neuron(units, tile, stride)
            if units.numel():
                sums[name] = self._sum(units.float() / self.rms[name], name), units.numel()
        return sums

    def _sum(self, units: Tensor, layer: str) -> Tensor:
        if self.spec.guides is not None:
            return guided_sum(units, self.spec.guides[layer])
        return units.sum() if self.spec.kind == "mean" else units.square().sum()

    def _at_neuron(self, units: Tensor, tile: Tile, stride: int) -> Tensor:
        """The unit at the chosen place, or nothing where it is another tile's."""
        assert self.spec.neuron is not None
        places = zip(reversed(self.spec.neuron), self.size, (tile.rows, tile.columns), strict=True)
        for axis, (place, length, span) in enumerate(places, start=-2):
            count = units.shape[axis] if tile.is_whole else length // stride
            index = min(int(place * count), count - 1) - span.start // stride
            units = units.narrow(axis, index, 1) if 0 <= index < units.shape[axis] else units[:0]
        return units

    def _scale(self, layer: str) -> float:
        """What the layer's sum is multiplied with: alike for tiles of any size, far from underflow.

        A mean over units times the number of pixels.
        """
        g = self.network.geometry[layer]
        return self.spec.layers[layer] * g.stride**2 / g.channels


class RandomShift:
    """A picture moved at random along both axes, at the same size, and its gradient moved back.

    What comes in is the picture's mirror image. Rolled, as is usual, the opposite sides would meet
    in a seam, and the dream would draw it as a bright frame.

    How far is a tensor on the device, so that shifting is the same work each time and can be
    recorded; and each pixel's gradient is summed up in one order, which CUDA's own kernel for
    mirrored borders does not.

    Args:
        most: pixels along each axis.
        size: ``(height, width)`` of the pictures.
        generator: on the CPU, draws.
        device: of the pictures.
    """

    def __init__(
        self, most: int, size: tuple[int, int], generator: torch.Generator, device: torch.device
    ) -> None:
        self._most, self._generator, self._device = most, generator, device
        self._reach = [min(most, side - 1) for side in size]  # down, right
        # What the picture is read from, in rows and columns of the picture with its borders.
        self._origins = torch.tensor(self._reach, device=device)
        self._places = [torch.arange(side, device=device) for side in size]

    def draw(self) -> None:
        """Move by another distance from now on."""
        most = self._most
        drawn = torch.randint(-most, most + 1, (2,), generator=self._generator).tolist()
        pairs = zip(drawn, self._reach, strict=True)
        origins = [reach - max(-reach, min(reach, distance)) for distance, reach in pairs]
        self._origins.copy_(sent(torch.tensor(origins), self._device))

    def __call__(self, image: Tensor) -> Tensor:
        """``1x3xHxW`` moved."""
        down, right = self._reach
        if down or right:
            image = F.pad(image, (right, right, down, down), mode="reflect")
            for axis, places in zip((-2, -1), self._read(), strict=True):
                image = image.index_select(axis, places)
        return image

    def back(self, gradient: Tensor) -> Tensor:
        """The gradient by a picture, from that by the picture moved."""
        down, right = self._reach
        if not (down or right):
            return gradient
        for axis, reach, places in zip((-2, -1), (down, right), self._read(), strict=True):
            shape = list(gradient.shape)
            shape[axis] += 2 * reach
            gradient = gradient.new_zeros(shape).index_copy_(axis, places, gradient)
        height, width = gradient.shape[-2] - 2 * down, gradient.shape[-1] - 2 * right
        result = gradient.new_zeros(*gradient.shape[:2], height, width)
        # In the order in which the places of a pixel lie, as the CPU's kernel sums them.
        for rows, above in mirrored(height, down):
            for columns, before in mirrored(width, right):
                part, axes = gradient[..., above, before], []
                if above.stop - above.start != height:
                    axes.append(-2)
                if before.stop - before.start != width:
                    axes.append(-1)
                result[..., rows, columns] += part.flip(axes) if axes else part
        return result

    def _read(self) -> list[Tensor]:
        """The rows and the columns, of the picture with its borders, that are seen."""
        pairs = zip(self._places, self._origins.unbind(), strict=True)
        return [places + origin for places, origin in pairs]


def mirrored(side: int, reach: int) -> list[tuple[slice, slice]]:
    """Which pixels of an axis lie, mirrored but for the middle one, in which of the padded axis."""
    parts = [(slice(0, side), slice(reach, reach + side))]
    if reach:
        parts.insert(0, (slice(1, reach + 1), slice(0, reach)))
        end = reach + side
        parts.append((slice(side - 1 - reach, side - 1), slice(end, end + reach)))
    return parts


def guided_sum(units: Tensor, guides: Tensor) -> Tensor:
    """Sum over places of the dot product with the most similar guide.

    Args:
        units: ``1xCxhxw``.
        guides: ``QxC``, of length 1.
    """
    places = units.flatten(2)[0].T
    chunk = max(1, GUIDE_CELLS // guides.shape[0])
    with torch.no_grad():  # the choice is constant almost everywhere
        chosen = [(part @ guides.T).argmax(1) for part in places.split(chunk)]
    return (places * guides[torch.cat(chosen)]).sum()


def guide_vectors(network: Network, picture: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The activations of a guide picture at every place, of length 1: ``QxC`` by layer."""
    with torch.no_grad():
        found = network(picture, layers)
    vectors = {name: found[name].float().flatten(2)[0].T for name in layers}
    return {
        name: v / torch.linalg.vector_norm(v, dim=1, keepdim=True).clamp_min(SMALLEST)
        for name, v in vectors.items()
    }


def reference_rms(network: Network, picture: Tensor, layers: Sequence[str]) -> dict[str, float]:
    """The root mean square of each layer's activations on a picture (a small one will do)."""
    with torch.no_grad():
        found = network(picture, layers)
    squares = {name: float(found[name].double().square().mean()) for name in layers}
    return {name: max(square**0.5, SMALLEST) for name, square in squares.items()}
