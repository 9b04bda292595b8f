"""Inverting features: what of a photo is left in a layer (Mahendran and Vedaldi 2015).

A picture is sought whose activations at one layer are the photo's. What comes out beside the photo
is what that layer does not tell apart. From Gram matrices (Gatys et al. 2015), which forget where
things were, comes its texture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.image.picture import fit_long_side, resize
from cnnart.methods.inspect.config import InvertConfig
from cnnart.methods.inspect.pictures import quantized
from cnnart.methods.inspect.report import Beneath, Inspection
from cnnart.methods.inspect.target import check_finite
from cnnart.networks.base import Network
from cnnart.networks.guest import going_back
from cnnart.optim.capture import replayed
from cnnart.optim.losses import excess_sum, moments, relative_square, tv_loss
from cnnart.optim.optimize import optimize_image, optimizer_factory
from cnnart.optim.steps import Clock, Evaluation, Objective, Step

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # of a VGG, unless asked
# Standard deviation, around gray, of the picture it starts from. Gram matrices hardly change near
# plain gray, and L-BFGS makes no way there.
NOISE, GRAM_NOISE = 0.05, 0.25
TV, GRAM_TV = 1.0, 0.1  # of the TV loss beside the relative distance, at a tv_weight of 1


@dataclass(frozen=True)
class Inverted:
    """What came of one layer.

    ``image``: ``1x3xHxW`` in [0, 1], on the CPU. ``pixel_error``: root mean square difference to
    the photo's pixels, in [0, 1]. ``feature_error``: the distance of its activations to the
    photo's over the norm of these (of its Gram matrices when these were inverted).
    """

    layer: str
    image: Tensor
    pixel_error: float
    feature_error: float


class Inversion:
    """Reconstruct a photo from each of some layers.

    Args:
        photo: ``1x3xHxW`` in [0, 1].
        config: see ``InvertConfig``. With ``gram``, a layer stands for itself and those before it
            in the list, as in Gatys et al.
        network: any.

    ``photo`` is afterwards the photo at the size of the reconstructions, ``found`` grows by one
    for each layer. Raises UsageError for layers or settings that make no sense.
    """

    def __init__(self, photo: Tensor, config: InvertConfig, network: Network) -> None:
        self.layers = config.layers or default_layers(network)
        network.check_layers(self.layers)
        height, width = fit_long_side(photo.shape[-2], photo.shape[-1], config.size)
        if min(height, width) < (least := network.smallest_side(self.layers)):
            raise UsageError(
                f"{width}x{height} is too small for these layers: the short side needs at least "
                f"{least} pixels. Ask for more with `size`."
            )
        self.config = config
        self.network = network
        self.photo = resize(photo.to(network.device), height, width)
        self.found: list[Inverted] = []

    @property
    def kind(self) -> str:
        """What is matched: ``content`` or ``gram``."""
        return "gram" if self.config.gram else "content"

    @property
    def total(self) -> int:
        """Iterations of the whole run, at most."""
        return self.config.steps * len(self.layers)

    def steps(self) -> Iterator[Step]:
        """Run, yielding a Step for every evaluation of the network."""
        clock, index = Clock(), 0
        for done in range(len(self.layers)):
            image = self._start()
            objective = replayed(self._objective(self.layers[: done + 1]), image.device)
            make = optimizer_factory("lbfgs")
            for losses, iterate in optimize_image(image, objective, self.config.steps, make):
                image, index = iterate, index + 1
                size = (image.shape[-2], image.shape[-1])
                yield Step(index, self.total, losses, image, size, clock.seconds)
            index = self.config.steps * (done + 1)  # a flat loss ends it early
            self.found.append(self._judged(self.layers[: done + 1], image))

    def finish(self, image: Tensor) -> Tensor:
        """Any step's image as a file would hold it: ``1x3xHxW`` in [0, 1], on the CPU."""
        return quantized(image.detach()).cpu()

    def _start(self) -> Tensor:
        """Gray with noise: it knows nothing of the photo, and is the same every time."""
        rng = torch.Generator().manual_seed(self.config.seed)
        noise = torch.randn(self.photo.shape, generator=rng)
        return (0.5 + (GRAM_NOISE if self.config.gram else NOISE) * noise).to(self.photo.device)

    def _objective(self, layers: tuple[str, ...]) -> Objective:
        """The distance to the photo at these layers (of features: at the last) plus smoothness."""
        config = self.config
        wanted = layers if config.gram else layers[-1:]
        smoothness = config.tv_weight * (GRAM_TV if config.gram else TV)
        with torch.no_grad():
            target = self._known(self.photo, wanted)
        for layer, known in target.items():
            check_finite(self.network, known, f"The activations at {layer}")

        def objective(image: Tensor) -> Evaluation:
            leaf = image.detach().requires_grad_(True)
            distance = self._distance(self._known(leaf, wanted), target)
            smooth = smoothness * tv_loss(leaf) + excess_sum(leaf) / leaf.numel()
            with going_back(self.network):
                (distance + smooth).backward()
            assert leaf.grad is not None
            return Evaluation({self.kind: distance.detach(), "tv": smooth.detach()}, leaf.grad)

        return objective

    def _known(self, image: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        """What is to be matched: activations or their Gram matrices, in float32."""
        found = self.network(image, layers)
        if self.config.gram:
            if flat := [layer for layer in layers if found[layer].ndim != 4]:
                raise UsageError(f"{flat[0]} is no layer of maps: it has no Gram matrix.")
            return {layer: moments(found[layer]).gram() for layer in layers}
        return {layer: found[layer].float() for layer in layers}

    def _distance(self, found: dict[str, Tensor], target: dict[str, Tensor]) -> Tensor:
        """Squared distance relative to the target's own size, the mean over layers."""
        parts = [relative_square(found[layer], target[layer]) for layer in target]
        return torch.stack(parts).mean()

    def _judged(self, layers: tuple[str, ...], image: Tensor) -> Inverted:
        finished = self.finish(image)
        pixel_error = (finished - self.photo.cpu()).square().mean().sqrt()
        wanted = layers if self.config.gram else layers[-1:]
        with torch.no_grad():
            pair = [self._known(x.to(self.photo), wanted) for x in (finished, self.photo)]
            feature_error = self._distance(*pair).sqrt()
        return Inverted(layers[-1], finished, float(pixel_error), float(feature_error))


def default_layers(network: Network) -> tuple[str, ...]:
    """relu1_1 to relu5_1 where there are such, else five of the ReLUs from first to last."""
    if all(name in network.geometry for name in LAYERS):
        return LAYERS
    for kind in ("relu", "conv"):
        maps = (name for name in network.geometry if network.receptive_field(name).local)
        if found := [name for name in maps if network.kind(name) == kind]:
            return tuple(dict.fromkeys(found[round(i * (len(found) - 1) / 4)] for i in range(5)))
    raise UsageError(f"{network.name} has no layers of maps: name them with `layers`.")


def inversion_report(work: Inversion) -> Inspection:
    """The photo and what came of each layer, side by side."""
    kind = "Gram matrices" if work.config.gram else "features"
    facts = [{k: v for k, v in vars(f).items() if k != "image"} for f in work.found]
    cells = [("the photo", work.photo.cpu())]
    off = "Gram" if work.config.gram else "features"
    cells += [
        (f"{f.layer}\npixels off {f.pixel_error:.3f}\n{off} off {f.feature_error:.3f}", f.image)
        for f in work.found
    ]
    title = f"Reconstructed from {kind} of {work.network.name}"
    numbers = {"network": work.network.name, "from": kind, "layers": facts}
    beneath = {place: Beneath(work.photo.cpu()) for place in range(1, len(cells))}
    return Inspection(title, cells, numbers, len(cells), beneath)
