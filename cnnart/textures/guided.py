"""A guide for the neural method: its maps grouped into a few regions, each with a texture.

The maps are coloured alike, as a painter would: rock red, moss green. A region of the result gets
the texture of the exemplars' regions of that colour (guided Gram matrices, Gatys et al. 2017).
"""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.textures.guide import Guide
from cnnart.textures.parts import Exemplar, Part

MOST_REGIONS = 8
SAME_COLOUR = 0.12  # colours of maps closer than this (of a side of the RGB cube) mean the same
LEAST_SHARE = 0.01  # of the exemplars, below which a region is too small to be a texture


def guided_parts(guide: Guide, exemplars: list[Exemplar]) -> list[Part]:
    """The parts of a guided texture, with masks of the size of ``guide.target``.

    With a guide's weight below 1 each part takes after the whole exemplars too, to that degree.
    """
    sources, target, count = label_maps(guide)
    weight, parts = min(1.0, guide.weight), []
    for label in range(count):
        mask = (target == label).float()[None, None]
        if not bool(mask.any()):
            continue
        shown = []
        for exemplar, labels in zip(exemplars, sources, strict=True):
            chosen = (labels == label).float()[None, None].to(exemplar.image.device)
            if bool(chosen.any()):
                # As much of the part as of the exemplar itself shows this region.
                amount = exemplar.weight * float(chosen.mean()) * weight
                shown.append(Exemplar(exemplar.image, amount, chosen))
        if weight < 1:
            rest = sum(e.weight for e in shown) * (1 - weight) / max(weight, 1e-3)
            shown += [Exemplar(e.image, e.weight * rest, e.mask) for e in exemplars]
        parts.append(Part(tuple(shown), mask, float(mask.mean())))
    return parts


def label_maps(guide: Guide) -> tuple[list[Tensor], Tensor, int]:
    """The guide's maps as labels: each exemplar's ``hxw``, the result's ``HxW``, their number.

    Every label occurs in an exemplar. Colours are grouped by median cut and k-means over the pixels
    of all maps (Pillow); those that are nearly the same, or hardly occur in the exemplars, go to
    their nearest neighbour.

    Raises UsageError if the exemplars' maps have one colour only: they would say nothing.
    """
    maps = [m.detach().cpu()[0, :3] for m in (*guide.source, guide.target)]
    labels, colours = _quantized(torch.cat([m.flatten(1).T for m in maps]))
    sizes = [m[0].numel() for m in maps]
    pieces = labels.split(sizes)
    counts = torch.bincount(torch.cat(pieces[:-1]), minlength=len(colours))
    kept, labels = _leaders(colours, counts / counts.sum())[labels].unique(return_inverse=True)
    if len(kept) < 2:
        raise UsageError(
            "The exemplar's guide map has one colour only: give what differs different colours."
        )
    shaped = [p.view(m.shape[-2:]) for p, m in zip(labels.split(sizes), maps, strict=True)]
    return shaped[:-1], shaped[-1], len(kept)


def _quantized(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """``Nx3`` colours in [0, 1] -> their labels (``N``) and the labels' colours (``Kx3``)."""
    values = (pixels.clamp(0, 1) * 255).round().byte().contiguous()
    picture = Image.frombytes("RGB", (len(values), 1), values.numpy().tobytes())
    found = picture.quantize(
        MOST_REGIONS, method=Image.Quantize.MEDIANCUT, kmeans=MOST_REGIONS, dither=Image.Dither.NONE
    )
    labels = torch.frombuffer(bytearray(found.tobytes()), dtype=torch.uint8).long()
    palette = torch.tensor(found.getpalette(), dtype=torch.float32).view(-1, 3) / 255
    return labels, palette[: int(labels.max()) + 1]


def _leaders(colours: Tensor, shares: Tensor) -> Tensor:
    """For each colour the one it counts as; frequent ones count as themselves."""
    leader = torch.full((len(colours),), -1)
    for index in shares.argsort(descending=True).tolist():
        leaders = leader[leader >= 0].unique()
        if len(leaders):
            away = (colours[leaders] - colours[index]).norm(dim=1)
            near = int(away.argmin())
            if float(away[near]) < SAME_COLOUR or float(shares[index]) < LEAST_SHARE:
                leader[index] = leaders[near]
                continue
        leader[index] = index
    return leader
