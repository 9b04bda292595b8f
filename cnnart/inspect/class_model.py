"""Class visualization: the picture a classifier would call its class most surely.

Gradient ascent on a class's logit, with one of three recipes against the noise that raises the
logit and shows nothing. ``simonyan`` (Simonyan et al. 2014) and ``yosinski`` (Yosinski et al. 2015)
climb in pixels; ``fourier`` is ``cnnart.dreaming.visualize`` with a class as its target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cnnart.config import ClassModelConfig, VisualizeConfig, check_class_model_config
from cnnart.dreaming.fourier import FourierBasis
from cnnart.dreaming.robustness import Shake, shake
from cnnart.dreaming.visualize import Visualization
from cnnart.image import resize
from cnnart.inspect.fooling import quantized
from cnnart.inspect.heat import blurred
from cnnart.inspect.result import Inspection
from cnnart.inspect.target import logits_of, percent
from cnnart.inspect.view import SHOWN
from cnnart.networks import Classifier, class_name

GREY = 0.5
# Rougher shakes than for a channel and a softer spectrum: a class is things at any size, and its
# logit rises without end with contrast, for which it pays.
FOURIER = VisualizeConfig(steps=128, learning_rate=0.015, scale=0.35, rotate=10.0, decay=1.7)
WIDEST = 4  # pictures in a row, where they are not one class's facets
JITTER = 1 / 14  # of the picture's side
CONTRAST_PRICE = 100.0  # in logits, per mean square of what a picture differs from grey
START_NOISE = 0.02  # deviation of the pixels a recipe in pixels starts from


@dataclass(frozen=True)
class PixelRecipe:
    """Gradient ascent in pixels, which count from mid-grey: 0 is 0.5.

    After each step every pixel is multiplied by 1 - ``decay`` (the gradient step of the L2 norm);
    every ``blur_every`` steps the picture is blurred by ``blur`` pixels, and pixels go to grey that
    belong to the given share with the smallest norm (``small_pixels``), or with the smallest
    contribution, their value times their gradient (``small_gradients``). ``step``: the root mean
    square change of a step.
    """

    steps: int
    step: float
    decay: float
    blur: float = 0.0
    blur_every: int = 4
    small_pixels: float = 0.0
    small_gradients: float = 0.0


RECIPES = {
    "simonyan": PixelRecipe(steps=128, step=0.02, decay=0.01),
    "yosinski": PixelRecipe(
        steps=256, step=0.03, decay=0.01, blur=1.0, small_pixels=0.3, small_gradients=0.2
    ),
}


class ClassLogits:
    """The objective: each picture's logit of its own class, less ``price`` for its contrast."""

    def __init__(self, network: Classifier, classes: Sequence[int], price: float = 0.0) -> None:
        self.price = price
        self.count = len(classes)
        self._network, self._classes = network, list(classes)

    def __call__(self, pictures: Tensor) -> Tensor:
        logits = logits_of(self._network, pictures)
        contrast = (pictures - GREY).square().mean((1, 2, 3))
        return logits[range(self.count), self._classes] - self.price * contrast


class ClassModel:
    """A picture for each of ``classes``, of the network's own input size.

    Args:
        classes: indices; the same one several times, with other ``seeds`` or ``starts``, shows its
            facets.
        seeds: of the noise that each picture starts from.
        starts: Bx3xSxS in [0, 1] to start from instead of grey (Nguyen et al. 2016).

    ``steps()`` does the work and yields how many steps are done; then ``pictures`` is Bx3xSxS in
    [0, 1] on the CPU. Raises UsageError for settings that make no sense.
    """

    def __init__(
        self,
        network: Classifier,
        classes: Sequence[int],
        config: ClassModelConfig,
        *,
        seeds: Sequence[int],
        starts: Tensor | None = None,
    ) -> None:
        check_class_model_config(config)
        self.network, self.config = network, config
        self.classes = list(classes)
        price = CONTRAST_PRICE if config.recipe == "fourier" else 0.0
        self.objective = ClassLogits(network, classes, price)
        self.seeds, self.starts = list(seeds), starts
        self.pictures = torch.empty(0)

    @property
    def count(self) -> int:
        """Steps in all."""
        recipe = RECIPES.get(self.config.recipe)
        return self.config.steps or (recipe.steps if recipe else FOURIER.steps)

    def steps(self) -> Iterator[int]:
        if self.config.recipe == "fourier":
            return self._fourier()
        return self._pixels(RECIPES[self.config.recipe])

    def _fourier(self) -> Iterator[int]:
        side = self.network.input_size
        settings = replace(
            FOURIER, size=side, jitter=side * JITTER, steps=self.count, seed=self.config.seed
        )
        if self.starts is not None:
            yield from self._fourier_from(self.starts, settings)
            return
        work = Visualization(self.network, self.objective, settings, seeds=self.seeds)
        for step in work.steps():
            self.pictures = work.finish(step.image)
            yield step.index

    def _fourier_from(self, starts: Tensor, settings: VisualizeConfig) -> Iterator[int]:
        """The same from pictures, which ``Visualization`` does not begin from."""
        basis = FourierBasis(*settings.sides, device=self.network.device, decay=settings.decay)
        coefficients = basis.coefficients(starts.to(self.network.device))
        coefficients += basis.noise(self.seeds, settings.deviation)
        adam = torch.optim.Adam([coefficients.requires_grad_()], lr=settings.learning_rate)
        amount = Shake(settings.jitter, settings.scale, settings.rotate)
        rng = torch.Generator().manual_seed(settings.seed)
        for index in range(1, self.count + 1):
            adam.zero_grad()
            pictures = basis.picture(coefficients)
            (-self.objective(shake(pictures, amount, rng)).sum()).backward()
            adam.step()
            self.pictures = pictures.detach().cpu()
            yield index

    def _pixels(self, recipe: PixelRecipe) -> Iterator[int]:
        pixels = self._start()
        for index in range(1, self.count + 1):
            seen = (pixels + GREY).requires_grad_()
            with torch.enable_grad():
                (slope,) = torch.autograd.grad(self.objective(seen).sum(), seen)
            slope = slope.float()
            size = slope.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
            pixels = (pixels + recipe.step * slope / size) * (1 - recipe.decay)
            if recipe.blur and index % recipe.blur_every == 0 and index < self.count:
                pixels = tidied(pixels, slope, recipe)
            pixels = pixels.clamp(-GREY, 1 - GREY)
            self.pictures = (pixels + GREY).cpu()
            yield index

    def _start(self) -> Tensor:
        """Bx3xSxS around zero: noise for each seed, on top of the pictures to start from."""
        side = self.network.input_size
        noise = [
            torch.randn(3, side, side, generator=torch.Generator().manual_seed(seed))
            for seed in self.seeds
        ]
        pixels = START_NOISE * torch.stack(noise)
        if self.starts is not None:
            pixels = pixels + self.starts.cpu() - GREY
        return pixels.to(self.network.device)


def tidied(pixels: Tensor, slope: Tensor, recipe: PixelRecipe) -> Tensor:
    """Yosinski's blur, and what is small set to grey."""
    pixels = blurred(pixels, recipe.blur)
    norms = pixels.norm(dim=1, keepdim=True)
    contributions = (pixels * slope).sum(1, keepdim=True).abs()
    for sizes, share in (
        (norms, recipe.small_pixels),
        (contributions, recipe.small_gradients),
    ):
        if share:
            limit = sizes.flatten(1).quantile(share, dim=1).view(-1, 1, 1, 1)
            pixels = pixels * (sizes > limit)
    return pixels


def class_model_report(work: ClassModel, facets: int) -> Inspection:
    """The pictures, a class's facets in a row, with the class's probability for each."""
    with torch.no_grad():
        seen = quantized(work.pictures).to(work.network.device)
        found = logits_of(work.network, seen).softmax(1)[range(len(work.classes)), work.classes]
    names = [class_name(work.network.classes, index) for index in work.classes]
    side = work.pictures.shape[-1] * SHOWN
    rows = zip(names, work.classes, work.seeds, found.tolist(), strict=True)
    return Inspection(
        f"Class model ({work.config.recipe})",
        [
            (f"{name}: {percent(probability)}", resize(picture[None], side, side))
            for name, probability, picture in zip(names, found.tolist(), work.pictures, strict=True)
        ],
        {
            "recipe": work.config.recipe,
            "pictures": [
                {"class": name, "index": index, "seed": seed, "probability": probability}
                for name, index, seed, probability in rows
            ],
        },
        columns=facets if 1 < facets < len(names) else min(len(names), WIDEST),
    )
