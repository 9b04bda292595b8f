"""Settings of fast style transfer."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.settings import COLOR_MODES, Settings, setting

FAST_ENGINES = ("eager", "compile")


@dataclass(frozen=True)
class FastConfig(Settings):
    """Settings of fast style transfer (``cnnart fast-stylize``)."""

    size: int | tuple[int, int] | None = setting(
        None,
        "Long side of the result in pixels, or width x height.",
        kind="size",
        shown="the photo's own",
    )
    strength: float = setting(
        0.5, "How far to go: 0 is the photo, 1 the style.", low=0, high=1, ends=("photo", "style")
    )
    stroke: float = setting(
        1.0, "Stroke size, relative to the one the style was trained with.", low=0.25, high=4
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
