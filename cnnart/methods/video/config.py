"""Settings of clips."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.settings import Settings, setting


@dataclass(frozen=True)
class VideoConfig(Settings):
    """How the frames of a clip are held together."""

    stability: float = setting(
        0.9,
        "How long a clip's strokes are held: 0 paints each frame alone, 1 holds them longest.",
        low=0,
        high=1,
        ends=("frames alone", "longest"),
    )
