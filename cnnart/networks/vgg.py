"""Activations of a VGG by layer name: ``conv4_2``, ``relu4_2``, ``pool4``.

The extractor takes pictures (float32 RGB in [0, 1], ``1x3xHxW``) and does the network's own
normalization itself; nothing outside this file knows of channel order, means or scales.
"""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError, did_you_mean
from cnnart.networks.base import LayerGeometry, N, Network, ReceptiveField
from cnnart.weights.backbones import VGGWeights

# Average pooling shrinks activations; the factor restores their typical size, so that the weights
# of the losses need not change with the pooling (crowsonkb/style-transfer-pytorch does the same).
PRECISION_TOLERANCE = 0.1  # bfloat16 differs from float32 by about 0.02 at relu5_1
POOLING_SCALE = {"max": 1.0, "avg": 2.0}


def layer_geometry(weights: VGGWeights) -> dict[str, LayerGeometry]:
    """The geometry of every layer of a VGG, in network order."""
    geometry: dict[str, LayerGeometry] = {}
    stride, reach, block = 1, 0, 1
    channels = 3
    for name, (weight, _) in weights.convs.items():
        if (this := _block(name)) != block:
            stride *= 2  # a pool looks at nothing outside the block
            geometry[f"pool{block}"] = LayerGeometry(stride, reach, channels)
            block = this
        reach += stride
        channels = weight.shape[0]
        for kind in ("conv", "relu"):
            geometry[name.replace("conv", kind)] = LayerGeometry(stride, reach, channels)
    geometry[f"pool{block}"] = LayerGeometry(stride * 2, reach, channels)
    return geometry


def _block(name: str) -> int:
    return int(name.removeprefix("conv").split("_")[0])


class FeatureExtractor:
    """A VGG's convolutional part, frozen, on one device and in one precision.

    Args:
        weights: from ``cnnart.weights.vgg.load_vgg``.
        pooling: ``max`` (the network's own) or ``avg`` (smoother pictures, Gatys et al. 2015).
        device: where it computes.
        dtype: of weights and activations; pictures and everything derived from the activations
            stay float32.

    The first convolution pads by replication rather than with zeros, which would draw a dark
    frame around every picture. Activations come out as ``1xCxhxw`` in ``dtype``.
    """

    def __init__(
        self,
        weights: VGGWeights,
        *,
        pooling: str = "max",
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if pooling not in POOLING_SCALE:
            raise UsageError(f"Unknown pooling {pooling!r}: use max or avg.")
        self.weights = weights
        self.name, self.sha256 = weights.name, weights.sha256
        self.pooling = pooling
        self.device = torch.device(device)
        self.dtype = dtype
        self.geometry = layer_geometry(weights)
        self._mean = torch.tensor(weights.mean, device=self.device).view(1, 3, 1, 1)
        self._std = torch.tensor(weights.std, device=self.device).view(1, 3, 1, 1)
        self._convs = {
            name: (
                weight.to(self.device, dtype).contiguous(memory_format=torch.channels_last),
                bias.to(self.device, dtype),
            )
            for name, (weight, bias) in weights.convs.items()
        }

    def with_dtype(self, dtype: torch.dtype) -> FeatureExtractor:
        """The same network in another precision."""
        return FeatureExtractor(self.weights, pooling=self.pooling, device=self.device, dtype=dtype)

    def check_layers(self, layers: Iterable[str]) -> None:
        """Raise UsageError for a layer this network does not have."""
        for name in layers:
            if name not in self.geometry:
                hint = did_you_mean(name, list(self.geometry)) or " Names look like relu4_2."
                raise UsageError(f"{self.weights.name} has no layer {name!r}.{hint}")

    def halo(self, layers: Iterable[str]) -> int:
        """Pixels around a region that its activations at these layers depend on."""
        return max(self.geometry[name].reach for name in layers)

    def smallest_side(self, layers: Iterable[str]) -> int:
        """The smallest picture side that gives at least one unit at each of these layers."""
        return max(self.geometry[name].stride for name in layers)

    def kind(self, layer: str) -> str:
        """``conv``, ``relu`` or ``pool``."""
        return layer[:4]

    def receptive_field(self, layer: str) -> ReceptiveField:
        """The pixels a unit of ``layer`` sees: its block and ``reach`` more on every side."""
        self.check_layers([layer])
        g = self.geometry[layer]
        return ReceptiveField(g.stride + 2 * g.reach, g.stride, g.reach)

    def __call__(
        self, image: Tensor, layers: Iterable[str], *, wrap: tuple[bool, bool] = (False, False)
    ) -> dict[str, Tensor]:
        """Activations of ``image`` at ``layers``, computed no deeper than the deepest of them.

        ``wrap``: whether the picture repeats (vertically, horizontally). What lies beyond such a
        border is the other side of the picture, whose length there must be a multiple of the
        layers' strides.
        """
        wanted = set(layers)
        found: dict[str, Tensor] = {}
        x = ((image - self._mean) / self._std).to(self.dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        block = 1
        for name, (weight, bias) in self._convs.items():
            if len(found) == len(wanted):
                return found
            if (this := _block(name)) != block:
                x = self._pool(x)
                if f"pool{block}" in wanted:
                    found[f"pool{block}"] = x
                    if len(found) == len(wanted):
                        return found
                block = this
            x = _convolve(x, weight, bias, wrap, replicate=name == "conv1_1")
            if name in wanted:
                found[name] = x
                x = F.relu(x)
            else:
                x = F.relu_(x)  # a convolution does not need its output to go backwards
            if (relu := name.replace("conv", "relu")) in wanted:
                found[relu] = x
        if f"pool{block}" in wanted:
            found[f"pool{block}"] = self._pool(x)
        return found

    def _pool(self, x: Tensor) -> Tensor:
        if self.pooling == "max":
            return F.max_pool2d(x, 2)
        return F.avg_pool2d(x, 2) * POOLING_SCALE["avg"]


def _convolve(
    x: Tensor, weight: Tensor, bias: Tensor, wrap: tuple[bool, bool], *, replicate: bool
) -> Tensor:
    """A 3x3 convolution that keeps the size; beyond a border lies what ``wrap`` says."""
    down, across = (int(w) for w in wrap)
    if down or across:
        x = F.pad(x, (across, across, down, down), mode="circular")
    if replicate:
        x = F.pad(x, (1 - across, 1 - across, 1 - down, 1 - down), mode="replicate")
        return F.conv2d(x, weight, bias)
    return F.conv2d(x, weight, bias, padding=(1 - down, 1 - across))


# The layers at which a network's half precision was found to agree: asked once in a batch.
_AGREED: WeakKeyDictionary[Network, set[str]] = WeakKeyDictionary()


def trusted(features: N, picture: Tensor, layers: Iterable[str]) -> tuple[N, str | None]:
    """``features`` if its half precision agrees with float32 on ``picture``, else a float32 one.

    Some devices overflow or compute half precision wrongly (black pictures on GTX 16xx cards are
    the known case). Returns the extractor to use and a line of warning, or None.
    """
    wanted = list(layers)
    agreed = _AGREED.setdefault(features, set())
    if features.dtype == torch.float32 or agreed.issuperset(wanted):
        return features, None
    exact = features.with_dtype(torch.float32)
    with torch.no_grad():
        found, expected = features(picture, wanted), exact(picture, wanted)
    errors = [
        (found[k].float() - expected[k]).norm() / expected[k].norm().clamp_min(1e-6) for k in wanted
    ]
    error = float(torch.stack(errors).max())  # unlike Python's max, NaN wins
    if error < PRECISION_TOLERANCE:
        agreed.update(wanted)
        return features, None
    name = str(features.dtype).removeprefix("torch.")
    return (
        exact,
        f"{name} does not agree with float32 on this device (off by {error:.0%}): using fp32.",
    )
