"""Settings of fast style transfer."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.errors import UsageError
from cnnart.settings import COLOR_MODES, Settings, is_number, setting, size_setting

FAST_ENGINES = ("eager", "compile")
STROKES = (0.25, 4.0)
IN_PIXELS = "pixels="


@dataclass(frozen=True)
class FastConfig(Settings):
    """Settings of fast style transfer (``cnnart fast-stylize``)."""

    size: int | tuple[int, int] | str | None = size_setting()
    strength: float = setting(
        0.5, "How far to go: 0 is the photo, 1 the style.", low=0, high=1, ends=("photo", "style")
    )
    stroke: float | str = setting(
        1.0,
        "Stroke size, relative to the picture; pixels=N: to the strokes that the style was trained "
        "with, in pixels, whatever the picture's size.",
        kind="stroke",
        metavar="N|pixels=N",
    )
    color: str = setting(
        "style",
        "Colors of the style, or kept from the photo: wholly, by luma, by histogram.",
        choices=COLOR_MODES,
        what="color mode",
    )
    engine: str = setting(
        "eager", "Run the network as it is, or compiled by torch.compile.", choices=FAST_ENGINES
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = STROKES
        if not low <= self.stroke_scale <= high:
            raise UsageError(f"`stroke` {self.stroke} is out of range: use {low:g} to {high:g}.")

    @property
    def in_pixels(self) -> bool:
        """Whether strokes are as large as in training, whatever the picture's size."""
        return isinstance(self.stroke, str)

    @property
    def stroke_scale(self) -> float:
        """The number of ``stroke``. Raises UsageError if there is none."""
        text = str(self.stroke).removeprefix(IN_PIXELS)
        if (self.in_pixels and text == self.stroke) or not is_number(text):
            raise UsageError(
                f"`stroke` {self.stroke!r} is no size: give a number, or {IN_PIXELS} and a number."
            )
        return float(text)
