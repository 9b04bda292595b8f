"""Settings of clips."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.errors import UsageError
from cnnart.settings import Settings, setting

CODECS = ("h264", "hevc", "vp9", "av1", "prores")
# The constant rate factor unless another is asked for: little enough loss that nobody sees it in
# motion. Each codec has a scale of its own.
USUAL_CRF = {"h264": 20, "hevc": 22, "vp9": 30, "av1": 30}
HIGHEST_CRF = {"h264": 51, "hevc": 51, "vp9": 63, "av1": 63}


@dataclass(frozen=True)
class ClipConfig(Settings):
    """What part of a clip is taken, how its frames are held together, how they are encoded."""

    start: float | None = setting(
        None,
        "Begin the clip at this time: 0:10, 1:02:03.5 or 90.",
        low=0,
        kind="time",
        shown="its beginning",
    )
    end: float | None = setting(
        None, "End the clip at this time.", above=0, kind="time", shown="its end"
    )
    fps: float | None = setting(
        None,
        "Frames a second, evenly spaced.",
        low=0.001,
        high=240,
        metavar="N",
        shown="the clip's own times",
    )
    codec: str | None = setting(
        None,
        "How a clip is encoded.",
        choices=CODECS,
        shown="h264; vp9 in .webm",
    )
    crf: int | None = setting(
        None,
        "Constant rate factor of the encoder: lower is better and larger.",
        low=0,
        high=63,
        shown="20 of h264, 22 of hevc, 30 of vp9 and av1",
    )

    stability: float = setting(
        0.9,
        "How long a clip's strokes are held: 0 paints each frame alone, 1 holds them longest.",
        low=0,
        high=1,
        ends=("frames alone", "longest"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.end is not None and self.end <= (self.start or 0):
            raise UsageError(
                f"The clip would end at {self.end:g} s, before it begins ({self.start or 0:g} s)."
            )

    def quality(self, codec: str) -> int | None:
        """The constant rate factor for a codec; None where it has none. Raises UsageError."""
        if codec not in USUAL_CRF:
            if self.crf is not None:
                raise UsageError(f"{codec} has no constant rate factor: leave out `crf`.")
            return None
        if self.crf is not None and self.crf > HIGHEST_CRF[codec]:
            raise UsageError(f"`crf` {self.crf} is out of range for {codec}: use 0 to 51.")
        return USUAL_CRF[codec] if self.crf is None else self.crf


WHOLE_CLIP = ClipConfig()
