"""Class visualization: the picture a classifier would call its class most surely.

Gradient ascent on a class's logit, with one of three recipes against the noise that raises the
logit and shows nothing. ``simonyan`` (Simonyan et al. 2014) and ``yosinski`` (Yosinski et al. 2015)
climb in pixels; ``fourier`` is ``cnnart.methods.dream.visualize`` with a class as its target.

A class has facets (Nguyen, Yosinski and Clune 2016, "Multifaceted Feature Visualization"): photos
of it fall into clusters, and each cluster's mean is a start of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import resize
from cnnart.methods.dream.config import VisualizeConfig
from cnnart.methods.dream.visualize import Visualization
from cnnart.methods.inspect.colormap import blurred
from cnnart.methods.inspect.config import ClassModelConfig
from cnnart.methods.inspect.crop import DISPLAY_SCALE
from cnnart.methods.inspect.index import Descriptor
from cnnart.methods.inspect.pictures import Failures, Item, quantized, stream
from cnnart.methods.inspect.report import Inspection
from cnnart.methods.inspect.target import (
    check_finite,
    last_map,
    logits_of,
    percent,
    probabilities_of,
)
from cnnart.networks.base import Classifier
from cnnart.networks.guest import going_back
from cnnart.networks.imagenet import class_name
from cnnart.optim.capture import replayed
from cnnart.optim.steps import Evaluation

GRAY = 0.5
# Stronger random transforms than for a channel, a softer spectrum: a class has any size, and its
# logit rises without end with contrast, which is penalized.
FOURIER = VisualizeConfig(steps=128, learning_rate=0.015, scale=0.35, rotate=10.0, decay=1.7)
WIDEST = 4  # pictures in a row, where they are not one class's facets
JITTER = 1 / 14  # of the picture's side
CONTRAST_PENALTY = 100.0  # in logits, per mean square of what a picture differs from gray
START_NOISE = 0.02  # deviation of the pixels that ascent in pixels starts from
TYPICAL = 15  # pictures nearest to a cluster's center that are averaged, as in the paper


@dataclass(frozen=True)
class PixelAscent:
    """How to climb in pixels, which count from mid-gray: 0 is 0.5.

    After each step every pixel is multiplied by 1 - ``decay`` (the gradient step of the L2 norm);
    every ``blur_every`` steps the picture is blurred by ``blur`` pixels, and pixels go to gray that
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


PIXEL_ASCENTS = {
    "simonyan": PixelAscent(steps=128, step=0.02, decay=0.01),
    "yosinski": PixelAscent(
        steps=256, step=0.03, decay=0.01, blur=1.0, small_pixels=0.3, small_gradients=0.2
    ),
}


class ClassLogits:
    """The objective: each picture's logit of its own class, less ``penalty`` for its contrast."""

    def __init__(self, network: Classifier, classes: Sequence[int], penalty: float = 0.0) -> None:
        self.penalty = penalty
        self.count = len(classes)
        self._network = network
        self._classes = torch.tensor(list(classes), device=network.device)[:, None]

    def __call__(self, pictures: Tensor) -> Tensor:
        logits = logits_of(self._network, pictures)
        contrast = (pictures - GRAY).square().mean((1, 2, 3))
        return logits.gather(1, self._classes)[:, 0] - self.penalty * contrast


class ClassModel:
    """A picture for each of ``classes``, of the network's own input size.

    Args:
        classes: indices; the same one several times, with other ``seeds`` or ``starts``, shows its
            facets.
        seeds: of the noise that each picture starts from.
        starts: Bx3xSxS in [0, 1] to start from instead of gray (Nguyen et al. 2016).

    ``steps()`` does the work and yields how many steps are done. Raises UsageError for settings
    that make no sense.
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
        self.network, self.config = network, config
        self.classes = list(classes)
        penalty = CONTRAST_PENALTY if config.recipe == "fourier" else 0.0
        self.objective = ClassLogits(network, classes, penalty)
        self.seeds, self.starts = list(seeds), starts
        self._pixels = torch.empty(0)

    @property
    def pictures(self) -> Tensor:
        """Bx3xSxS in [0, 1] on the CPU, as the last step left them."""
        return self._pixels.clamp(0, 1).cpu()

    @property
    def count(self) -> int:
        """Steps in all."""
        ascent = PIXEL_ASCENTS.get(self.config.recipe)
        return self.config.steps or (ascent.steps if ascent else FOURIER.steps)

    def steps(self) -> Iterator[int]:
        if self.config.recipe == "fourier":
            return self._fourier()
        return self._ascend(PIXEL_ASCENTS[self.config.recipe])

    def _fourier(self) -> Iterator[int]:
        side = self.network.input_size
        settings = replace(
            FOURIER, size=side, jitter=side * JITTER, steps=self.count, seed=self.config.seed
        )
        work = Visualization(
            self.network, self.objective, settings, seeds=self.seeds, starts=self.starts
        )
        for step in work.steps():
            self._pixels = step.image
            yield step.index

    def _ascend(self, ascent: PixelAscent) -> Iterator[int]:
        pixels = self._start()
        objective = replayed(self._evaluate, self.network.device)
        for index in range(1, self.count + 1):
            slope = objective(pixels + GRAY).gradient
            size = slope.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
            pixels = (pixels + ascent.step * slope / size) * (1 - ascent.decay)
            if ascent.blur and index % ascent.blur_every == 0 and index < self.count:
                pixels = tidied(pixels, slope, ascent)
            pixels = pixels.clamp(-GRAY, 1 - GRAY)
            self._pixels = pixels + GRAY
            yield index

    def _evaluate(self, pictures: Tensor) -> Evaluation:
        """The sum of the logits, and its gradient."""
        seen = pictures.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.objective(seen).sum()
            with going_back(self.network):
                (slope,) = torch.autograd.grad(logits, seen)
        return Evaluation({"logits": logits.detach()}, slope.float())

    def _start(self) -> Tensor:
        """Bx3xSxS around zero: noise for each seed, on top of the pictures to start from."""
        side = self.network.input_size
        noise = [
            torch.randn(3, side, side, generator=torch.Generator().manual_seed(seed))
            for seed in self.seeds
        ]
        pixels = START_NOISE * torch.stack(noise)
        if self.starts is not None:
            pixels = pixels + self.starts.cpu() - GRAY
        return pixels.to(self.network.device)


def tidied(pixels: Tensor, slope: Tensor, ascent: PixelAscent) -> Tensor:
    """Yosinski's blur, and what is small set to gray."""
    pixels = blurred(pixels, ascent.blur)
    norms = pixels.norm(dim=1, keepdim=True)
    contributions = (pixels * slope).sum(1, keepdim=True).abs()
    for sizes, share in (
        (norms, ascent.small_pixels),
        (contributions, ascent.small_gradients),
    ):
        if share:
            limit = sizes.flatten(1).quantile(share, dim=1).view(-1, 1, 1, 1)
            pixels = pixels * (sizes > limit)
    return pixels


def class_model_report(work: ClassModel, facets: int) -> Inspection:
    """The pictures, a class's facets in a row, with the class's probability for each."""
    seen = quantized(check_finite(work.network, work.pictures)).to(work.network.device)
    found = probabilities_of(work.network, seen)[range(len(work.classes)), work.classes]
    names = [class_name(work.network.classes, index) for index in work.classes]
    side = work.pictures.shape[-1] * DISPLAY_SCALE
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


class FacetSearch:
    """Starts from ``items``, pictures of one class; one is in memory at a time.

    ``parts()`` looks at them, yielding how many are done; then ``starts(...)`` reads the typical
    ones again. ``failures`` are those that could not be read.
    """

    def __init__(self, network: Classifier, items: Sequence[Item]) -> None:
        self.network, self.items = network, list(items)
        self.failures = Failures()
        self._layer = last_map(network)
        self._found: list[tuple[Item, Tensor]] = []

    def parts(self) -> Iterator[int]:
        describe = Descriptor(self.network, self._layer)
        for done, (item, picture) in enumerate(stream(self.items, self.failures), start=1):
            if picture is not None:
                self._found.append((item, describe(picture)[0]))
            yield done

    def starts(self, facets: int, *, seed: int = 0) -> Tensor:
        """``facets`` x3xSxS in [0, 1]: the mean of each cluster's typical pictures."""
        if len(self._found) < facets:
            raise UsageError(
                f"{facets} facets need at least {facets} pictures in `photos`, and "
                f"{len(self._found)} could be read."
            )
        features = torch.stack([features for _, features in self._found])
        means = []
        for members in typical_pictures(features, facets, seed=seed):
            pictures = [self.network.prepare(self._found[n][0].read()) for n in members]
            means.append(torch.cat(pictures).mean(0))
        return torch.stack(means)


def typical_pictures(features: Tensor, facets: int, *, seed: int = 0) -> list[list[int]]:
    """Per facet, the pictures nearest to the center of its cluster, nearest first.

    Args:
        features: NxD, one row per picture; clustered by k-means.

    The largest cluster comes first. Raises UsageError without the extra [inspect].
    """
    try:
        from sklearn.cluster import KMeans
    except ImportError:
        raise UsageError("`photos` needs scikit-learn: pip install 'cnnart[inspect]'.") from None
    rows = features.double().cpu().numpy()
    found = KMeans(facets, n_init=10, random_state=seed).fit(rows)
    labels, centers = torch.from_numpy(found.labels_), torch.from_numpy(found.cluster_centers_)
    facets_found = []
    for label in labels.bincount(minlength=facets).argsort(descending=True, stable=True).tolist():
        members = (labels == label).nonzero().flatten()
        distances = (features.double().cpu()[members] - centers[label]).norm(dim=1)
        facets_found.append(members[distances.argsort(stable=True)][:TYPICAL].tolist())
    return facets_found
