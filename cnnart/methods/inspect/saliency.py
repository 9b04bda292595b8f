"""Saliency: which pixels a score depends on, by its gradient.

Every map is ``1x1xHxW`` and not negative: larger where the pixel matters more. A score takes
pictures ``Bx3xHxW`` (float32 in [0, 1]) to B numbers: a class's logit, a unit's activation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.methods.inspect.attribution_scores import RankingScores, random_saliency, ranking_scores
from cnnart.methods.inspect.colormap import apply_colormap, normalized_map, overlay
from cnnart.methods.inspect.config import SaliencyConfig
from cnnart.methods.inspect.crop import Crop
from cnnart.methods.inspect.grabcut import mask_from_saliency
from cnnart.methods.inspect.guided_backprop import GuidedReLUs
from cnnart.methods.inspect.report import Beneath, Inspection
from cnnart.methods.inspect.target import Target, check_finite, last_map
from cnnart.networks.base import Network
from cnnart.networks.guest import going_back

Score = Callable[[Tensor], Tensor]

GRAY = 0.5
BATCH = 8  # pictures per evaluation: enough to keep two cores busy
RANDOM, RANDOM_MAPS = "random", 4  # the map that scores are compared with, averaged over so many
BACKDROP = 0.12  # how much of the photo is left outside a mask


def gradient(score: Score, image: Tensor) -> Tensor:
    """d score / d image, in the image's shape; a batch gives each picture its own."""
    pictures = image.detach().requires_grad_()
    with torch.enable_grad():
        (found,) = torch.autograd.grad(score(pictures).sum(), pictures)
    return found.detach().float()


def strongest_channel(attribution: Tensor) -> Tensor:
    """1x3xHxW -> 1x1xHxW: the largest magnitude over the color channels (Simonyan 2014)."""
    return attribution.abs().amax(1, keepdim=True)


def vanilla_gradient(score: Score, image: Tensor, config: SaliencyConfig) -> Tensor:
    """The gradient itself (Simonyan et al. 2014)."""
    return strongest_channel(gradient(score, image))


def guided_backprop(score: Score, image: Tensor, config: SaliencyConfig) -> Tensor:
    """The gradient with only positive parts passed back through ReLUs (Springenberg et al. 2015).

    Raises UsageError for a network without ReLUs, where it is not defined.
    """
    with GuidedReLUs() as guided:
        found = gradient(score, image)
    if not guided.count:
        raise UsageError(
            "Guided backpropagation needs ReLUs, and this network has none: use `method` gradient."
        )
    return strongest_channel(found)


def smooth_grad(score: Score, image: Tensor, config: SaliencyConfig) -> Tensor:
    """The mean gradient over noisy copies of the picture (Smilkov et al. 2017).

    By hand and not captum's NoiseTunnel, whose noise cannot be given a generator.
    """
    generator = torch.Generator().manual_seed(config.seed)
    total = torch.zeros_like(image)
    for start in range(0, config.samples, BATCH):
        count = min(BATCH, config.samples - start)
        noise = torch.randn(count, *image.shape[1:], generator=generator) * config.noise
        noisy = image + noise.to(image)
        total += gradient(score, noisy).sum(0, keepdim=True)
    return strongest_channel(total / config.samples)


def integrated_gradients(score: Score, image: Tensor, config: SaliencyConfig) -> Tensor:
    """The gradient integrated on the way from gray to the picture (Sundararajan et al. 2017)."""
    return strongest_channel(integrated_attribution(score, image, config))


def integrated_attribution(score: Score, image: Tensor, config: SaliencyConfig) -> Tensor:
    """1x3xHxW, signed: its sum is score(image) - score(gray) but for the integral's error."""
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise UsageError(
            "Integrated gradients need captum: pip install 'cnnart[inspect]'."
        ) from None
    method = IntegratedGradients(score)
    found = method.attribute(
        image.detach(),
        baselines=torch.full_like(image, GRAY),
        n_steps=config.steps,
        internal_batch_size=BATCH,
    )
    return found.detach().float()


def grad_cam(network: Network, target: Target, image: Tensor, layer: str) -> Tensor:
    """Where the channels of ``layer`` that raise the target are active (Selvaraju et al. 2017).

    Raises UsageError for a layer that is no map, or that the target does not depend on.
    """
    pictures = image.detach().requires_grad_()
    with torch.enable_grad():
        found = network(pictures, list(dict.fromkeys([layer, target.layer])))
        activations = found[layer]
        if activations.ndim != 4:
            raise UsageError(f"Grad-CAM needs a map, and {layer} is none: name a convolution.")
        reached = found[target.layer][:, target.channel].float().mean()
        with going_back(network):
            (slopes,) = torch.autograd.grad(reached, activations, allow_unused=True)
    if slopes is None:
        raise UsageError(
            f"{target.name} does not depend on {layer}: name a layer before it with `cam_layer`."
        )
    check_finite(network, slopes)
    weights = slopes.float().mean((2, 3), keepdim=True)
    heat = F.relu((weights * activations.detach().float()).sum(1, keepdim=True))
    size = (image.shape[-2], image.shape[-1])
    return F.interpolate(heat, size=size, mode="bilinear", align_corners=False)


FINE_METHODS = {
    "gradient": vanilla_gradient,
    "guided-backprop": guided_backprop,
    "smoothgrad": smooth_grad,
    "integrated-gradients": integrated_gradients,
}


class SaliencyMaps:
    """The maps (1x1xHxW) of one picture (1x3xHxW) for one target, by the method's name.

    ``cam_layer``: where Grad-CAM looks; None: the last map. Raises UsageError for settings out of
    range and for a layer the network does not have.
    """

    def __init__(
        self,
        network: Network,
        target: Target,
        image: Tensor,
        config: SaliencyConfig,
        cam_layer: str | None = None,
    ) -> None:
        self.network, self.target, self.image, self.config = network, target, image, config
        # A unit's own layer, or the last before a classifier sums its places up.
        self.cam_layer = cam_layer or (last_map(network) if target.is_class else target.layer)
        network.check_layers([self.cam_layer])

    def __call__(self, method: str) -> Tensor:
        if method == "grad-cam":
            return grad_cam(self.network, self.target, self.image, self.cam_layer)
        with going_back(self.network):
            found = FINE_METHODS[method](self.target.score, self.image, self.config)
        check_finite(self.network, found)
        return found


@dataclass
class SaliencyReport:
    """The maps of one photo for one target; ``parts()`` computes them, a method at a time.

    Args:
        maps: makes the maps; crop, target: what they are maps of.
        mask: cut the object out by each of them.
        score: rank each by deletion and insertion, and a random map beside them.
    """

    maps: SaliencyMaps
    crop: Crop
    target: Target
    mask: bool = False
    score: bool = False
    _maps: dict[str, Tensor] = field(default_factory=dict)
    _masks: dict[str, Tensor] = field(default_factory=dict)
    _scores: dict[str, RankingScores] = field(default_factory=dict)

    def parts(self, methods: Sequence[str]) -> Iterator[str]:
        """Yields each method's name when it is done."""
        seen, seed = self.crop.input, self.maps.config.seed
        for method in dict.fromkeys(methods):
            found = self.maps(method).cpu()
            self._maps[method] = found
            if self.mask:
                self._masks[method] = mask_from_saliency(seen.cpu(), found, seed=seed)
            if self.score:
                self._scores[method] = ranking_scores(self.target.value, seen, found)
            yield method
        if self.score:
            self._maps[RANDOM], self._scores[RANDOM] = self._at_random(seed)

    def _at_random(self, seed: int) -> tuple[Tensor, RankingScores]:
        """A random map, and the mean scores of several."""
        seen = self.crop.input
        maps = [random_saliency(*seen.shape[-2:], seed=seed + n) for n in range(RANDOM_MAPS)]
        scores = [ranking_scores(self.target.value, seen, found) for found in maps]
        mean = RankingScores(
            sum(score.deletion for score in scores) / RANDOM_MAPS,
            sum(score.insertion for score in scores) / RANDOM_MAPS,
        )
        return maps[0], mean

    def result(self) -> Inspection:
        with torch.no_grad():
            value = float(self.target.value(self.crop.input))
        cells = [(f"{self.target.name}: {self.target.text(value)}", self.crop.display)]
        cells += [(self._label(name), self._picture(name)) for name in self._maps]
        columns = len(cells)
        if self.mask:
            blank = torch.ones_like(self.crop.display)
            masks = [
                (self._mask_label(name), cut_out(self.crop.display, self._masks[name]))
                if name in self._masks
                else ("", blank)
                for name in self._maps
            ]
            cells += [("", blank), *masks]
        numbers = {
            **self.target.facts(),
            "value": value,
            "methods": [self._numbers(name) for name in self._maps],
        }
        beneath = {
            place: Beneath(self.crop.display, normalized_map(found)[0, 0])
            for place, found in enumerate(self._maps.values(), start=1)
        }
        return Inspection(f"Saliency: {self.target.name}", cells, numbers, columns, beneath)

    def _label(self, name: str) -> str:
        if name not in self._scores:
            return name
        scores = self._scores[name]
        return f"{name}\ndeletion {scores.deletion:.2f}, insertion {scores.insertion:.2f}"

    def _mask_label(self, name: str) -> str:
        return f"mask: {float(self._masks[name].mean()):.0%} of the picture"

    def _picture(self, name: str) -> Tensor:
        unit = normalized_map(self._maps[name])
        coarse = name in ("grad-cam", RANDOM)
        return overlay(self.crop.display, unit) if coarse else apply_colormap(unit)

    def _numbers(self, name: str) -> dict[str, object]:
        found = self._maps[name][0, 0]
        y, x = divmod(int(found.argmax()), found.shape[1])
        top, left = self.crop.in_photo(y + 0.5, x + 0.5)
        numbers: dict[str, object] = {"method": name, "peak": {"left": left, "top": top}}
        if name in self._scores:
            scores = self._scores[name]
            numbers |= {"deletion": scores.deletion, "insertion": scores.insertion}
        if name in self._masks:
            numbers["mask_share"] = float(self._masks[name].mean())
        return numbers


def cut_out(photo: Tensor, mask: Tensor) -> Tensor:
    """The photo, faded to white outside a mask (1x1xhxw, enlarged to the photo's size)."""
    size = (photo.shape[-2], photo.shape[-1])
    large = F.interpolate(mask.to(photo), size=size, mode="bilinear")
    faded = 1 - BACKDROP * (1 - photo)
    return photo * large + faded * (1 - large)
