"""How large patches are, and which of them a canvas still needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import UsageError
from cnnart.textures.canvas import Canvas
from cnnart.textures.sources import Source
from cnnart.textures.windows import Grid, product

LARGEST = 96  # pixels: larger patches are slower and no better
SHARE = 3  # a patch's side is this part of the exemplar's short side
GUIDED_SHARE = 6  # with a guide, whose borders only small patches can follow
SMALLEST = 8
CHOICE = 0.1  # of an exemplar's windows, at least so many must be whole: else smaller patches


def patch_side(
    sources: Sequence[Source], wanted: int | None, size: tuple[int, int], wraps: tuple[bool, bool]
) -> int:
    """The side of a patch in pixels: as wanted, or a third of the exemplar.

    With a guide it is a sixth. No patch is longer than an axis that repeats. Where exemplars have
    holes, patches are so small that a fair part of their windows is whole.

    Raises UsageError where the patch wanted does not fit, or no window is whole.
    """
    used = [source for source in sources if source.weight > 0]
    shortest = min(min(source.size) for source in used)
    longest = min([shortest, *[n for n, wrap in zip(size, wraps, strict=True) if wrap]])
    if wanted is not None:
        if wanted > shortest:
            raise UsageError(
                f"A patch of {wanted} pixels does not fit into an exemplar whose short side is "
                f"{shortest}: use --patch {shortest // SHARE} or so."
            )
        side = min(wanted, longest)
    else:
        guided = any(source.guide is not None for source in used)
        usual = shortest // (GUIDED_SHARE if guided else SHARE)
        side = min(max(SMALLEST, usual), LARGEST, longest)
        while side > SMALLEST and min(_choice(source, side) for source in used) < CHOICE:
            side = max(SMALLEST, side * 4 // 5)
    if min(_choice(source, side) for source in used) == 0:
        raise UsageError(
            f"No {side}x{side} patch of the exemplar is free of the mask: use a smaller --patch, "
            "mask less, or name another exemplar."
        )
    return side


def _choice(source: Source, side: int) -> float:
    """The share of an exemplar's windows that may be copied whole."""
    blocked = F.max_pool2d((~source.usable).float()[None, None], side, stride=1)
    return float((blocked == 0).float().mean())


def unfilled(canvas: Canvas, grids: tuple[Grid, Grid], patch: int) -> Tensor:
    """``Nx2``: where the windows begin that have something to fill in, in the order to fill them.

    In an empty canvas row by row; in a hole from its border inwards.
    """
    starts = product(grids[0].starts, grids[1].starts)
    if not bool(canvas.fixed.any()):
        return starts
    at = canvas.places(starts, patch)
    missing = (~canvas.known)[at.rows, at.columns].sum((1, 2)).cpu()
    needed = torch.nonzero(missing > 0)[:, 0]
    return starts[needed[missing[needed].argsort(stable=True)]]
