"""A network's pass over one photo in one style: what ``fast-stylize`` runs.

The same arithmetic as ``StyleNetwork.forward``, which is written for training, export and batches
of several styles, with everything done beforehand that does not depend on the photo, and each
layer read and written as few times as can be.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from threading import Lock

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.methods.fast.architecture import Architecture
from cnnart.methods.fast.carried import CarriedLayer, CarriedPass
from cnnart.methods.fast.layers import (
    EPSILON,
    AffinePair,
    ConvBlock,
    reflected,
    repeated_weight,
)
from cnnart.methods.fast.network import StyleNetwork, reflect_pad_to_stride
from cnnart.optim.capture import Recorder, Replay, sent

# What folding may subtract from a normalized activation: in a blank picture, whose variance is next
# to nothing, rounding a mean many deviations from zero would be all there is.
LARGEST_SHIFT = 16.0

SIZES = 2  # whose passes are kept recorded: each holds the memory that a pass takes


class StyledNetwork:
    """A network in one style, ready to paint.

    Everything stays on the device, and nothing waits for it: a pass can be captured as a graph.

    Args:
        network: on the device it is to run on.
        pair: the style's affine pair of all layers, ``1xC`` each, on that device.
        dtype: of the activations; statistics are float32 anyhow.
        layout: of the activations; None: as suits the device.
    """

    def __init__(
        self,
        network: StyleNetwork,
        pair: AffinePair,
        dtype: torch.dtype = torch.float32,
        layout: torch.memory_format | None = None,
    ) -> None:
        self.arch, self.dtype = network.arch, dtype
        if layout is None:
            # A CPU wants a pixel's channels side by side. On a GPU that would send every depthwise
            # convolution to cuDNN; torch's own kernel for it wants planes, and so does a matrix
            # product over the pixels.
            on_cpu = pair.gamma.device.type == "cpu"
            layout = torch.channels_last if on_cpu else torch.contiguous_format
        self.layout = layout
        *hidden, head = network.conv_blocks()
        with torch.no_grad():
            blocks = [
                StyledBlock(block, own.gamma[0], own.beta[0], dtype, self.layout)
                for block, own in zip(hidden, network.layer_pairs(pair), strict=True)
            ]
            self.head = StyledHead(head, dtype, self.layout)
        first, last = len(network.encoder), len(hidden) - len(network.decoder)
        self.blocks = blocks
        self._residual = range(first, last, 2)

    def __call__(
        self, photo: Tensor, noise: Tensor | None, carried: CarriedPass | None = None
    ) -> Tensor:
        """``1x3xHxW`` in [0, 1], and ``make_noise``'s for it -> the same float32, about [0, 1] and
        not clamped.

        ``carried``: of a clip, the statistics that come from the frames before; None: the photo's
        own.
        """
        height, width = photo.shape[-2:]
        with torch.no_grad():
            layers = self._carried(carried)
            x = reflect_pad_to_stride(photo, self.arch)
            x = cells(x, self.arch, self.dtype, self.layout, noise)
            first, last = self._residual.start, self._residual.stop
            for index in range(first):
                x = self.blocks[index](x, layers[index])
            for index in self._residual:
                inner = self.blocks[index](x, layers[index])
                x = self.blocks[index + 1](inner, layers[index + 1], onto=x)
            for index in range(last, len(self.blocks)):
                x = self.blocks[index](x, layers[index])
            if carried is not None:
                self._fold(carried)  # for the frames to come, which may be painted all at once
            return self.head(x)[..., :height, :width]

    def _carried(self, carried: CarriedPass | None) -> Sequence[CarriedLayer | None]:
        if carried is None:
            return [None] * len(self.blocks)
        if not carried.next_frame(len(self.blocks)):
            self._fold(carried)
        return carried.layers

    def _fold(self, carried: CarriedPass) -> None:
        for block, layer in zip(self.blocks, carried.layers, strict=True):
            if layer.folded is None:
                layer.folded = block.folded(layer)


class RepeatedPasses:
    """A styled network's passes: on a device that records, those over a size that comes again and
    again are recorded (``Replay``); a size that comes once or twice is not worth it.

    ``recorder``: None: the device's own, if there is one.
    """

    def __init__(self, styled: StyledNetwork, recorder: Recorder | None = None) -> None:
        self._styled, self._recorder = styled, recorder
        self._sizes: OrderedDict[torch.Size, tuple[Replay, list[Tensor]]] = OrderedDict()
        self._lock = Lock()  # threads that paint in one style share what is recorded

    def __call__(
        self, photo: Tensor, noise: Tensor | None, carried: CarriedPass | None = None
    ) -> Tensor:
        """``1x3xHxW`` in [0, 1], noise on the CPU -> the same, stylized, about [0, 1] and not
        clamped; a tensor of its own. With statistics that change from frame to frame nothing is
        recorded.
        """
        if carried is not None or (photo.device.type == "cpu" and self._recorder is None):
            return self._styled(photo, noise, carried)
        given = [photo] if noise is None else [photo, noise]
        with self._lock:
            if photo.shape not in self._sizes:
                while len(self._sizes) >= SIZES:
                    self._sizes.popitem(last=False)
                places = [value.to(photo.device, copy=True) for value in given]
                self._sizes[photo.shape] = Replay(photo.device, self._recorder), places
            self._sizes.move_to_end(photo.shape)
            replay, places = self._sizes[photo.shape]
            for place, value in zip(places, given, strict=True):
                place.copy_(sent(value, place.device))
            static, grain = places[0], places[1] if len(places) > 1 else None
            return replay(lambda: self._styled(static, grain)).clone()

    @property
    def recording(self) -> bool:
        """Whether memory is held for passes that are recorded, or about to be."""
        return bool(self._sizes)


class StyledBlock:
    """A ``ConvBlock`` with its weights in the pass's precision and the style's affine pair.

    ``gamma``, ``beta``: ``C``, float32. ``layout``: the activations'; a weight in another would
    bring them into its own.
    """

    def __init__(
        self,
        block: ConvBlock,
        gamma: Tensor,
        beta: Tensor,
        dtype: torch.dtype,
        layout: torch.memory_format,
    ) -> None:
        self.spec, self.relu = block.spec, block.relu
        self.gamma, self.beta = gamma.contiguous(), beta.contiguous()
        self.repeats = block.repeats_pixels()
        weight = repeated_weight(block.weight) if self.repeats else block.weight
        self.weight, self.layout = weight.to(dtype).contiguous(memory_format=layout), layout
        self.depthwise = None if block.depthwise is None else block.depthwise.to(dtype)

    def __call__(
        self, x: Tensor, carried: CarriedLayer | None = None, onto: Tensor | None = None
    ) -> Tensor:
        """``1xCxHxW``, unshuffled already -> the block's output, added to ``onto``, in place, where
        that is given.
        """
        if carried is not None and carried.folded is not None:
            return self._convolved(x, *carried.folded, onto, relu=self.relu)
        x = self._convolved(x, self.weight)
        mean, variance = moments(x)
        if carried is not None:
            mean, variance = carried.measured(mean, variance)
        x = F.batch_norm(x, mean, variance, self.gamma, self.beta, False, 0.0, EPSILON)
        return finished(x, onto, relu=self.relu)

    def folded(self, carried: CarriedLayer) -> tuple[Tensor, Tensor] | None:
        """Weight and bias, the normalization within; None where rounding would show."""
        assert carried.mean is not None
        assert carried.variance is not None
        scale = self.gamma * torch.rsqrt(carried.variance + EPSILON)
        shift = carried.mean * scale
        if float(shift.abs().max()) > LARGEST_SHIFT:
            return None
        shape = [1, -1, 1, 1] if self.repeats else [-1, 1, 1, 1]
        weight = (self.weight.float() * scale.view(shape)).to(self.weight.dtype)
        return weight.contiguous(memory_format=self.layout), (self.beta - shift).to(weight.dtype)

    def _convolved(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        onto: Tensor | None = None,
        *,
        relu: bool = False,
    ) -> Tensor:
        stride = self.spec.stride
        if self.repeats:
            x = F.pad(x, (1, 1, 1, 1), mode="replicate")  # what reflecting repeated pixels comes to
            x = F.conv_transpose2d(x, weight, bias, stride=2, padding=3)
            return finished(x, onto, relu=relu)
        if self.spec.upsample > 1:
            x = F.interpolate(x, scale_factor=self.spec.upsample, mode="nearest")
        x = reflected(x, self.spec.kernel // 2)
        if self.depthwise is not None:
            x, stride = F.conv2d(x, self.depthwise, groups=len(self.depthwise)), 1
            if not x.is_contiguous(memory_format=torch.channels_last):
                planes, pixels = weight.flatten(1), x[0].flatten(1)
                if bias is None:
                    planes = torch.mm(planes, pixels)
                else:
                    planes = torch.addmm(bias[:, None], planes, pixels)
                return finished(planes.view(1, -1, *x.shape[-2:]), onto, relu=relu)
        if bias is not None and x.device.type == "cpu" and fuses():
            return fused(x, weight, bias, stride, onto, relu=relu)
        return finished(F.conv2d(x, weight, bias, stride), onto, relu=relu)


def finished(x: Tensor, onto: Tensor | None, *, relu: bool) -> Tensor:
    """A ReLU, and added to ``onto``, both in place."""
    if relu:
        x = F.relu_(x)
    return x if onto is None else onto.add_(x)


def fused(
    x: Tensor, weight: Tensor, bias: Tensor, stride: int, onto: Tensor | None, *, relu: bool
) -> Tensor:
    """A convolution and what comes after it, in one pass of oneDNN's over the activations."""
    steps, ones, none = [stride, stride], [1, 1], [0, 0]
    if onto is None:
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, weight, bias, none, steps, ones, 1, "relu" if relu else "none", [], None
        )
    else:
        result = torch.ops.mkldnn._convolution_pointwise_.binary(
            onto, x, weight, bias, none, steps, ones, 1, "add", 1.0, None, [], None
        )
    return result


@cache
def fuses() -> bool:
    """Whether the operations of torch's own compiler are there and right: they are no interface."""
    if not torch.backends.mkldnn.is_available():
        return False
    x = torch.linspace(-1, 1, 2 * 9).view(1, 2, 3, 3).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.tensor([[1.0, 2.0], [-1.0, 0.5]])[..., None, None], torch.tensor([0.5, 1])
    plain = F.conv2d(x, weight, bias)
    try:
        alone = fused(x, weight, bias, 1, None, relu=True)
        added = fused(x, weight, bias, 1, x.clone(), relu=False)
    except (AttributeError, RuntimeError, TypeError):
        return False
    right = [(alone, plain.relu()), (added, plain + x)]
    return all(torch.allclose(found, wanted, atol=1e-5) for found, wanted in right)


class StyledHead:
    """The last convolution, whose channels become pixels."""

    def __init__(self, block: ConvBlock, dtype: torch.dtype, layout: torch.memory_format) -> None:
        assert block.bias is not None
        self.side, self.factor = block.spec.kernel // 2, block.spec.shuffle
        share = 1 / self.factor**2  # so that the box filter need only add
        self.weight = (block.weight * share).to(dtype).contiguous(memory_format=layout)
        self.bias = (block.bias * share).to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """``1xCxHxW`` -> the picture, float32."""
        x = F.conv2d(reflected(x, self.side), self.weight, self.bias)
        # By torch's own kernel, in the pass's precision; the sums then are float32.
        x = F.pixel_shuffle(x, self.factor).float()
        for axis in (-2, -1):
            x = box_sum(x, self.factor, axis)
        return x


def box_sum(x: Tensor, side: int, axis: int) -> Tensor:
    """The sum of so many pixels around each, along an axis; the border goes on beyond itself."""
    if side == 1:
        return x
    length, total = x.shape[axis], x.clone()
    for shift in range(1, side // 2 + 1):
        total.narrow(axis, shift, length - shift).add_(x.narrow(axis, 0, length - shift))
        total.narrow(axis, 0, shift).add_(x.narrow(axis, 0, 1))
    for shift in range(1, (side - 1) // 2 + 1):
        total.narrow(axis, 0, length - shift).add_(x.narrow(axis, shift, length - shift))
        total.narrow(axis, length - shift, shift).add_(x.narrow(axis, length - 1, 1))
    return total


def cells(
    photo: Tensor,
    arch: Architecture,
    dtype: torch.dtype,
    layout: torch.memory_format,
    noise: Tensor | None,
) -> Tensor:
    """``F.pixel_unshuffle``, the noise behind it, with the change of layout in the same pass."""
    batch, channels, height, width = photo.shape
    side = arch.cell
    squares = (
        photo.to(dtype).unflatten(-1, (width // side, side)).unflatten(-3, (height // side, side))
    )
    squares = squares.permute(0, 1, 3, 5, 2, 4)
    pixels = channels * side**2
    shape = (batch, pixels + arch.noise, height // side, width // side)
    found = torch.empty(shape, dtype=dtype, device=photo.device, memory_format=layout)
    found[:, :pixels].unflatten(1, (channels, side, side)).copy_(squares)
    if noise is not None:
        found[:, pixels:].copy_(noise)
    return found


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of ``1xCxHxW``: ``C`` each, float32 in any precision."""
    if x.device.type == "cpu" and x.dtype != torch.float32:
        # A CPU answers in the precision of the running statistics, which nobody reads here.
        running = torch.empty(2, x.shape[1])
        return torch.batch_norm_update_stats(x, running[0], running[1], 0.0)
    return torch.batch_norm_update_stats(x, None, None, 0.0)
