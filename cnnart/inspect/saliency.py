"""Saliency: which pixels a score depends on, by its gradient.

Every map is ``1x1xHxW`` and not negative: larger where the pixel matters more. A score takes
pictures ``Bx3xHxW`` (float32 in [0, 1]) to B numbers: a class's logit, a unit's activation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.config import SaliencyConfig, check_saliency_config
from cnnart.errors import UsageError
from cnnart.inspect.guided import GuidedReLUs
from cnnart.inspect.target import Target, last_map
from cnnart.networks import Network

Score = Callable[[Tensor], Tensor]

GREY = 0.5
BATCH = 8  # pictures per evaluation: enough to keep two cores busy


def gradient(score: Score, image: Tensor) -> Tensor:
    """d score / d image, in the image's shape; a batch gives each picture its own."""
    pictures = image.detach().requires_grad_()
    with torch.enable_grad():
        (found,) = torch.autograd.grad(score(pictures).sum(), pictures)
    return found.detach().float()


def strongest_channel(attribution: Tensor) -> Tensor:
    """1x3xHxW -> 1x1xHxW: the largest magnitude over the colour channels (Simonyan 2014)."""
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
            "Guided backpropagation needs ReLUs, and this network has none: use --method gradient."
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
    """The gradient integrated on the way from grey to the picture (Sundararajan et al. 2017)."""
    return strongest_channel(integrated_attribution(score, image, config))


def integrated_attribution(score: Score, image: Tensor, config: SaliencyConfig) -> Tensor:
    """1x3xHxW, signed: its sum is score(image) - score(grey) but for the integral's error."""
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise UsageError(
            "Integrated gradients need captum: pip install 'cnnart[inspect]'."
        ) from None
    method = IntegratedGradients(score)
    found = method.attribute(
        image.detach(),
        baselines=torch.full_like(image, GREY),
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
        (slopes,) = torch.autograd.grad(reached, activations, allow_unused=True)
    if slopes is None:
        raise UsageError(
            f"{target.name} does not depend on {layer}: name a layer before it with --cam-layer."
        )
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
        check_saliency_config(config)
        self.network, self.target, self.image, self.config = network, target, image, config
        # A unit's own layer, or the last before a classifier sums its places up.
        self.cam_layer = cam_layer or (last_map(network) if target.is_class else target.layer)
        network.check_layers([self.cam_layer])

    def __call__(self, method: str) -> Tensor:
        if method == "grad-cam":
            return grad_cam(self.network, self.target, self.image, self.cam_layer)
        return FINE_METHODS[method](self.target.score, self.image, self.config)
