"""Guide maps: which place of the exemplar may serve which place of the result, told in colors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from cnnart.errors import UsageError

MAX_REGIONS = 8
SAME_COLOR = 0.12  # colors of maps closer than this (of a side of the RGB cube) mean the same
MIN_REGION_SHARE = 0.01  # of the exemplars, below which a region is too small to be a texture


@dataclass(frozen=True)
class Guide:
    """Two sides of a map: pixels of the result come from pixels of an exemplar guided alike.

    Args:
        source: one map per exemplar, ``1x3xhxw`` in [0, 1], of the exemplar's size.
        target: the wished map of the result, ``1x3xHxW`` in [0, 1], of the result's size.
        weight: 1 lets a difference in the guide count like the same one in color; 0 ignores it.
    """

    source: Sequence[Tensor]
    target: Tensor
    weight: float = 1.0


def check_guide(guide: Guide, exemplars: Sequence[Tensor], size: tuple[int, int]) -> None:
    """Raise UsageError where the maps do not fit the exemplars or the result."""
    if len(guide.source) != len(exemplars):
        raise UsageError(
            f"{len(guide.source)} guide maps for {len(exemplars)} exemplars: give one for each."
        )
    for index, (source, exemplar) in enumerate(zip(guide.source, exemplars, strict=True), 1):
        _check_size(f"The guide map of exemplar {index}", source.shape[-2:], exemplar.shape[-2:])
    _check_size("The guide map of the result", guide.target.shape[-2:], size)


def _check_size(what: str, found: Sequence[int], wanted: Sequence[int]) -> None:
    if tuple(found) != tuple(wanted):
        raise UsageError(
            f"{what} is {found[1]}x{found[0]}, but must be {wanted[1]}x{wanted[0]}: resize it."
        )


def label_maps(guide: Guide) -> tuple[list[Tensor], Tensor, int]:
    """The guide's maps as labels: each exemplar's ``hxw``, the result's ``HxW``, their number.

    Every label occurs in an exemplar. Colors are grouped by median cut and k-means over the pixels
    of all maps (Pillow); those that are nearly the same, or hardly occur in the exemplars, go to
    their nearest neighbor.

    Raises UsageError if the exemplars' maps have one color only: they would say nothing.
    """
    maps = [m.detach().cpu()[0, :3] for m in (*guide.source, guide.target)]
    labels, colors = _quantized(torch.cat([m.flatten(1).T for m in maps]))
    sizes = [m[0].numel() for m in maps]
    pieces = labels.split(sizes)
    counts = torch.bincount(torch.cat(pieces[:-1]), minlength=len(colors))
    kept, labels = _merged(colors, counts / counts.sum())[labels].unique(return_inverse=True)
    if len(kept) < 2:
        raise UsageError(
            "The exemplar's guide map has one color only: give what differs different colors."
        )
    shaped = [p.view(m.shape[-2:]) for p, m in zip(labels.split(sizes), maps, strict=True)]
    return shaped[:-1], shaped[-1], len(kept)


def _quantized(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """``Nx3`` colors in [0, 1] -> their labels (``N``) and the labels' colors (``Kx3``)."""
    values = (pixels.clamp(0, 1) * 255).round().byte().contiguous()
    picture = Image.frombytes("RGB", (len(values), 1), values.numpy().tobytes())
    found = picture.quantize(
        MAX_REGIONS, method=Image.Quantize.MEDIANCUT, kmeans=MAX_REGIONS, dither=Image.Dither.NONE
    )
    labels = torch.frombuffer(bytearray(found.tobytes()), dtype=torch.uint8).long()
    palette = torch.tensor(found.getpalette(), dtype=torch.float32).view(-1, 3) / 255
    return labels, palette[: int(labels.max()) + 1]


def _merged(colors: Tensor, shares: Tensor) -> Tensor:
    """For each color the index of the one it counts as; frequent ones count as themselves."""
    leader = torch.full((len(colors),), -1)
    for index in shares.argsort(descending=True).tolist():
        leaders = leader[leader >= 0].unique()
        if len(leaders):
            distance = (colors[leaders] - colors[index]).norm(dim=1)
            nearest = int(distance.argmin())
            if float(distance[nearest]) < SAME_COLOR or float(shares[index]) < MIN_REGION_SHARE:
                leader[index] = leaders[nearest]
                continue
        leader[index] = index
    return leader
