"""What a unit of a network wants to see: pictures from nothing, by gradient ascent.

After Olah, Mordvintsev and Schubert 2017, "Feature Visualization" (distill.pub): Adam on Fourier
coefficients (``cnnart.dreaming.fourier``), the picture shaken at random before the network sees it
(``cnnart.dreaming.robustness``). Many targets are made at once, a picture each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnnart.budget import FIXED, Limits, MemoryPlan, idle_memory
from cnnart.config import VisualizeConfig, check_visualize_config
from cnnart.dreaming.activations import Activations, Objective, Target, check_targets
from cnnart.dreaming.fourier import FourierBasis
from cnnart.dreaming.robustness import Shake, cut, margin, shake
from cnnart.errors import CnnartError, UsageError
from cnnart.optimize import Step
from cnnart.schedule import Clock, Scale

if TYPE_CHECKING:
    from cnnart.networks import Network

PICTURES = 10  # float32 pictures alive at once: coefficients, Adam's state, the shaken picture


class Visualization:
    """Pictures that excite their targets most, one for each.

    Args:
        network: its device and precision are the run's.
        targets: at least one; or an ``Objective`` of the caller's own.
        config: see ``VisualizeConfig``.
        seeds: of the noise that each picture starts from; None: ``config.seed`` for all. The
            shakes follow ``config.seed`` and are the same for all pictures of a batch, so a
            picture does not depend on its neighbours.
        limits: of time; memory is the caller's choice of how many targets at once.

    A Step's image is ``B x 3 x H x W`` in [0, 1], and so is what ``finish`` returns. Nothing long
    happens before the first step. Raises UsageError for settings that make no sense.
    """

    def __init__(
        self,
        network: Network,
        targets: Sequence[Target] | Objective,
        config: VisualizeConfig,
        *,
        seeds: Sequence[int] | None = None,
        limits: Limits | None = None,
    ) -> None:
        check_visualize_config(config)
        height, width = config.sides
        self.features = network
        self.config = config
        self.limits = limits or Limits()
        self.notes: list[str] = []
        self.schedule = [Scale(height, width, config.steps)]
        if isinstance(targets, Sequence):
            check_targets(network, targets, (height, width))
            self.objective: Objective = Activations(
                network, targets, config.selectivity, config.diversity
            )
        else:
            self.objective = targets
        self.seeds = [config.seed] * self.objective.count if seeds is None else list(seeds)
        if len(self.seeds) != self.objective.count:
            raise UsageError(f"{len(self.seeds)} seeds for {self.objective.count} pictures.")
        self.memory = MemoryPlan(optimizer="adam", peak=self._peak())

    def _peak(self) -> int:
        height, width = self.config.sides
        pixels = self.objective.count * height * width
        layers = getattr(self.objective, "layers", list(self.features.geometry))
        needed = activation_bytes(self.features, layers, pixels) + PICTURES * 3 * 4 * pixels
        return idle_memory(self.features.device) + FIXED + needed

    def steps(self) -> Iterator[Step]:
        """Run, yielding a Step for every evaluation of the network."""
        config, clock = self.config, Clock(self.limits.seconds)
        amount = Shake(config.jitter, config.scale, config.rotate)
        # What is seen is cut from a larger canvas: no picture's edge, nor what is beyond, is seen.
        height, width = config.sides
        around = 2 * margin(amount, height, width)
        device = self.features.device
        basis = FourierBasis(height + around, width + around, device=device, decay=config.decay)
        coefficients = basis.noise(self.seeds, config.deviation)
        self._revive(cut(basis.picture(coefficients), height, width))
        coefficients.requires_grad_(True)
        adam = torch.optim.Adam([coefficients], lr=config.learning_rate)
        rng = torch.Generator().manual_seed(config.seed)
        for index in range(1, config.steps + 1):
            clock.start()
            values = self.objective(shake(basis.picture(coefficients), amount, rng, config.sides))
            total = -values.sum()
            activation = float(values.detach().mean())
            if not math.isfinite(activation):
                raise CnnartError(
                    "The activations are not finite numbers: they overflow. Use --precision fp32."
                )
            adam.zero_grad()
            total.backward()
            adam.step()
            with torch.no_grad():
                picture = cut(basis.picture(coefficients), height, width)
            losses = {"activation": activation}
            clock.tick(1.0)
            yield Step(index, config.steps, losses, picture, config.sides, clock.seconds)
            if clock.is_over:
                return

    def _revive(self, pictures: Tensor) -> None:
        """Aim at what comes before the ReLU where a target gives no gradient at the start."""
        if isinstance(self.objective, Activations):
            self.notes += self.objective.revive(pictures)

    def finish(self, image: Tensor) -> Tensor:
        """Any Step's pictures as they are to be written, on the CPU."""
        return image.detach().clamp(0, 1).cpu()


def activation_bytes(network: Network, layers: Sequence[str], pixels: int) -> int:
    """Bytes of all activations of so many pixels up to the deepest of these layers."""
    names = list(network.geometry)
    deepest = max(names.index(name) for name in layers)
    found = [network.geometry[name] for name in names[: deepest + 1]]
    return int(sum(g.channels * pixels / g.stride**2 for g in found) * network.dtype.itemsize)
