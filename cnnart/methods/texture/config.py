"""Settings of texture synthesis."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.errors import UsageError
from cnnart.settings import (
    OPTIMIZERS,
    POOLINGS,
    STATISTICS,
    Settings,
    check_layers,
    seed_setting,
    setting,
    size_setting,
)

TEXTURE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}

TEXTURE_METHODS = ("auto", "gram", "quilting", "efros-leung")

TILEABLE = ("none", "x", "y", "both")

SMALLEST_PATCH = 3  # pixels a side

# How much work to spend: iterations at each size, from the coarsest to the finest; sizes beyond the
# last entry get as many as that. The first number counts those of the shallow layers alone.
TEXTURE_PRESETS: dict[str, tuple[tuple[int, int], ...]] = {
    "draft": ((0, 60), (15, 10), (10, 6), (6, 4), (5, 4)),
    "standard": ((0, 150), (40, 40), (30, 15), (15, 8), (10, 6)),
    "fine": ((0, 300), (120, 120), (90, 60), (45, 30), (25, 15)),
}


@dataclass(frozen=True)
class TextureConfig(Settings):
    """Settings of texture synthesis (``cnnart texture``), by a network or by patches.

    A texture keeps its exemplar's own pixel scale, whatever the size of the result: ``scale`` 2
    shows everything twice as large. Raises UsageError for a setting out of its range or unknown.
    """

    size: int | tuple[int, int] | str | None = size_setting("twice the exemplar's sides")
    method: str = setting(
        "auto",
        "gram: a network synthesizes it; quilting: patches joined along seams; efros-leung: pixel "
        "by pixel; auto: gram or quilting, whichever suits the exemplar.",
        choices=TEXTURE_METHODS,
    )
    tileable: str = setting(
        "none",
        "Repeat without a seam: side by side (x), one above the other (y), or both.",
        choices=TILEABLE,
    )
    scale: float = setting(
        1.0, "Size of the texture's features relative to the exemplar's.", low=0.05, high=20
    )
    seed: int = seed_setting()
    preset: str = setting(
        "standard", "gram: how much work to spend.", choices=tuple(TEXTURE_PRESETS)
    )
    statistic: str = setting(
        "gram", "gram: the statistic of each layer that is matched.", choices=STATISTICS
    )
    layers: dict[str, float] = setting(
        TEXTURE_LAYERS, "gram: layers at which statistics are matched.", kind="layers", low=0
    )
    pooling: str = setting("max", "gram: pooling of the network.", choices=POOLINGS)
    optimizer: str = setting(
        "lbfgs", "gram: optimize with L-BFGS or with Adam.", choices=OPTIMIZERS
    )
    steps: int | None = setting(
        None, "gram: iterations at the final size.", low=1, shown="as `preset` says"
    )
    palette_weight: float = setting(
        1.0, "gram: weight of the palette loss, for the exemplar's colors.", low=0
    )
    histogram: bool = setting(
        True, "gram: give the finished picture exactly the exemplar's colors."
    )
    patch: int | None = setting(
        None,
        "Side of a patch (quilting) or a neighborhood (efros-leung) in pixels.",
        low=SMALLEST_PATCH,
        shown="as fits the exemplar",
    )
    guide_weight: float = setting(1.0, "Weight of the guide map; 0 ignores it.", low=0)

    def __post_init__(self) -> None:
        if self.patch is not None and self.patch < SMALLEST_PATCH:
            raise UsageError(
                f"A patch of {self.patch} pixels is too small: {SMALLEST_PATCH} at least."
            )
        super().__post_init__()
        check_layers("layer", self.layers)
