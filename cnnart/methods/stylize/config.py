"""Settings of neural style transfer."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.errors import UsageError
from cnnart.settings import (
    COLOR_MODES,
    OPTIMIZERS,
    POOLINGS,
    STATISTICS,
    Settings,
    check_layers,
    seed_setting,
    setting,
    size_setting,
)

STARTS = ("content", "noise", "fast")  # by name; ``fast``: the picture of a fast network
INITS = (*STARTS, "picture")
FAST_IS_FOR_PHOTOS = "`init` fast is for photos: start a clip from content, noise or a picture."

FACES = ("keep", "paint")

STYLE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}

CONTENT_LAYERS = {"relu4_2": 1.0}

# How much work to spend: iterations at each size, from the coarsest to the finest; sizes beyond the
# last entry get as many as that. The first number counts those of the shallow layers alone.
PRESETS: dict[str, tuple[tuple[int, int], ...]] = {
    "draft": ((0, 60), (8, 8), (4, 4), (3, 3), (0, 6)),
    "standard": ((0, 100), (12, 12), (6, 6), (5, 5), (0, 10)),
    "fine": ((0, 200), (30, 20), (20, 10), (12, 8), (0, 20)),
}


@dataclass(frozen=True)
class StylizeConfig(Settings):
    """Settings of neural style transfer (``cnnart stylize``).

    ``strength`` is the one knob most people need: 0 is the photo, 1 is the style alone. The expert
    weights multiply what it chooses, so 1 is always "as usual". Raises UsageError for a setting out
    of its range or unknown.
    """

    size: int | tuple[int, int] | str | None = size_setting()
    strength: float = setting(
        0.5, "How far to go: 0 is the photo, 1 the style.", low=0, high=1, ends=("photo", "style")
    )
    preset: str = setting("standard", "How much work to spend.", choices=tuple(PRESETS))
    optimizer: str = setting("lbfgs", "Optimize with L-BFGS or with Adam.", choices=OPTIMIZERS)
    steps: int | None = setting(
        None, "Iterations at the final size.", low=1, shown="as `preset` says"
    )
    init: str = setting("content", "What to start from.", choices=INITS)
    content_weight: float = setting(1.0, "Content loss: times what `strength` chooses.", low=0)
    style_weight: float = setting(1.0, "Style loss: times what `strength` chooses.", low=0)
    tv_weight: float = setting(1.0, "TV loss, for smoothness: times as usual.", low=0)
    palette_weight: float = setting(
        1.0, "Palette loss, for the style's colors: times what `strength` chooses.", low=0
    )
    content_layers: dict[str, float] = setting(
        CONTENT_LAYERS, "Layers at which content is compared.", kind="layers", low=0
    )
    style_layers: dict[str, float] = setting(
        STYLE_LAYERS, "Layers at which style is compared.", kind="layers", low=0
    )
    statistic: str = setting(
        "covariance", "What the style loss compares of a layer.", choices=STATISTICS
    )
    pooling: str = setting("max", "Pooling of the network.", choices=POOLINGS)
    style_scale: float = setting(
        1.0, "Stroke size, relative to the result's.", low=0.05, high=8, what="style scale"
    )
    color: str = setting(
        "style",
        "Colors of the style, or kept from the photo: wholly, by luma, by histogram.",
        choices=COLOR_MODES,
        what="color mode",
    )
    faces: str = setting(
        "keep",
        "Below strength 0.7: faces stay the person's, or are painted like the rest.",
        choices=FACES,
    )
    seed: int = seed_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_layers("style layer", self.style_layers)
        if any(weight < 0 for weight in self.content_layers.values()):
            raise UsageError("Layer weights must not be negative.")
