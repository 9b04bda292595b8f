"""Activations of a VGG by layer name: ``conv4_2``, ``relu4_2``, ``pool4``.

The extractor takes pictures (float32 RGB in [0, 1], ``1x3xHxW``) and does the network's own
normalization itself; nothing outside this file knows of channel order, means or scales.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from cnnart.errors import UsageError
from cnnart.networks.base import LayerGeometry, N, Network, ReceptiveField, check_vgg_layers
from cnnart.networks.convolution import CHANNELS_LAST, FrozenConvolution, only_direct
from cnnart.weights.backbones import VGGWeights

# Average pooling shrinks activations; the factor restores their typical size, so that the weights
# of the losses need not change with the pooling (crowsonkb/style-transfer-pytorch does the same).
PRECISION_TOLERANCE = 0.1  # bfloat16 differs from float32 by about 0.02 at relu5_1
POOLING_SCALE = {"max": 1.0, "avg": 2.0}
POOLS_BY_INDEX = ("cpu", "cuda")  # where a max pool's way back looks at the indices alone
Wrap = tuple[bool, bool]


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
        self._convolutions = {
            name: FrozenConvolution(weight, bias, self.device, dtype)
            for name, (weight, bias) in weights.convs.items()
        }

    def with_dtype(self, dtype: torch.dtype) -> FeatureExtractor:
        """The same network in another precision."""
        return FeatureExtractor(self.weights, pooling=self.pooling, device=self.device, dtype=dtype)

    def check_layers(self, layers: Iterable[str]) -> None:
        """Raise UsageError for a layer this network does not have."""
        check_vgg_layers(self.weights.name, layers, list(self.geometry))

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
        x = _replicated(x.contiguous(memory_format=CHANNELS_LAST), wrap)
        stretch: list[Layer] = []
        for name in self.geometry:
            if len(found) == len(wanted):
                break
            stretch.append(self._layer(name, wrap))
            if name in wanted:
                if torch.is_grad_enabled() and x.requires_grad:
                    x = _Stretch.apply(x, stretch)
                else:
                    x = forwards(x, stretch)
                found[name], stretch = x, []
        return found

    def _layer(self, name: str, wrap: Wrap) -> Layer:
        kind = self.kind(name)
        if kind != "conv":
            return Layer(kind if kind == "relu" else self.pooling)
        if name == "conv1_1":  # its surroundings are there already
            return Layer(kind, self._convolutions[name], 0, (False, False))
        return Layer(kind, self._convolutions[name], 1, wrap)


def _replicated(picture: Tensor, wrap: Wrap) -> Tensor:
    """A picture with a pixel more on each side: its border again, or along ``wrap`` its other side.

    A network's zeros would draw a dark frame around it.
    """
    down, across = (int(w) for w in wrap)
    if down or across:
        picture = F.pad(picture, (across, across, down, down), mode="circular")
    # One axis at a time: at once, four gradients would meet in a corner, on CUDA in any order.
    picture = F.pad(picture, (1 - across, 1 - across, 0, 0), mode="replicate")
    return F.pad(picture, (0, 0, 1 - down, 1 - down), mode="replicate")


class Layer(NamedTuple):
    """``kind``: conv, relu, max or avg. The rest is a convolution's."""

    kind: str
    convolution: FrozenConvolution | None = None
    padding: int = 1
    wrap: Wrap = (False, False)


@dataclass
class Kept:
    """What ``backwards`` needs of ``forwards``, by the layer's number: the least that is exact.

    A frozen convolution needs nothing. A ReLU needs the signs of its output; where a max pool
    follows, those of the maxima are enough, because no other value has a gradient. A max pool needs
    where its maxima were, and its input's shape (on some devices the input itself).
    """

    signs: dict[int, Tensor] = field(default_factory=dict)
    maxima: dict[int, Tensor] = field(default_factory=dict)
    inputs: dict[int, Tensor] = field(default_factory=dict)
    shapes: dict[int, torch.Size] = field(default_factory=dict)


def forwards(x: Tensor, layers: Sequence[Layer], kept: Kept | None = None) -> Tensor:
    """The activations after ``layers``. ``x`` is left alone, and ``kept`` filled."""
    last = len(layers) - 1
    for i, layer in enumerate(layers):
        after = layers[i + 1].kind if i < last else ""
        if layer.convolution:
            x = layer.convolution(x, padding=layer.padding, wrap=layer.wrap, relu=after == "relu")
        elif layer.kind == "relu":
            x = x if i else F.relu(x)  # the convolution before it has done it
            if kept is not None and after != "max":
                kept.signs[i] = _signs(x) if after else x
        elif layer.kind == "avg":
            shape, x = x.shape, F.avg_pool2d(x, 2).mul_(POOLING_SCALE["avg"])
            if kept is not None:
                kept.shapes[i] = shape
        elif kept is None:
            x = F.max_pool2d(x, 2)
        else:
            kept.shapes[i] = x.shape
            if x.device.type not in POOLS_BY_INDEX:
                kept.inputs[i] = x
            x, maxima = F.max_pool2d(x, 2, return_indices=True)
            kept.maxima[i] = maxima.to(torch.int32)
            if i:  # after a ReLU
                kept.signs[i] = _signs(x) if i < last else x
    return x


def backwards(gradient: Tensor, layers: Sequence[Layer], kept: Kept) -> Tensor:
    """The gradient of what ``forwards`` saw, from that of its result, which is left alone."""
    g, last = gradient, len(layers) - 1
    for i in range(last, -1, -1):
        layer = layers[i]
        if i in kept.signs:
            g = _where_positive(g, kept.signs[i], in_place=i < last)
        if layer.convolution:
            g = layer.convolution.back(g, padding=layer.padding, wrap=layer.wrap)
        elif i in kept.maxima:
            seen = kept.inputs.get(i)
            if seen is None:  # only its shape matters
                seen = torch.empty(
                    kept.shapes[i], dtype=g.dtype, device=g.device, memory_format=CHANNELS_LAST
                )
            g = torch.ops.aten.max_pool2d_with_indices_backward(
                g, seen, (2, 2), (2, 2), (0, 0), (1, 1), False, kept.maxima[i].long()
            )
        elif layer.kind == "avg":
            height, width = kept.shapes[i][-2:]
            g = F.interpolate(g * (POOLING_SCALE["avg"] / 4), scale_factor=2)
            g = F.pad(g, (0, width - g.shape[-1], 0, height - g.shape[-2]))
    return g


def _signs(x: Tensor) -> Tensor:
    """Which of a ReLU's values are positive: one byte each; in half precision they are as good."""
    return x if x.dtype.itemsize == 2 else x > 0


def _where_positive(g: Tensor, signs: Tensor, *, in_place: bool) -> Tensor:
    """``g`` where ``signs`` is positive, else zero."""
    if signs.dtype == torch.bool:
        return g.mul_(signs) if in_place else g * signs
    if in_place:
        return torch.ops.aten.threshold_backward.grad_input(g, signs, 0, grad_input=g)
    return torch.ops.aten.threshold_backward(g, signs, 0)


def kept_bytes(features: FeatureExtractor, layers: Iterable[str]) -> dict[str, float]:
    """Bytes a pixel that going back needs beside the activations of ``layers``, by layer."""
    wanted, names = set(layers), list(features.geometry)
    sign = 1 if features.dtype.itemsize > 2 else features.dtype.itemsize
    result = {}
    for name, after in zip(names, [*names[1:], ""], strict=True):
        if not wanted:
            break
        kind, bytes_ = features.kind(name), 0
        is_last = name in wanted
        wanted.discard(name)
        if kind == "pool" and features.pooling == "max":
            bytes_ = 4 + (0 if is_last or names[names.index(name) - 1] in layers else sign)
        elif kind == "relu" and not is_last:
            bytes_ = sign * (features.kind(after) != "pool" or features.pooling == "avg")
        g = features.geometry[name]
        result[name] = g.channels * bytes_ / g.stride**2
    return result


class _Stretch(torch.autograd.Function):
    """Layers in a row, up to one that was asked for.

    Autograd sees nothing of what is between: it would keep every activation in full. Between two
    stretches it adds what comes from deeper layers to the gradient of the activations asked for.
    Differentiable once.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: Sequence[Layer]) -> Tensor:
        kept = Kept()
        result = forwards(x, layers, kept)
        ctx.layers, ctx.shapes = layers, kept.shapes
        parts = (kept.signs, kept.maxima, kept.inputs)
        ctx.places = [list(part) for part in parts]
        ctx.save_for_backward(*(t for part in parts for t in part.values()))
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        tensors = iter(ctx.saved_tensors)
        signs, maxima, inputs = (dict(zip(places, tensors, strict=False)) for places in ctx.places)
        kept = Kept(signs, maxima, inputs, ctx.shapes)
        return backwards(gradient, ctx.layers, kept), None


def _is_native(features: Network) -> bool:
    """Whether a card has bfloat16 in its tensor cores: to load the kernels of float32 only to hear
    that it is right had taken longer than a small picture.
    """
    if features.device.type != "cuda" or features.dtype != torch.bfloat16 or torch.version.hip:
        return False
    return torch.cuda.get_device_capability(features.device) >= (8, 0)


# The layers at which a network's half precision was found to agree: asked once in a batch.
_AGREED: WeakKeyDictionary[Network, set[str]] = WeakKeyDictionary()


def trusted(features: N, picture: Tensor, layers: Iterable[str]) -> tuple[N, str | None]:
    """``features`` if its half precision agrees with float32 on ``picture``, else a float32 one.

    Some devices overflow or compute half precision wrongly (black pictures on GTX 16xx cards are
    the known case). Returns the extractor to use and a line of warning, or None.
    """
    wanted = list(layers)
    agreed = _AGREED.setdefault(features, set())
    if features.dtype == torch.float32 or agreed.issuperset(wanted) or _is_native(features):
        return features, None
    exact = features.with_dtype(torch.float32)
    with torch.no_grad(), only_direct():
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
