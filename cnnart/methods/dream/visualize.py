"""What a unit of a network wants to see: pictures from nothing, by gradient ascent.

After Olah, Mordvintsev and Schubert 2017, "Feature Visualization" (distill.pub): Adam on Fourier
coefficients (``cnnart.methods.dream.fourier``), the picture moved at random before the network sees
it (``cnnart.methods.dream.transforms``). Many targets are visualized at once, a picture each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import center_crop
from cnnart.methods.dream.ascent import activation_bytes
from cnnart.methods.dream.config import VisualizeConfig
from cnnart.methods.dream.fourier import FourierBasis
from cnnart.methods.dream.presets import DreamPreset
from cnnart.methods.dream.transforms import RandomTransform
from cnnart.networks.base import Network
from cnnart.networks.guest import going_back
from cnnart.optim.capture import replayed, sent
from cnnart.optim.memory import FIXED, Limits, idle_memory
from cnnart.optim.optimize import Adam, Reading, read_late
from cnnart.optim.steps import Clock, Evaluation, MemoryPlan, PyramidLevel, Step

PICTURES = 10  # float32 pictures alive at once: coefficients, Adam's state, the moved picture
RMS_FLOOR = 1e-3  # added to a layer's root mean square, against a layer that is zero everywhere
NEGATIVE_SLOPE = 0.1  # what a unit below its ReLU's threshold counts, where the ReLU is passed by


class FourierAdam(Adam):
    """Adam with its authors' decays, as lucid has it."""

    DECAY = 0.9, 0.999


class ImageScore(Protocol):
    """What each picture of a batch is worth.

    Maps ``count`` pictures, ``B x 3 x H x W`` in (0, 1), to B values that are to be raised; each
    value depends on its own picture alone.
    """

    count: int

    def __call__(self, pictures: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class ChannelTarget:
    """What to raise: a channel of a layer, or with ``channel`` None the whole layer.

    ``unit``: only the channel's unit at the center of the picture, not its mean everywhere.
    ``leaky``: what is negative counts a tenth.
    """

    layer: str
    channel: int | None = None
    unit: bool = False
    leaky: bool = False


class Visualization:
    """The pictures with the highest scores, one for each target.

    Args:
        network: its device and precision are the run's.
        targets: at least one; or an ``ImageScore`` of the caller's own.
        config: see ``VisualizeConfig``.
        seeds: of the noise that each picture starts from; None: ``config.seed`` for all. The
            random transforms follow ``config.seed`` and are the same for all pictures of a batch,
            so a picture does not depend on its neighbors.
        starts: ``B x 3 x H x W`` in [0, 1], of the config's size: pictures to start from, the
            noise added to them. There is no canvas around them, and a Step then shows the pictures
            that its activation was measured on, so that the first ones are the starts.
        limits: of time; memory is the caller's choice of how many targets at once.

    A Step's image is ``B x 3 x H x W`` in [0, 1], and so is what ``finish`` returns. Nothing long
    happens before the first step. Raises UsageError for settings that make no sense.
    """

    def __init__(
        self,
        network: Network,
        targets: Sequence[ChannelTarget] | ImageScore,
        config: VisualizeConfig,
        *,
        seeds: Sequence[int] | None = None,
        starts: Tensor | None = None,
        limits: Limits | None = None,
    ) -> None:
        height, width = config.sides
        self.features = network
        self.config = config
        self.limits = limits or Limits()
        self.warnings: list[str] = []
        self.schedule = [PyramidLevel(height, width, config.steps)]
        if isinstance(targets, Sequence):
            check_targets(network, targets, (height, width))
            self.score: ImageScore = ActivationScore(
                network, targets, config.selectivity, config.diversity
            )
        else:
            self.score = targets
        self.seeds = [config.seed] * self.score.count if seeds is None else list(seeds)
        if len(self.seeds) != self.score.count:
            raise UsageError(f"{len(self.seeds)} seeds for {self.score.count} pictures.")
        self.starts = starts
        self.memory = MemoryPlan(optimizer="adam", peak=self._peak())

    def _peak(self) -> int:
        height, width = self.config.sides
        pixels = self.score.count * height * width
        layers = getattr(self.score, "layers", list(self.features.geometry))
        needed = activation_bytes(self.features, layers, pixels) + PICTURES * 3 * 4 * pixels
        return idle_memory(self.features.device) + FIXED + needed

    def steps(self) -> Iterator[Step]:
        """Run, yielding a Step for every evaluation of the network."""
        config, clock = self.config, Clock(self.limits.seconds)
        climbed = read_late(self._climb(), self.features.device)
        for index, (activation, picture, _) in enumerate(climbed, start=1):
            clock.tick(1.0)
            yield Step(index, config.steps, activation, picture, config.sides, clock.seconds)
            if clock.is_over:
                return
            clock.start()

    def _climb(self) -> Iterator[tuple[Reading, Tensor]]:
        """The mean score before each step, and the pictures to show after it."""
        config = self.config
        transform = RandomTransform(config.jitter, config.scale, config.rotate)
        height, width = config.sides
        # What is seen is cut from a larger canvas: no picture's edge, nor what is beyond, is seen.
        around = 2 * transform.margin(height, width) if self.starts is None else 0
        device = self.features.device
        basis = FourierBasis(height + around, width + around, device=device, decay=config.decay)
        coefficients = basis.noise(self.seeds, config.deviation)
        if self.starts is not None:
            coefficients = basis.coefficients(self.starts) + coefficients
        if isinstance(self.score, ActivationScore):
            first = center_crop(basis.picture(coefficients), height, width)
            self.warnings += self.score.use_pre_activations(first)
        adam = FourierAdam(coefficients, config.learning_rate)
        leaf = coefficients.detach().requires_grad_(True)  # the same memory
        rng = torch.Generator().manual_seed(config.seed)
        canvases = basis.picture(leaf)
        canvas = (canvases.shape[-2], canvases.shape[-1])
        moved_score = MovedScore(self.score, transform, rng, canvas, config.sides, self.features)
        objective = replayed(moved_score, device)
        for _ in range(config.steps):
            evaluation = objective(canvases)
            # As grad(canvases, leaf, gradient) does, for which torch imports sympy: two seconds.
            product = canvases.flatten().dot(evaluation.gradient.flatten())
            (gradient,) = torch.autograd.grad(product, leaf)
            before, values = canvases.detach(), evaluation.values()
            moved = adam.step(gradient)
            canvases = basis.picture(leaf)  # what this step shows, the next one begins with
            shown = canvases.detach() if self.starts is None else before
            picture = center_crop(shown, height, width)
            yield Reading.of(list(evaluation.terms), values, values.sum(), moved), picture

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's pictures as they are to be written, on the CPU."""
        return image.detach().clamp(0, 1).cpu()


class MovedScore:
    """The objective to be lowered: less the score of pictures that were moved at random.

    Its term is the mean ``activation``, which rises. ``canvas``, ``size``: heights and widths of
    what is evaluated, and of what is cut from it for the ``network``, which the score asks.
    """

    def __init__(
        self,
        score: ImageScore,
        transform: RandomTransform,
        generator: torch.Generator,
        canvas: tuple[int, int],
        size: tuple[int, int],
        network: Network,
    ) -> None:
        self._score, self._transform, self._generator = score, transform, generator
        self._canvas, self._size, self._network = canvas, size, network
        self._map = torch.zeros(2, 3, device=network.device)

    def __call__(self, canvases: Tensor) -> Evaluation:
        self.draw()
        return self.evaluate(canvases)

    def draw(self) -> None:
        """Another random map."""
        theta = self._transform.drawn(self._generator, self._canvas, self._size)
        self._map.copy_(sent(theta, self._map.device))

    def evaluate(self, canvases: Tensor) -> Evaluation:
        """The score of the canvases (``Bx3xHxW``) as they are moved now."""
        leaf = canvases.detach().requires_grad_(True)
        values = self._score(self._transform.moved(leaf, self._map, self._size))
        with going_back(self._network):
            (gradient,) = torch.autograd.grad(-values.sum(), leaf)
        return Evaluation({"activation": values.detach().mean()}, gradient)


class ActivationScore:
    """The ``ImageScore`` of targets that are channels, units or layers of a network.

    A plain activation grows with contrast without end, and garish colors raise everything a
    little. So a channel's is divided by the root mean square of its whole layer to the power
    ``selectivity``: the picture is to excite this channel rather than all of them.

    ``diversity``: how much pictures of the same target are kept apart, by the cosine similarity of
    their layer's Gram matrices (Olah et al. 2017, section "Diversity"); they then depend on each
    other.
    """

    def __init__(
        self,
        network: Network,
        targets: Sequence[ChannelTarget],
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
        maps = [target_maps(found[t.layer][i], t) for i, t in enumerate(self.targets)]
        values = torch.stack([self._value(*pair) for pair in zip(maps, self.targets, strict=True)])
        if self.diversity:
            similarity = gram_similarity(maps, self.targets)
            values = values - self.diversity * values.detach().abs() * similarity
        return values

    def _value(self, maps: Tensor, target: ChannelTarget) -> Tensor:
        value = activation_of(maps, target)
        if not self.selectivity or target.channel is None or maps.ndim < 3:
            return value
        rms = maps.square().mean().sqrt() + RMS_FLOOR
        # A negative value would rise as well by exciting everything else.
        rms = torch.where(value > 0, rms, rms.detach())
        return value / rms**self.selectivity

    def use_pre_activations(self, pictures: Tensor) -> list[str]:
        """Fall back to the layer before a ReLU for targets that are zero on these pictures.

        A ReLU that is zero everywhere passes no gradient, and the picture would stay gray. Returns
        a line of warning for each layer concerned.
        """
        with torch.no_grad():
            values = self(pictures).tolist()
        warnings: dict[str, list[str]] = {}
        for i, target in enumerate(self.targets):
            if values[i] != 0:
                continue
            before = pre_activation_layer(self._network, target.layer)
            if before is not None:
                self.targets[i] = replace(target, layer=before, leaky=True)
                remedy = f"aiming at {before}, before its ReLU."
            else:
                remedy = "the picture may stay gray; try another `seed`, or the layer before."
            channel = "" if target.channel is None else str(target.channel)
            warnings.setdefault(f"{target.layer}|{remedy}", []).append(channel)
        return [
            f"Nothing excites {key.split('|')[0]} {', '.join(names)} at the start: "
            f"{key.split('|')[1]}"
            for key, names in warnings.items()
        ]


class PresetScore:
    """The ``ImageScore`` of one picture that raises what a preset does: a weighted sum over layers.

    ``neuron``: only the unit at this place, x and y from 0 to 1.
    """

    count = 1

    def __init__(
        self, network: Network, preset: DreamPreset, neuron: tuple[float, float] | None
    ) -> None:
        self.layers = [name for name, weight in preset.layers.items() if weight]
        self._network = network
        self._preset = preset
        self._channels = torch.tensor(preset.channels, dtype=torch.long, device=network.device)
        self._neuron = neuron

    def __call__(self, pictures: Tensor) -> Tensor:
        found = self._network(pictures, self.layers)
        return torch.stack([self._value(found[k].float(), k) for k in self.layers]).sum(0)

    def _value(self, units: Tensor, layer: str) -> Tensor:
        if self._preset.channels:
            units = units.index_select(1, self._channels)
        if self._neuron is not None:
            for axis, place in zip((-1, -2), self._neuron, strict=True):
                count = units.shape[axis]
                units = units.narrow(axis, min(int(place * count), count - 1), 1)
        values = units if self._preset.objective == "mean" else units.square()
        return self._preset.layers[layer] * values.flatten(1).mean(1)


def target_maps(activations: Tensor, target: ChannelTarget) -> Tensor:
    """A picture's activations at a target's layer as float32, channels first."""
    maps = activations.float()
    if maps.ndim == 2:  # tokens x channels
        maps = maps.mT
    return F.leaky_relu(maps, NEGATIVE_SLOPE) if target.leaky else maps


def activation_of(maps: Tensor, target: ChannelTarget) -> Tensor:
    """A target's activation in its layer's (``C x h x w``, ``C x n`` or ``C``): a number.

    The mean of a channel, its unit at the center, or a whole layer's mean square (DeepDream's).
    """
    if target.channel is None:
        return maps.square().mean()
    channel = maps[target.channel]
    if target.unit and channel.ndim == 2:
        return channel[channel.shape[0] // 2, channel.shape[1] // 2]
    return channel.mean()


def gram_similarity(maps: Sequence[Tensor], targets: Sequence[ChannelTarget]) -> Tensor:
    """Per picture, its layer's Gram matrix's mean cosine similarity to those of the same target."""
    flat = [found.flatten(1) for found in maps]
    grams = [F.normalize((rows @ rows.T).flatten(), dim=0) for rows in flat]
    values = []
    for i, target in enumerate(targets):
        others = [grams[k] for k, t in enumerate(targets) if k != i and t == target]
        cosines = [(grams[i] * other).sum() for other in others]
        values.append(torch.stack(cosines).mean() if cosines else grams[i].new_zeros(()))
    return torch.stack(values)


def pre_activation_layer(network: Network, layer: str) -> str | None:
    """The layer whose ReLU ``layer`` is, if there is one of the same size just before it."""
    names = list(network.geometry)
    place = names.index(layer)
    if network.kind(layer) != "relu" or place == 0:
        return None
    before, after = network.geometry[names[place - 1]], network.geometry[layer]
    alike = (before.stride, before.channels) == (after.stride, after.channels)
    return names[place - 1] if alike else None


def check_targets(
    network: Network, targets: Sequence[ChannelTarget], size: tuple[int, int]
) -> None:
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
            f"least {least} pixels. Ask for more with `size`."
        )
