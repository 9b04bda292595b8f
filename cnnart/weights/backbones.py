"""The VGG networks cnnart knows: their shapes, where they are published, and how to read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Convs = dict[str, tuple[Tensor, Tensor]]

EMBEDDED = "vgg19"  # the one inside the package: the Oxford VGG-19, quantized

RGB = tuple[float, float, float]

OXFORD_MEAN: RGB = (123.68 / 255, 116.779 / 255, 103.939 / 255)
BLOCK_CHANNELS = (64, 128, 256, 512, 512)
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
BATCH_NORM_EPS = 1e-5  # torch's default, which torchvision's VGG uses
CC_BY = "CC-BY-4.0"  # Oxford: K. Simonyan and A. Zisserman
BSD = "BSD-3-Clause"  # torchvision


@dataclass(frozen=True)
class VGGWeights:
    """The convolutions of a VGG network (Simonyan and Zisserman, arXiv:1409.1556).

    ``convs`` maps "conv1_1", "conv1_2", ... in network order to (weight OIHW, bias), float32 on
    the CPU. The network takes (x - mean) / std, x being RGB in [0, 1]. ``sha256`` identifies it.
    """

    name: str
    convs: dict[str, tuple[Tensor, Tensor]]
    mean: RGB
    std: RGB
    sha256: str


@dataclass(frozen=True)
class Backbone:
    """A VGG in torchvision's layout (``features.N.weight``).

    ``weights`` is the model and member of torchvision's weights enum; a network without one is
    published as ``file`` elsewhere and can only be imported: the Caffe originals in BGR, 0..255.
    """

    name: str
    convs_per_block: tuple[int, ...]
    weights: tuple[str, str] | None = None
    file: str = ""
    batch_norm: bool = False
    license: str = BSD


@dataclass(frozen=True)
class Published:
    """Where a backbone comes from; ``hash_prefix`` is the start of the file's SHA-256."""

    file: str
    url: str | None
    hash_prefix: str
    mean: RGB
    std: RGB
    megabytes: float | None


def _family(depth: str, convs_per_block: tuple[int, ...], name: str = "") -> list[Backbone]:
    """torchvision's plain and batch-norm networks of one depth."""
    plain, bn = f"vgg{depth}", f"vgg{depth}_bn"
    return [
        Backbone(name or plain, convs_per_block, (plain, "IMAGENET1K_V1")),
        Backbone(bn, convs_per_block, (bn, "IMAGENET1K_V1"), batch_norm=True),
    ]


VGG16, VGG19 = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        *_family("11", (1, 1, 2, 2, 2)),
        *_family("13", (2, 2, 2, 2, 2)),
        *_family("16", VGG16),
        *_family("19", VGG19, name="vgg19-torchvision"),
        Backbone("vgg16-features", VGG16, ("vgg16", "IMAGENET1K_FEATURES"), license=CC_BY),
        # The unquantized originals as converted by J. Johnson, which neural-style-pt's users have.
        Backbone("vgg16-oxford", VGG16, file="vgg16-00b39a1b.pth", license=CC_BY),
        Backbone("vgg19-oxford", VGG19, file="vgg19-d01eb7cb.pth", license=CC_BY),
    )
}


def published(backbone: Backbone) -> Published:
    """The published file of a backbone, as torchvision's own weights API has it where it does."""
    if backbone.weights is None:
        prefix = hash_prefix(backbone.file)
        return Published(backbone.file, None, prefix, OXFORD_MEAN, (1 / 255,) * 3, None)
    weights = torchvision_weights(backbone)
    file = weights.url.rsplit("/", 1)[1]
    preset = weights.transforms()
    mean, std = tuple(preset.mean), tuple(preset.std)
    size = weights.meta.get("_file_size")
    return Published(file, weights.url, hash_prefix(file), mean, std, size)


def torchvision_weights(backbone: Backbone):  # type: ignore[no-untyped-def]  # a WeightsEnum member
    """The member of torchvision's weights enum for a backbone that has one."""
    from torchvision.models import get_model_weights

    assert backbone.weights is not None
    model, member = backbone.weights
    return get_model_weights(model)[member]


def hash_prefix(file: str) -> str:
    """The start of a published file's SHA-256, which its name ends in; '' where it does not."""
    found = re.search(r"-([0-9a-f]{8,})\.pth$", file)
    return found[1] if found else ""


def layers(backbone: Backbone) -> Iterator[tuple[str, int, int, int]]:
    """Each convolution as (name, index in ``features``, channels in, channels out), in order."""
    index, channels = 0, 3
    step = 3 if backbone.batch_norm else 2  # convolution, (batch norm,) ReLU
    for block, (count, out) in enumerate(
        zip(backbone.convs_per_block, BLOCK_CHANNELS, strict=True), start=1
    ):
        for number in range(1, count + 1):
            yield f"conv{block}_{number}", index, channels, out
            index, channels = index + step, out
        index += 1  # the pooling layer


def expected_shapes(backbone: Backbone) -> dict[str, tuple[int, ...]]:
    """The tensors a state dict of this backbone must hold."""
    shapes: dict[str, tuple[int, ...]] = {}
    for _, index, channels, out in layers(backbone):
        shapes[f"features.{index}.weight"] = (out, channels, 3, 3)
        shapes[f"features.{index}.bias"] = (out,)
        if backbone.batch_norm:
            shapes.update({f"features.{index + 1}.{key}": (out,) for key in BATCH_NORM})
    return shapes


def candidates(state: Mapping[str, Tensor]) -> list[Backbone]:
    """The backbones whose feature tensors are those of ``state``; the classifier is ignored."""
    found = {
        key: tuple(tensor.shape)
        for key, tensor in state.items()
        if key.startswith("features.") and not key.endswith("num_batches_tracked")
    }
    return [backbone for backbone in BACKBONES.values() if expected_shapes(backbone) == found]


def to_convs(backbone: Backbone, state: Mapping[str, Tensor]) -> Convs:
    """The convolutions of a matching state dict, float32, batch norm folded in, input RGB."""
    convs: Convs = {}
    for name, index, _, _ in layers(backbone):
        weight = state[f"features.{index}.weight"].float()
        bias = state[f"features.{index}.bias"].float()
        if backbone.batch_norm:
            gain, shift, mean, variance = (
                state[f"features.{index + 1}.{key}"].float() for key in BATCH_NORM
            )
            scale = gain / (variance + BATCH_NORM_EPS).sqrt()
            weight, bias = weight * scale.view(-1, 1, 1, 1), (bias - mean) * scale + shift
        convs[name] = (weight.contiguous(), bias.contiguous())
    return bgr_to_rgb(convs) if backbone.weights is None else convs


def bgr_to_rgb(convs: Convs) -> Convs:
    """The same network for RGB input: the first layer's input channels in reverse order."""
    weight, bias = convs["conv1_1"]
    return {**convs, "conv1_1": (weight.flip(1), bias)}


def unit_std(convs: Convs, mean: RGB, std: RGB) -> tuple[Convs, RGB, RGB]:
    """Move a common input scale into the biases, so that activations stay in the range of fp16.

    A network of convolutions, ReLU and pooling is homogeneous: scaling its input and all biases
    by s scales every activation by s. So (x - mean) / s becomes x - mean with the biases times s.
    Three different values of ``std`` are left alone.
    """
    scale = std[0]
    if scale == 1 or any(other != scale for other in std):
        return convs, mean, std
    scaled = {name: (weight, bias * scale) for name, (weight, bias) in convs.items()}
    return scaled, mean, (1.0, 1.0, 1.0)


def backbone_names() -> list[str]:
    """Every name ``load_vgg`` knows, the embedded network first."""
    return [EMBEDDED, *BACKBONES]
