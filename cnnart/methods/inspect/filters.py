"""The kernels of a convolution as pictures, and what each finds in a photo.

The first layer's kernels of every network trained on photos are edges of all directions and
opposing colors (Krizhevsky et al. 2012, figure 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnart.errors import UsageError, did_you_mean
from cnnart.image.picture import resize
from cnnart.methods.inspect.config import FiltersConfig
from cnnart.methods.inspect.pictures import shrunk
from cnnart.methods.inspect.report import Inspection
from cnnart.methods.inspect.target import check_finite
from cnnart.networks.base import Network
from cnnart.networks.vgg import FeatureExtractor

GAP = 1  # pixels between the slices of a deeper kernel
BETWEEN = 4  # and between a kernel and its map
PAPER = 1.0  # white, between pictures
DEEPER = 16  # kernels of a deeper layer that are shown unless asked
TILE, DEEP_TILE = 88, 180  # a kernel is enlarged at least to this side
BRIGHTEST = 0.995  # the share of a map's places that lie below white
PHOTO = 512  # long side to which the photo is shrunk


@dataclass(frozen=True)
class Filter:
    """One kernel: the picture of it (``1x3xHxW``), beside it what it finds in the photo, if any.

    ``norm``: Euclidean, of its weights. ``highest``: its activation where it is, in the photo;
    ``active``: the share of places where it is above 0.
    """

    channel: int
    picture: Tensor
    norm: float
    highest: float | None = None
    active: float | None = None


def show_filters(
    network: Network, config: FiltersConfig, photo: Tensor | None = None
) -> tuple[str, list[Filter]]:
    """The layer shown and its kernels; ``photo`` is ``1x3xHxW`` in [0, 1].

    Raises UsageError for a layer without kernels and for channels that it does not have.
    """
    layer, weight = find_kernels(network, config.layer)
    channels = config.channels
    if channels is None:
        first = weight.shape[1] == 3
        channels = tuple(range(len(weight) if first else min(DEEPER, len(weight))))
    maps = None if photo is None else activations(network, layer, photo)
    return layer, list(_filters(weight, channels, config.slices, maps, layer))


def _filters(
    weight: Tensor, channels: tuple[int, ...], slices: int, maps: Tensor | None, layer: str
) -> Iterator[Filter]:
    for channel in channels:
        if not 0 <= channel < len(weight):
            raise UsageError(f"{layer} has no channel {channel}: it has 0 to {len(weight) - 1}.")
        kernel = weight[channel]
        picture = enlarged(kernel_picture(kernel, slices), TILE if len(kernel) == 3 else DEEP_TILE)
        norm = float(kernel.float().norm())
        if maps is None:
            yield Filter(channel, picture, norm)
            continue
        found = maps[channel]
        beside_it = beside(picture, activation_picture(found))
        share = float((found > 0).float().mean())
        yield Filter(channel, beside_it, norm, float(found.max()), share)


def convolutions(network: Network) -> dict[str, Tensor]:
    """Every convolution of a network and its kernels (``OIhw``), in network order."""
    if isinstance(network, FeatureExtractor):
        return {name: weight for name, (weight, _) in network.weights.convs.items()}
    modules = dict(getattr(network, "model", nn.Module()).named_modules())
    found = {name: modules[name] for name in network.geometry if name in modules}
    return {name: m.weight.detach() for name, m in found.items() if isinstance(m, nn.Conv2d)}


def find_kernels(network: Network, layer: str | None) -> tuple[str, Tensor]:
    """A convolution's name and kernels (``OIhw``); None: the first. Raises UsageError."""
    known = convolutions(network)
    if not known:
        raise UsageError(f"{network.name} has no convolutions to show.")
    name = layer or next(iter(known))
    if name not in known:
        network.check_layers([name])
        near = name.replace("relu", "conv")
        hint = f" Did you mean {near}?" if near in known else did_you_mean(name, list(known))
        raise UsageError(f"The layer {name!r} has no kernels: name a convolution.{hint}")
    return name, known[name]


def activations(network: Network, layer: str, photo: Tensor) -> Tensor:
    """The maps of a layer for a photo: ``Cxhxw``, float32 on the CPU."""
    with torch.no_grad():
        found = network(shrunk(photo, PHOTO).to(network.device), [layer])[layer]
    return check_finite(network, found[0].float().cpu(), f"The activations at {layer}")


def kernel_picture(kernel: Tensor, slices: int = 64) -> Tensor:
    """One kernel (``Cxhxw``) as a picture, ``1x3xH'xW'`` in [0, 1], a pixel for each weight.

    Three channels are shown as red, green and blue; of more, the first ``slices`` are shown side
    by side in gray. Each kernel is scaled by its own largest weight: middle gray is 0, the extremes
    are plus and minus that weight. Kernels of different strength thus look alike.
    """
    scaled = kernel.detach().float().cpu()
    scaled = 0.5 + 0.5 * scaled / scaled.abs().max().clamp_min(1e-12)
    if len(scaled) == 3:
        return scaled[None]
    return slices_side_by_side(scaled[:slices])


def slices_side_by_side(planes: Tensor) -> Tensor:
    """``Cxhxw`` as one gray picture ``1x3xH'xW'``: about as many rows as columns, gaps white."""
    count, height, width = planes.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = torch.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), PAPER)
    for index, plane in enumerate(planes):
        row, column = divmod(index, columns)
        top, left = row * (height + GAP), column * (width + GAP)
        sheet[top : top + height, left : left + width] = plane
    return sheet.expand(1, 3, -1, -1).clone()


def activation_picture(activation: Tensor) -> Tensor:
    """One map (``hxw``) as ``1x3xhxw``: black where it is 0 or less, white at its highest 0.5 %."""
    positive = activation.clamp_min(0)
    order = positive.flatten().sort().values
    white = order[int(BRIGHTEST * (len(order) - 1))]
    if not white > 0:  # it fires in fewer places than that
        white = order[-1].clamp_min(1e-12)
    return (positive / white).clamp_max(1).expand(1, 3, -1, -1).clone()


def enlarged(picture: Tensor, least: int) -> Tensor:
    """A small picture enlarged a whole number of times until its long side is at least this.

    Nearest neighbor: a pixel stays a square.
    """
    factor = max(1, math.ceil(least / max(picture.shape[-2:])))
    return F.interpolate(picture, scale_factor=factor, mode="nearest")


def beside(left: Tensor, right: Tensor) -> Tensor:
    """Two pictures side by side, the second brought to the first's height, white between them."""
    height = left.shape[-2]
    width = max(1, round(right.shape[-1] * height / right.shape[-2]))
    if height > right.shape[-2]:
        right = F.interpolate(right, size=(height, width), mode="nearest")
    between = torch.full((1, 3, height, BETWEEN), PAPER)
    return torch.cat((left, between, resize(right, height, width)), 3)


def filters_report(network: Network, layer: str, filters: list[Filter]) -> Inspection:
    """The kernels on a sheet, and their numbers."""
    _, weight = find_kernels(network, layer)
    facts = [
        {k: v for k, v in vars(f).items() if k != "picture" and v is not None} for f in filters
    ]
    shape = " x ".join(map(str, weight.shape))
    numbers = {
        "network": network.name,
        "layer": layer,
        "shape": list(weight.shape),
        "kernels": facts,
    }
    title = f"{network.name} {layer}: {shape}"
    return Inspection(title, [(str(f.channel), f.picture) for f in filters], numbers)
