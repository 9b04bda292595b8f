"""Settings of texture synthesis."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnnart.config.choices import OPTIMIZERS, POOLINGS, STATISTICS, Preset, one_of
from cnnart.errors import UsageError

TEXTURE_LAYERS = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}

TEXTURE_METHODS = ("auto", "gram", "quilting", "efros-leung")

TILEABLE = ("none", "x", "y", "both")


@dataclass(frozen=True)
class TextureConfig:
    """Settings of texture synthesis (``cnnart texture``), by a network or by patches.

    A texture keeps its exemplar's own pixel scale, whatever the size of the result: ``scale`` 2
    shows everything twice as large.
    """

    size: int | tuple[int, int] | None = None  # None: twice the exemplar's sides
    method: str = "auto"  # auto | gram | quilting | efros-leung
    tileable: str = "none"  # none | x | y | both: the axes along which the result repeats
    scale: float = 1.0  # size of the texture's features relative to the exemplar's
    seed: int = 0
    # gram: the neural method
    preset: str = "standard"  # draft | standard | fine: see TEXTURE_PRESETS
    statistic: str = "gram"  # gram | covariance | wasserstein
    layers: dict[str, float] = field(default_factory=lambda: dict(TEXTURE_LAYERS))
    pooling: str = "max"  # max | avg
    optimizer: str = "lbfgs"  # lbfgs | adam
    steps: int | None = None  # evaluations at the largest scale; None: as the preset says
    palette_weight: float = 1.0
    histogram: bool = True  # give the finished picture exactly the exemplar's colours
    # the patch methods
    patch: int | None = None  # side of a patch, or of a neighbourhood; None: chosen by its size
    guide_weight: float = 1.0  # of the guide map; 0 ignores it


TEXTURE_PRESETS: dict[str, Preset] = {
    "draft": Preset((60, 30, 15, 10, 8)),
    "standard": Preset((150, 100, 60, 30, 15)),
    "fine": Preset((300, 300, 200, 100, 50)),
}


def check_texture_config(config: TextureConfig) -> None:
    """Raise UsageError for a setting out of its range or unknown."""
    one_of("method", config.method, TEXTURE_METHODS)
    one_of("tileable", config.tileable, TILEABLE)
    one_of("preset", config.preset, TEXTURE_PRESETS)
    one_of("statistic", config.statistic, STATISTICS)
    one_of("pooling", config.pooling, POOLINGS)
    one_of("optimizer", config.optimizer, OPTIMIZERS)
    if not 0.05 <= config.scale <= 20:
        raise UsageError(f"Scale {config.scale:g} is out of range: use 0.05 to 20.")
    if config.steps is not None and config.steps < 1:
        raise UsageError(f"Steps must be at least 1, not {config.steps}.")
    if config.patch is not None and config.patch < 3:
        raise UsageError(f"A patch of {config.patch} pixels is too small: 3 at least.")
    for name in ("palette", "guide"):
        if getattr(config, f"{name}_weight") < 0:
            raise UsageError(f"The {name} weight must not be negative.")
    if not any(w > 0 for w in config.layers.values()):
        raise UsageError("No layer has a positive weight: name at least one, like relu3_1.")
    if any(w < 0 for w in config.layers.values()):
        raise UsageError("Layer weights must not be negative.")
