"""A picture's activations and moments computed tile by tile: the network's side of ``tiling``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cnnart.features import FeatureExtractor
from cnnart.losses import Moments, moments
from cnnart.tiling import Tile, tiles


def picture_tiles(
    features: FeatureExtractor,
    layers: Sequence[str],
    size: Sequence[int],
    tile: int,
    wrap: tuple[bool, bool] = (False, False),
) -> list[Tile]:
    """The tiles of a picture for evaluating ``layers``; it repeats along the axes ``wrap``."""
    halo = features.halo(layers) if layers else 0
    align = max((features.geometry[name].stride for name in layers), default=1)
    return list(tiles(size[0], size[1], tile, halo, align, wrap=wrap))


def crop(image: Tensor, tile: Tile) -> Tensor:
    """The tile's region of a picture."""
    for axis, span in ((-2, tile.rows), (-1, tile.columns)):
        if span.crosses:
            image = image.index_select(axis, torch.tensor(span.places(), device=image.device))
        else:
            image = image.narrow(axis, span.low, span.high - span.low)
    return image


def add_crop(image: Tensor, tile: Tile, piece: Tensor) -> None:
    """Add to a picture, in place, what was found for the tile's region of it."""
    for axis, span in ((-1, tile.columns), (-2, tile.rows)):
        if span.crosses:  # a place may occur more than once
            shape = list(piece.shape)
            shape[axis] = span.period
            places = torch.tensor(span.places(), device=piece.device)
            piece = piece.new_zeros(shape).index_add_(axis, places, piece)
    rows = slice(None) if tile.rows.crosses else tile.region[0]
    columns = slice(None) if tile.columns.crosses else tile.region[1]
    image[..., rows, columns] += piece


def activations(
    features: FeatureExtractor, region: Tensor, tile: Tile, layers: Sequence[str]
) -> dict[str, Tensor]:
    """Activations of a tile's region."""
    if any(tile.wrap):
        return features(region, layers, wrap=tile.wrap)
    return features(region, layers)


def core_of(features: Tensor, tile: Tile, stride: int) -> Tensor:
    """The tile's own units among the activations of its region."""
    if tile.is_whole:  # slicing everything would still cost a copy on the way back
        return features
    return features[..., tile.rows.core_at(stride), tile.columns.core_at(stride)]


def whole_core(features: Tensor, tile: Tile, stride: int) -> Tensor:
    """The tile's own units among the activations of the whole picture."""
    return features[..., tile.rows.whole_at(stride), tile.columns.whole_at(stride)]


def gather_features(
    features: FeatureExtractor, image: Tensor, layers: Sequence[str], grid: Sequence[Tile]
) -> dict[str, Tensor]:
    """Activations of a whole picture computed tile by tile, without gradient."""
    if not layers:
        return {}
    height, width = image.shape[-2:]
    result = {}
    for layer in layers:
        g = features.geometry[layer]
        shape = (1, g.channels, height // g.stride, width // g.stride)
        result[layer] = torch.empty(shape, dtype=features.dtype, device=image.device)
    with torch.no_grad():
        for tile in grid:
            found = activations(features, crop(image, tile), tile, layers)
            for layer in layers:
                stride = features.geometry[layer].stride
                whole_core(result[layer], tile, stride).copy_(core_of(found[layer], tile, stride))
    return result


def gather_moments(
    features: FeatureExtractor,
    image: Tensor,
    layers: Sequence[str],
    tile: int,
    masks: Mapping[str, Tensor] | None = None,
) -> dict[str, Moments]:
    """Moments of a whole picture at ``layers``, computed tile by tile, without gradient.

    ``masks``: how much each position of a layer counts (``1x1xhxw``, see ``layer_masks``).
    """
    result: dict[str, Moments] = {}
    with torch.no_grad():
        for part in picture_tiles(features, layers, image.shape[-2:], tile):
            found = features(crop(image, part), layers)
            for layer in layers:
                stride = features.geometry[layer].stride
                core = core_of(found[layer], part, stride)
                m = moments(core, None if masks is None else whole_core(masks[layer], part, stride))
                result[layer] = result[layer].plus(m) if layer in result else m
    return result
