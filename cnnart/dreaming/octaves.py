"""The sizes a dream passes through, and how many steps it takes at each.

What a network dreams of has a size in pixels that the network fixes: the eyes of relu4_3 are some
60 pixels wide at any picture size. So the coarsest octave is the same for every picture, and the
steps at an octave are fewer in proportion as it is larger: a dream at 2048 pixels has the
composition of the one at 1024, refined, and not a carpet of small eyes.
"""

from __future__ import annotations

from cnnart.dreaming.presets import DreamPreset
from cnnart.image import fit_long_side
from cnnart.schedule import Scale

REFERENCE = 1024  # pixels: the long side of the octave that gets the steps a preset names
SMALLEST_OCTAVE = 32  # pixels: a smaller short side shows the network nothing


def octave_sizes(
    height: int, width: int, preset: DreamPreset, smallest: int
) -> list[tuple[int, int]]:
    """``(height, width)`` of each octave from coarse to fine; the last is the picture's own.

    Octaves go down by ``preset.octave_scale`` as often as ``preset.octaves`` says, or to a long
    side of ``preset.base`` pixels, but not below a short side of ``smallest``.
    """
    smallest = max(smallest, SMALLEST_OCTAVE)
    sizes = [(height, width)]
    while preset.octaves is None or len(sizes) < preset.octaves:
        long_side = round(max(height, width) / preset.octave_scale ** len(sizes))
        size = fit_long_side(height, width, max(1, long_side))
        if min(size) < smallest or size == sizes[0]:
            break
        if preset.octaves is None and long_side < preset.base:
            break
        sizes.insert(0, size)
    return sizes


def octave_steps(long_side: int, preset: DreamPreset) -> int:
    """The steps at an octave of this long side."""
    if preset.every_octave is not None:
        return preset.every_octave
    return max(1, round(preset.steps * REFERENCE / max(long_side, preset.base)))


def dream_schedule(height: int, width: int, preset: DreamPreset, smallest: int) -> list[Scale]:
    """The octaves of a dream with their steps, from coarse to fine."""
    sizes = octave_sizes(height, width, preset, smallest)
    return [Scale(*size, octave_steps(max(size), preset)) for size in sizes]
