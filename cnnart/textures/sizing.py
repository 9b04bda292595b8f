"""Sizes of textures: the result's, and those of the canvases on the way to it.

A texture keeps its exemplar's pixel scale. So where a canvas is the result at half size, the
exemplar is looked at at half size too; and no canvas is so small that the exemplar beside it would
have nothing left to show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cnnart.config import SMALLEST_SIDE, TEXTURE_PRESETS, TextureConfig
from cnnart.errors import UsageError
from cnnart.image import fit_long_side
from cnnart.schedule import Scale
from cnnart.textures.wrapping import Wrap

COARSEST_EXEMPLAR = 32  # short side, in pixels: two units of relu5_1
COARSEST_CANVAS = 48
LARGER = 2  # the result's sides over the exemplar's, where nothing is said


def texture_size(
    exemplar: Sequence[int], size: int | tuple[int, int] | None, scale: float = 1.0
) -> tuple[int, int]:
    """The result's (height, width) for an exemplar's. Raises UsageError for one below 16 pixels."""
    height, width = exemplar
    if isinstance(size, int):
        size = fit_long_side(height, width, size)
    result = size or (round(LARGER * height * scale), round(LARGER * width * scale))
    if min(result) < SMALLEST_SIDE:
        raise UsageError(
            f"A texture of {result[1]}x{result[0]} is too small: {SMALLEST_SIDE} pixels at least "
            "each way. Ask for more with --size."
        )
    return result


def canvas_extent(size: tuple[int, int], align: int, repeats: Wrap) -> tuple[int, int]:
    """How many pixels of texture (height, width) the canvas of a result shows.

    The canvas always repeats, so that it has no border where statistics would be other ones. Along
    an axis where the result is not asked to repeat it is a little longer, and cut in the end: a
    multiple of ``align``, the result's own pixels.
    """
    height, width = (
        length if wraps else (-(-length // align) + 1) * align
        for length, wraps in zip(size, repeats, strict=True)
    )
    return height, width


def canvas_sizes(
    extent: tuple[int, int], exemplar: Sequence[float], align: int, wrap: Wrap
) -> list[tuple[int, int]]:
    """Sizes of the canvases, coarsest first: the extent, halved as often as makes sense.

    ``exemplar``: (height, width) of the smallest exemplar beside the result. ``align``: what a
    repeating axis must be a multiple of; there a canvas may differ from the extent by a little.
    """
    result, factor = [_canvas(extent, 1, align, wrap)], 2
    while min(exemplar) / factor >= max(COARSEST_EXEMPLAR, align):
        canvas = _canvas(extent, factor, align, wrap)
        if min(canvas) < max(COARSEST_CANVAS, align):
            break
        result.insert(0, canvas)
        factor *= 2
    return result


def _canvas(extent: tuple[int, int], factor: int, align: int, wrap: Wrap) -> tuple[int, int]:
    height, width = (
        max(1, round(length / factor / align)) * align if wraps else -(-length // factor)
        for length, wraps in zip(extent, wrap, strict=True)
    )
    return height, width


def texture_schedule(config: TextureConfig, canvases: Sequence[tuple[int, int]]) -> list[Scale]:
    """The scales of a run as its preset says; ``config.steps`` replaces the last one's."""
    counts = TEXTURE_PRESETS[config.preset].evaluations
    scales = [Scale(*size, counts[min(i, len(counts) - 1)]) for i, size in enumerate(canvases)]
    if config.steps is not None:
        scales[-1] = replace(scales[-1], evaluations=config.steps)
    return scales
