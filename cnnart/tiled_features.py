"""A picture's activations and moments computed tile by tile: the network's side of ``tiling``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnart.features import FeatureExtractor
from cnnart.losses import Moments, moments
from cnnart.tiling import Tile, tiles


def picture_tiles(
    features: FeatureExtractor, layers: Sequence[str], size: Sequence[int], tile: int
) -> list[Tile]:
    """The tiles of a picture for evaluating ``layers``."""
    halo = features.halo(layers) if layers else 0
    align = features.smallest_side(layers) if layers else 1
    return list(tiles(size[0], size[1], tile, halo, align))


def crop(image: Tensor, tile: Tile) -> Tensor:
    rows, columns = tile.region
    return image[..., rows, columns]


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
            found = features(crop(image, tile), layers)
            for layer in layers:
                stride = features.geometry[layer].stride
                whole_core(result[layer], tile, stride).copy_(core_of(found[layer], tile, stride))
    return result


def gather_moments(
    features: FeatureExtractor, image: Tensor, layers: Sequence[str], tile: int
) -> dict[str, Moments]:
    """Moments of a whole picture at ``layers``, computed tile by tile, without gradient."""
    result: dict[str, Moments] = {}
    with torch.no_grad():
        for part in picture_tiles(features, layers, image.shape[-2:], tile):
            found = features(crop(image, part), layers)
            for layer in layers:
                core = core_of(found[layer], part, features.geometry[layer].stride)
                m = moments(core)
                result[layer] = result[layer].plus(m) if layer in result else m
    return result
