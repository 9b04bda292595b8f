"""The perceptual objective: content, style, palette and TV loss of a picture, and their gradient.

The style loss is global: it compares sums over the whole picture. Computed in tiles it takes two
passes. The first adds up every tile's moments; the loss is then a function of a few small matrices,
whose gradient is cheap. The second runs each tile again and sends that fixed gradient back through
the tile's own moments. Sum and chain rule make the result exact, and memory depends on the tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.color import Histograms, PaletteLoss
from cnnart.optim.losses import Moments, content_loss_sum, excess_sum, moments, style_loss, tv_part
from cnnart.optim.steps import Evaluation
from cnnart.optim.tiles import (
    Tile,
    activations,
    add_crop,
    core_of,
    crop,
    gather_features,
    picture_tiles,
    whole_core,
)

LINEAR = "linear"  # not a loss: its gradient is the style loss's, its value means nothing
Statistics = dict[tuple[int, str], Moments]  # (region, layer) -> moments

PIECE = 32  # channels


@dataclass(frozen=True)
class Weights:
    """What each term of the objective is multiplied with. Layer weights are used as given.

    ``kept_content`` and ``kept_pixel``: how much more what is to be kept counts, in content and in
    the pixels themselves.
    """

    content: float
    style: float
    palette: float
    tv: float
    pixel: float
    content_layers: dict[str, float]
    style_layers: dict[str, float]
    temporal: float = 0.0
    kept_content: float = 0.0
    kept_pixel: float = 0.0


@dataclass(frozen=True)
class Held:
    """What a frame of a clip is held to: the last result, moved to meet it, where that can be
    trusted. ``1x3xHxW`` and ``1x1xHxW`` in [0, 1].
    """

    picture: Tensor
    trust: Tensor


@dataclass(frozen=True)
class Region:
    """A part of the picture and the style it is to have.

    ``mask``: ``1x1xHxW`` in [0, 1] at the picture's size, or None for the whole picture.
    ``share``: its part of the picture, and so of the style loss: a pixel counts the same in a small
    region as in a large one. ``shrink``: whether the mask keeps away from its border at each layer;
    not where what is beyond the border has the same style.
    """

    targets: dict[str, Moments]
    palette: PaletteLoss
    mask: Tensor | None = None
    share: float = 1.0
    shrink: bool = True


class PerceptualObjective:
    """Maps a picture to its named losses and their gradient.

    Nothing in a call waits for the device (but the ``wasserstein`` statistic, whose eigenvalues the
    CPU finds), and every call does the same: it can be recorded (``cnnart.optim.capture``).

    Args:
        features: the network.
        photo: ``1x3xHxW``, the content, at the size of the pictures to be judged.
        regions: the styles, and where.
        weights: of the terms.
        statistic: ``gram``, ``covariance`` or ``wasserstein``.
        tile: side of a tile in pixels; 0: the whole picture at once.
        wrap: the axes (vertical, horizontal) along which the picture repeats; its length there must
            be a multiple of the layers' strides.
        held: of a frame of a clip, at the picture's size: the temporal loss (Ruder et al. 2016) is
            the mean square difference to it, where it is trusted.
        keep: how much of the photo is to be kept at each pixel, ``1x1xHxW`` in [0, 1], by the
            weights ``kept_content`` and ``kept_pixel``; None: nothing in particular.
    """

    def __init__(
        self,
        features: FeatureExtractor,
        photo: Tensor,
        regions: Sequence[Region],
        weights: Weights,
        *,
        statistic: str = "gram",
        tile: int = 0,
        wrap: tuple[bool, bool] = (False, False),
        held: Held | None = None,
        keep: Tensor | None = None,
    ) -> None:
        self.features = features
        self.photo = photo
        self.held = held
        self.regions = list(regions)
        self.weights = weights
        self.statistic = statistic
        self.waits = statistic == "wasserstein"
        self.wrap = wrap
        self.content_layers = active(weights.content_layers, weights.content)
        self.style_layers = active(weights.style_layers, weights.style)
        self.layers = sorted({*self.content_layers, *self.style_layers})
        self.tiles = picture_tiles(features, self.layers, photo.shape[-2:], tile, wrap)
        self.masks = [
            None
            if r.mask is None
            else layer_masks(r.mask, features, self.style_layers, wrap, shrink=r.shrink)
            for r in self.regions
        ]
        self.keep = keep
        self.content_shares: dict[str, Tensor] = {}
        if keep is not None:
            found = layer_masks(keep, features, self.content_layers, wrap, shrink=False)
            self.content_shares = {k: 1 + weights.kept_content * m for k, m in found.items()}
        self.content = gather_features(features, photo, self.content_layers, self.tiles)
        # In tiles memory is short.
        self.energy = {k: energy(t, len(self.tiles) > 1) for k, t in self.content.items()}

    def __call__(self, image: Tensor) -> Evaluation:
        """The objective at ``image`` (``1x3xHxW`` float32)."""
        image = image.detach()
        histograms = [
            r.palette.histograms(image) if self.weights.palette else None for r in self.regions
        ]
        totals = self._totals(image) if len(self.tiles) > 1 and self.style_layers else {}
        values: dict[str, Tensor] = {}
        if totals:
            style = self._style(totals)
            style.backward()
            values["style"] = style.detach()
        gradient = torch.zeros_like(image)
        for tile in self.tiles:
            leaf = crop(image, tile).clone().requires_grad_(True)
            terms = self._network_terms(leaf, tile, totals) | self._pixel_terms(
                leaf, tile, histograms
            )
            torch.stack(list(terms.values())).sum().backward()
            assert leaf.grad is not None
            add_crop(gradient, tile, leaf.grad)
            for name, value in terms.items():
                if name != LINEAR:
                    value = value.detach()
                    values[name] = values[name] + value if name in values else value
        return Evaluation(values, gradient)

    def _network_terms(self, leaf: Tensor, tile: Tile, totals: Statistics) -> dict[str, Tensor]:
        """A tile's part of content and style (with ``totals``: what has the style's gradient)."""
        if not self.layers:
            return {}
        found = activations(self.features, leaf, tile, self.layers)
        terms = {}
        if self.content_layers:
            terms["content"] = self._content(found, tile)
        if totals:
            terms[LINEAR] = linear_functional(totals, self._statistics(found, tile))
        elif self.style_layers:
            terms["style"] = self._style(self._statistics(found, tile))
        return terms

    def _totals(self, image: Tensor) -> Statistics:
        """The first pass: the moments of the whole picture, ready to be differentiated by."""
        totals: Statistics = {}
        with torch.no_grad():
            for tile in self.tiles:
                found = activations(self.features, crop(image, tile), tile, self.style_layers)
                add_statistics(totals, self._statistics(found, tile))
        return {k: Moments(*(t.requires_grad_(True) for t in m)) for k, m in totals.items()}

    def _statistics(self, found: dict[str, Tensor], tile: Tile) -> Statistics:
        result: Statistics = {}
        for layer in self.style_layers:
            core = core_of(found[layer], tile, self.features.geometry[layer].stride)
            for i, masks in enumerate(self.masks):
                weight = None
                if masks is not None:
                    weight = whole_core(masks[layer], tile, self.features.geometry[layer].stride)
                result[i, layer] = moments(core, weight)
        return result

    def _style(self, statistics: Statistics) -> Tensor:
        scale = self.weights.style / sum(self.weights.style_layers[k] for k in self.style_layers)
        parts = []
        for (i, layer), found in statistics.items():
            region = self.regions[i]
            loss = style_loss(found, region.targets[layer], self.statistic)
            parts.append(loss * (scale * region.share * self.weights.style_layers[layer]))
        return torch.stack(parts).sum()

    def _content(self, found: dict[str, Tensor], tile: Tile) -> Tensor:
        scale = self.weights.content / sum(
            self.weights.content_layers[k] for k in self.content_layers
        )
        parts = []
        for layer in self.content_layers:
            stride = self.features.geometry[layer].stride
            target = whole_core(self.content[layer], tile, stride)
            share = self.content_shares.get(layer)
            share = None if share is None else whole_core(share, tile, stride)
            loss = content_loss_sum(core_of(found[layer], tile, stride), target, share)
            weight = scale * self.weights.content_layers[layer]
            parts.append(loss * (weight / max(self.energy[layer], 1e-12)))
        return torch.stack(parts).sum()

    def _pixel_terms(
        self, leaf: Tensor, tile: Tile, histograms: Sequence[Histograms | None]
    ) -> dict[str, Tensor]:
        """A tile's part of the terms that need no network."""
        w, whole = self.weights, self.photo.shape[-2:]
        values = 3 * whole[0] * whole[1]
        core = leaf[..., tile.rows.core_at(1), tile.columns.core_at(1)]
        beyond = with_neighbors(leaf, tile)
        tv = tv_part(beyond, core.shape[-2:], whole, self.wrap)
        terms = {"tv": w.tv * tv + excess_sum(core) / values}
        if w.pixel:
            photo = whole_core(self.photo, tile, 1)
            terms["pixel"] = w.pixel / values * (core - photo).square().sum()
        if self.held is not None:
            picture, trust = (whole_core(t, tile, 1) for t in (self.held.picture, self.held.trust))
            apart = (trust * (core - picture).square()).sum()
            terms["temporal"] = w.temporal / values * apart
        if self.keep is not None and w.kept_pixel:
            squares = (core - whole_core(self.photo, tile, 1)).square()
            kept = (squares * whole_core(self.keep, tile, 1)).sum()
            terms["kept"] = w.kept_pixel / values * kept
        parts = []
        for region, found in zip(self.regions, histograms, strict=True):
            if found is not None:
                mask = None if region.mask is None else whole_core(region.mask, tile, 1)
                parts.append(region.share * region.palette.part(core, found, mask))
        if parts:
            terms["palette"] = w.palette * torch.stack(parts).sum()
        return terms


def active(layers: dict[str, float], weight: float) -> list[str]:
    """The layers that count: none where the term itself has no weight."""
    return [name for name, w in layers.items() if w > 0 and weight > 0]


def energy(kept: Tensor, sparing: bool = False) -> float:
    """The sum of the squares of activations.

    A norm, because squares would be as many copies of them. Of half-precision ones torch makes a
    copy in float32 all the same, so ``sparing`` takes float16, which is kept where they are many,
    in pieces.
    """
    pieces = kept.split(PIECE, 1) if sparing and kept.dtype == torch.float16 else (kept,)
    return sum(float(torch.linalg.vector_norm(t, dtype=torch.float32)) ** 2 for t in pieces)


def add_statistics(totals: Statistics, more: Statistics) -> None:
    for key, m in more.items():
        totals[key] = totals[key].plus(m) if key in totals else m


def linear_functional(totals: Statistics, found: Statistics) -> Tensor:
    """<d loss / d totals, found>: its gradient with respect to a tile is the loss's own."""
    parts = [
        (whole.grad * piece).sum()
        for key in found
        for whole, piece in zip(totals[key], found[key], strict=True)
        if whole.grad is not None
    ]
    return torch.stack(parts).sum()


def with_neighbors(leaf: Tensor, tile: Tile) -> Tensor:
    """A tile's core with the row below and the column to the right of it, where there are any."""
    spans = (tile.rows, tile.columns)
    # Where the region closes on itself, the row below its last one is its first.
    down, across = (int(s.is_closed and s.stop == s.high) for s in spans)
    if down or across:
        leaf = F.pad(leaf, (0, across, 0, down), mode="circular")
    ends = (tile.rows.high + down, tile.columns.high + across)
    rows, columns = (
        slice(s.start - s.low, min(s.stop + 1, end) - s.low)
        for s, end in zip(spans, ends, strict=True)
    )
    return leaf[..., rows, columns]


def layer_masks(
    mask: Tensor,
    features: FeatureExtractor,
    layers: Sequence[str],
    wrap: tuple[bool, bool] = (False, False),
    *,
    shrink: bool = True,
) -> dict[str, Tensor]:
    """A mask at each layer's resolution, shrunk away from its border, where units see across it.

    A unit near the border mixes both sides; counting it would let one region's style bleed into
    the other (guided Gram matrices, Gatys et al. 2017). Each mask is eroded by half the layer's
    reach, or left alone where that would leave less than a quarter of it.
    """
    result = {}
    for layer in layers:
        g = features.geometry[layer]
        size = (mask.shape[-2] // g.stride, mask.shape[-1] // g.stride)
        # Units tile the picture from its top left corner; a remainder belongs to no unit.
        whole = mask[..., : size[0] * g.stride, : size[1] * g.stride]
        small = F.avg_pool2d(whole, g.stride) if g.stride > 1 else whole
        if not shrink:
            result[layer] = small
            continue
        reach = round(g.reach / 2 / g.stride)
        down, across = (reach * w for w in wrap)
        around = F.pad(small, (across, across, down, down), mode="circular") if any(wrap) else small
        rest = (reach - down, reach - across)
        eroded = -F.max_pool2d(-around, 2 * reach + 1, stride=1, padding=rest)
        result[layer] = eroded if eroded.sum() > small.sum() / 4 else small
    return result
