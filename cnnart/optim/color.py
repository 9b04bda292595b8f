"""Colors: what becomes of them in a picture, and the palette loss that compares them.

Color modes:

``style``: the style's palette (the usual picture). ``keep``: the style is recolored with the
photo's palette first, so that strokes are painted in the photo's colors. ``luma``: only lightness
is stylized, each pixel keeps the photo's own chroma (both from Gatys et al. 2017, "Preserving color
in neural artistic style transfer"). ``histogram``: stylized as usual, then the finished picture's
colors are moved until they are distributed as the photo's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.image.picture import luma
from cnnart.optim.losses import matrix_sqrt


def keeps_photo_colors(mode: str) -> bool:
    """Whether the picture starts from, and aims at, the photo's own colors."""
    return mode in ("keep", "luma")


def color_style(mode: str, style: Tensor, photo: Tensor, mask: Tensor | None = None) -> Tensor:
    """The style picture as the run sees it; ``mask`` (``1x1xHxW``) is its part of the photo."""
    if mode == "keep":
        return recolor(style, color_gaussian(style), color_gaussian(photo, mask))
    if mode == "luma":
        gray = luma(style).expand_as(style)
        lightness = luma(photo)
        scale = lightness.std() / gray.std().clamp_min(1e-3)
        return ((gray - gray.mean()) * scale + lightness.mean()).clamp(0, 1)
    return style


def color_content(mode: str, photo: Tensor) -> Tensor:
    """The photo as the run is to see it."""
    return luma(photo).expand_as(photo) if mode == "luma" else photo


def color_result(mode: str, picture: Tensor, photo: Tensor) -> Tensor:
    """The finished picture's colors, at full resolution; both ``1x3xHxW``."""
    if mode == "luma":
        return (photo + (luma(picture) - luma(photo))).clamp(0, 1)
    if mode == "histogram":
        return match_palette(picture, [(photo, 1.0)])
    return picture


def match_palette(
    image: Tensor,
    pictures: list[tuple[Tensor, float]],
    mask: Tensor | None = None,
    rounds: int = 12,
) -> Tensor:
    """``image`` with its colors moved until they are distributed as those of ``pictures``.

    A linear map first, then the descent of the sliced Wasserstein distance in RGB, which also
    matches what is no Gaussian (Bonneel et al. 2015). Channel by channel would be exact for each
    and wrong for their combinations.

    Args:
        image: ``1x3xHxW``.
        pictures: ``(picture, weight)`` pairs, each ``1x3xhxw``, whose mixed colors are the palette.
        mask: ``1x1xHxW`` in [0, 1]; only these pixels change, to that degree. None: all.
        rounds: steps of the descent.
    """
    target = blend_gaussians([(*color_gaussian(p), weight) for p, weight in pictures])
    moved = recolor(image, color_gaussian(image, mask), target)
    result = moved if mask is None else image + (moved - image) * mask
    palette = PaletteLoss(pictures, mask)
    for _ in range(rounds):
        result = (result + palette.displacement(result)).clamp(0, 1)
    return result


BINS = 1024
QUANTILES = 1024
CHUNK = 1 << 17  # pixels looked up at once, in all directions
MASK_UNITS = 1 << 10  # in which a mask's values are counted


def color_directions(count: int = 12, device: torch.device | str = "cpu") -> Tensor:
    """``countx3`` unit vectors spread evenly over half the sphere (a Fibonacci lattice)."""
    i = torch.arange(count, dtype=torch.float64) + 0.5
    z = 1 - i / count
    phi = i * torch.pi * (1 + 5**0.5)
    radius = (1 - z * z).sqrt()
    vectors = torch.stack((radius * phi.cos(), radius * phi.sin(), z), 1)
    return vectors.to(device=device, dtype=torch.float32)


class Histograms(NamedTuple):
    """A picture's colors: the cumulative histogram in each direction, bins of all in one row.

    ``below``: the part of the pixels, from 0 to 1, that lies below a bin; ``inside``: in it.
    ``mass``: how many pixels count, a scalar.
    """

    below: Tensor
    inside: Tensor
    mass: Tensor


class PaletteLoss:
    """Sliced 2-Wasserstein distance of a picture's colors to a palette (Bonneel et al. 2015).

    Args:
        styles: ``(picture, weight)`` pairs whose mixed colors are the palette.
        mask: ``1x1xHxW``; only these pixels are judged, to that degree. None: all.

    Pixels are taken a chunk at a time, in all directions: the memory it takes beside a few
    pictures' worth is that of a chunk. Pixels are counted in integers: their sums are exact, and
    the same in whatever order a GPU adds them up. Nothing waits for the device, once it is made.
    """

    def __init__(self, styles: list[tuple[Tensor, float]], mask: Tensor | None = None) -> None:
        device = styles[0][0].device
        self.directions = color_directions(device=device)
        # The range of a projection of the unit cube, with room for iterates slightly outside it.
        low = self.directions.clamp(max=0).sum(1, keepdim=True) - 0.25
        width = (self.directions.clamp(min=0).sum(1, keepdim=True) + 0.25 - low) / BINS
        self._low, self._per_width = low, 1 / width
        rows = torch.arange(len(self.directions), dtype=torch.int32, device=device)[:, None]
        self._first_bin, self._first_quantile = rows * BINS, rows * QUANTILES
        self.weight = mask
        total = sum(weight for _, weight in styles)
        counts = torch.zeros(len(self.directions), BINS, dtype=torch.float64)
        for picture, weight in styles:
            share = weight / total / picture[0, 0].numel()
            counts += self._counts(picture).cpu().double() * share
        quantiles = low + width * quantile_places(counts).to(low)
        self._quantiles = quantiles.flatten()
        self._quantile_steps = F.pad(quantiles.diff(dim=1), (0, 1)).flatten()

    def __call__(self, image: Tensor) -> Tensor:
        """Mean squared distance each pixel's projection has to travel; a scalar, 0 when equal."""
        return self.part(image, self.histograms(image), self.weight)

    def histograms(self, image: Tensor) -> Histograms:
        """How the colors of a whole picture are distributed."""
        counts = self._counts(image, self.weight)
        sums = counts.cumsum(1)
        mass = sums[0, -1].float()
        below, inside = (
            (part.float() / mass.clamp_min(1e-12)).flatten() for part in (sums - counts, counts)
        )
        return Histograms(below, inside, mass if self.weight is None else mass / MASK_UNITS)

    def part(self, piece: Tensor, histograms: Histograms, weight: Tensor | None = None) -> Tensor:
        """What a piece (``1x3xhxw``) of the picture that has these levels adds to the loss.

        ``weight``: the mask's values there.
        """
        with torch.no_grad():
            displacement, squares = self._travel(piece, histograms, weight)
            scale = 1 / (histograms.mass.clamp_min(1e-6) * len(self.directions))
            slope = displacement.mul_(-2 * scale)
        # The optimal pairing is fixed where the distance is differentiated (envelope theorem), so
        # the gradient is known; this puts value and gradient into the graph, and nothing else.
        return squares * scale + ((piece - piece.detach()) * slope).sum()

    def displacement(self, image: Tensor) -> Tensor:
        """How far each pixel would move to match the palette in every direction at once."""
        # For evenly spread directions sum(d d^T) = n/3 I, which this factor undoes.
        moved, _ = self._travel(image, self.histograms(image), self.weight)
        return moved * (3 / len(self.directions))

    def _travel(
        self, piece: Tensor, histograms: Histograms, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Sum over directions of each pixel's way to go, and the sum of all ways squared."""
        flat = piece.detach()[0].flatten(1)
        weight = None if weight is None else weight.flatten()
        result = torch.empty_like(flat)
        squares = torch.zeros((), device=flat.device)
        for start in range(0, flat.shape[1], CHUNK):
            part = slice(start, start + CHUNK)
            projected = self.directions @ flat[:, part]
            way = self._transport(projected, histograms).sub_(projected)
            weighted = way if weight is None else way * weight[part]
            squares += torch.dot(way.flatten(), weighted.flatten())
            result[:, part] = self.directions.T @ weighted
        return result.view_as(piece), squares

    def _position(self, projected: Tensor) -> Tensor:
        """Where values lie among the bins of their direction, in bins."""
        return (projected - self._low).mul_(self._per_width).clamp_(0, BINS - 1e-3)

    def _counts(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pixels per direction and bin, int64; with a mask in ``MASK_UNITS`` of a pixel."""
        flat = image.detach()[0].flatten(1)
        directions, device = len(self.directions), flat.device
        weight = None if mask is None else mask.flatten()
        result = torch.zeros(directions * BINS, dtype=torch.int64, device=device)
        units = torch.ones(1, dtype=torch.int32, device=device)
        for start in range(0, flat.shape[1], CHUNK):
            part = slice(start, start + CHUNK)
            bins = self._position(self.directions @ flat[:, part]).int().add_(self._first_bin)
            if weight is not None:
                units = (weight[part] * MASK_UNITS).round_().int().repeat(directions)
            # int32, which every device adds up, and holds a chunk's worth.
            counts = torch.zeros(directions * BINS, dtype=torch.int32, device=device)
            result += counts.index_add_(0, bins.flatten(), units.expand(bins.numel()))
        return result.view(directions, BINS)

    def _transport(self, projected: Tensor, histograms: Histograms) -> Tensor:
        """Where optimal transport takes each value: its level here, the palette's value there."""
        position = self._position(projected)
        left = position.int()
        position.sub_(left)
        bins = left.add_(self._first_bin).flatten()
        level = histograms.below.index_select(0, bins).view_as(position)
        level.addcmul_(histograms.inside.index_select(0, bins).view_as(position), position)
        level.mul_(QUANTILES - 1)
        left = level.int().clamp_(max=QUANTILES - 2)
        level.sub_(left)
        places = left.add_(self._first_quantile).flatten()
        value = self._quantiles.index_select(0, places).view_as(level)
        return value.addcmul_(self._quantile_steps.index_select(0, places).view_as(level), level)


def quantile_places(counts: Tensor) -> Tensor:
    """The inverse of cumulative histograms at ``QUANTILES`` even levels, in bins.

    ``counts``: a histogram in each row, ``NxBINS``, float64.
    """
    cumulative = F.pad(counts.cumsum(1), (1, 0))
    cumulative = cumulative / cumulative[:, -1:].clamp_min(1e-12)
    levels = torch.linspace(0, 1, QUANTILES, dtype=counts.dtype).expand(len(counts), -1)
    right = torch.searchsorted(cumulative, levels.contiguous()).clamp(1, BINS)
    below, above = cumulative.gather(1, right - 1), cumulative.gather(1, right)
    part = (levels - below) / (above - below).clamp_min(1e-12)
    # The first and last levels belong to the outermost bins that hold a pixel at all.
    filled = (counts > 0).int()
    first = filled.argmax(1, keepdim=True)
    last = BINS - filled.flip(1).argmax(1, keepdim=True)
    places = right - 1 + part.clamp(0, 1)
    return torch.maximum(torch.minimum(places, last), first)


def color_gaussian(image: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean (``3``) and covariance (``3x3``) of a picture's colors, float64 on the CPU."""
    flat = image[0].flatten(1)
    w = torch.ones_like(flat[:1]) if weight is None else weight.flatten()[None]
    w = w / w.sum().clamp_min(1e-12)
    mean = (flat * w).sum(1)
    centered = flat - mean[:, None]
    return mean.cpu().double(), ((centered * w) @ centered.T).cpu().double()


def recolor(
    image: Tensor,
    source: tuple[Tensor, Tensor],
    target: tuple[Tensor, Tensor],
) -> Tensor:
    """``image`` with its colors moved so that a Gaussian of colors becomes another.

    The Monge-Kantorovich map between the two Gaussians (Pitie and Kokaram 2007): of all linear maps
    that do so, the one that moves colors least. The result is clamped to [0, 1].
    """
    (source_mean, source_cov), (target_mean, target_cov) = source, target
    eye = torch.eye(3, dtype=torch.float64) * 1e-5
    root = matrix_sqrt(source_cov + eye)
    inverse = torch.linalg.inv(root)
    linear = inverse @ matrix_sqrt(root @ (target_cov + eye) @ root) @ inverse
    offset = target_mean - linear @ source_mean
    moved = torch.einsum("ij,bjhw->bihw", linear.to(image), image)
    return (moved + offset.to(image).view(1, 3, 1, 1)).clamp(0, 1)


ROOT_STEPS = 24  # of Newton's: for variances that differ by a factor of 1e5, and to spare
LEAST_VARIANCE = 1e-4  # of a color along any axis: a deviation of 0.01


def color_gaussians(images: Tensor) -> tuple[Tensor, Tensor]:
    """Means (``Bx3``) and covariances (``Bx3x3``) of the colors of ``Bx3xHxW``, on their device."""
    flat = images.float().flatten(2)
    mean = flat.mean(2)
    centered = flat - mean[:, :, None]
    return mean, centered @ centered.transpose(1, 2) / flat.shape[2]


def recolor_batch(images: Tensor, mean: Tensor, covariance: Tensor) -> Tensor:
    """Pictures (``Bx3xHxW``) with the mean (``Bx3``) and the covariance (``Bx3x3``) of colors that
    each is given, by ``recolor``'s map; not clamped.

    The gradient goes through the map, too: were it fixed, a network in front of it would learn to
    paint without contrast, which the map then makes up for. Nothing waits for the device, so it can
    be captured.
    """
    source_mean, source = color_gaussians(images)
    least = LEAST_VARIANCE * torch.eye(3, device=images.device)
    root, inverse = _roots(source + least)
    middle, _ = _roots(root @ (covariance + least) @ root)
    linear = inverse @ middle @ inverse
    offset = mean - (linear @ source_mean[:, :, None])[:, :, 0]
    return torch.einsum("bij,bjhw->bihw", linear, images) + offset[:, :, None, None]


def _roots(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Square roots of positive definite matrices and their inverses: Newton's iteration in the form
    of Denman and Beavers (1976) without inverses, which is matrix products alone.
    """
    size = matrices.square().sum((-2, -1), keepdim=True).sqrt()
    eye = torch.eye(matrices.shape[-1], device=matrices.device)
    root, inverse = matrices / size, eye.expand_as(matrices)
    for _ in range(ROOT_STEPS):
        step = 1.5 * eye - 0.5 * inverse @ root
        root, inverse = root @ step, step @ inverse
    return root * size.sqrt(), inverse / size.sqrt()


def blend_gaussians(parts: list[tuple[Tensor, Tensor, float]]) -> tuple[Tensor, Tensor]:
    """Mean and covariance of a mixture of ``(mean, covariance, weight)`` parts."""
    total = sum(weight for *_, weight in parts)
    mean = sum((m * (w / total) for m, _, w in parts), torch.zeros_like(parts[0][0]))
    second = sum(
        ((c + torch.outer(m, m)) * (w / total) for m, c, w in parts), torch.zeros_like(parts[0][1])
    )
    return mean, second - torch.outer(mean, mean)
